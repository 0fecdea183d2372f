//! Whether this kernel's soft-RoCE works inside a network namespace: found out by trying, in a scratch one.

use std::fs;
use std::path::Path;

use nicdock_host::model::{Host, NicKind};

use crate::lease::STATE;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_sys::child::Child;
use nicdock_sys::netns;

/// UDP port of `RoCE` v2 (`ROCE_V2_UDP_DPORT`, include/rdma/ib_verbs.h), as /proc/net/udp writes it.
const PORT: &str = ":12B7";

/// Makes a soft-RoCE device on a veth in a namespace of its own and looks whether the kernel listens there: kernels
/// that make the device but know the first namespace only (6.1, 6.12) do not. The answer is kept for this boot.
/// `None`: it could not be tried (not root, or the host has no soft-RoCE).
pub fn works_in_netns(host: &Host) -> Option<bool> {
    if !host.nics.iter().any(|nic| nic.kind == NicKind::SoftRoce) || !rustix::process::geteuid().is_root() {
        return None;
    }
    let kept = Path::new(STATE).join("soft-roce-in-netns");
    match fs::read_to_string(&kept).as_deref() {
        Ok("yes") => return Some(true),
        Ok("no") => return Some(false),
        _ => {}
    }
    let works =
        match Child::fork(|| attempt().map_or(UNKNOWN, i32::from)).and_then(|mut child| child.wait()).ok()? {
            0 => false,
            1 => true,
            // What kept it from being tried need not be so the next time.
            _ => return None,
        };
    let _ = fs::create_dir_all(STATE).and_then(|()| fs::write(&kept, if works { "yes" } else { "no" }));
    Some(works)
}

/// Exit status of a process that could not try it.
const UNKNOWN: i32 = 2;

/// The scratch namespace and all in it die with this process. `None`: it could not be tried.
fn attempt() -> Option<bool> {
    netns::enter_new().ok()?;
    let mut inside = Rtnl::open().ok()?;
    inside.add_veth("probe0", "probe1").ok()?;
    // Modules of tunnels have made theirs in it, too, and not every one of them can be set up (`fb_tunnels_only_for_init_net`).
    for link in inside.links().ok()?.iter().filter(|link| ["probe0", "probe1"].contains(&&*link.name)) {
        inside.set_up(link.ifindex, true).ok()?;
    }
    let name = format!("probe{}", std::process::id());
    let socket = nicdock_netlink::rdma::Socket::open().ok()?;
    match socket.new_link("rxe", &name, "probe0") {
        // It looks for the netdev in the first namespace (`rxe_newlink()` up to 6.x).
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Some(false),
        result => result.ok()?,
    }
    let listens = fs::read_to_string("/proc/self/net/udp").is_ok_and(|text| text.contains(PORT));
    let devices = socket.devices().ok()?;
    if let Some(device) = devices.iter().find(|d| d.name == name) {
        let _ = socket.delete_link(device.index);
    }
    Some(listens)
}
