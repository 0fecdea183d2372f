//! `uevent.*`: hotplug events, which the kernel sends into every network namespace of the initial user namespace.

use std::os::unix::ffi::OsStrExt;

use nicdock_netlink::name;

use crate::kernel::netlink::Socket;
use crate::probe::{Finding, Probe};

pub fn probes() -> Vec<Probe> {
    [("kernel", 1_u32), ("udev", 2)]
        .into_iter()
        .map(|(name, group)| {
            Probe::new(format!("uevent.listen.{name}"), move |_| {
                let result = Socket::open(15).and_then(|socket| socket.listen(group));
                Finding::of(&format!("listening to NETLINK_KOBJECT_UEVENT, group {group}"), result)
            })
        })
        .chain([Probe::new("uevent.provoke", |context| {
            // Opening is enough: writing would send events to all who listen.
            let paths = ["/sys/class/net", "/sys/class/infiniband"].into_iter().flat_map(|class| {
                let entries = std::fs::read_dir(class).into_iter().flatten().filter_map(Result::ok);
                entries.map(|entry| entry.path().join("uevent"))
            });
            let own = &context.target.own;
            let is_foreign = |path: &std::path::PathBuf| {
                let name = path.parent().and_then(|p| p.file_name()).unwrap_or_default();
                let name = name::text(name.as_bytes());
                !own.netdevs.iter().chain(&own.rdma_devices).any(|known| *known == name) && name != "lo"
            };
            let mut writable = paths
                .filter(is_foreign)
                .filter(|path| std::fs::OpenOptions::new().write(true).open(path).is_ok());
            writable.next().map_or_else(
                || Finding::closed("no uevent file of a foreign device can be opened for writing"),
                |path| Finding::open(format!("{} can be opened for writing", path.display())),
            )
        })])
        .collect()
}
