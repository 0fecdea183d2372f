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
    let works = Child::fork(|| i32::from(attempt().is_none())).and_then(|mut child| child.wait()).ok()? == 0;
    let _ = fs::create_dir_all(STATE).and_then(|()| fs::write(&kept, if works { "yes" } else { "no" }));
    Some(works)
}

/// The scratch namespace and all in it die with this process.
fn attempt() -> Option<()> {
    netns::enter_new().ok()?;
    let mut inside = Rtnl::open().ok()?;
    inside.add_veth("probe0", "probe1").ok()?;
    for link in inside.links().ok()?.iter().filter(|link| link.name != "lo") {
        inside.set_up(link.ifindex, true).ok()?;
    }
    let name = format!("probe{}", std::process::id());
    let socket = nicdock_netlink::rdma::Socket::open().ok()?;
    socket.new_link("rxe", &name, "probe0").ok()?;
    let listens = fs::read_to_string("/proc/self/net/udp").is_ok_and(|text| text.contains(PORT));
    let devices = socket.devices().ok()?;
    if let Some(device) = devices.iter().find(|d| d.name == name) {
        let _ = socket.delete_link(device.index);
    }
    listens.then_some(())
}
