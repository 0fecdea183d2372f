//! Whether an RDMA device can be moved to another network namespace: only trying tells what its driver can.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nicdock_host::inventory;
use nicdock_host::model::{Host, RdmaDevice, RdmaNetnsMode};
use nicdock_netlink::rdma::Socket;

use nicdock_sys::netns;

/// Tries every RDMA device, where the mode is exclusive and the caller is root, and judges its NIC's isolation by that.
///
/// No device is touched: see [`attempt`]. An error means that the caller may be left in another network namespace.
pub fn try_all(host: &mut Host) -> io::Result<()> {
    let exclusive = host.rdma_netns_mode == Some(RdmaNetnsMode::Exclusive);
    if !exclusive || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Ok(socket) = Socket::open() else { return Ok(()) };
    netns::within_new(|| {
        let scratch = netns::current()?;
        for device in host.nics.iter_mut().flat_map(|nic| &mut nic.rdma_devices) {
            device.moves = attempt(&socket, device, &scratch);
        }
        Ok(())
    })?;
    inventory::judge(host);
    Ok(())
}

/// Asks for a move that cannot be: `socket` belongs to the device's namespace, and the caller is in another one.
///
/// `ib_device_set_netns_put()` (drivers/infiniband/core/device.c) first asks the driver and says `EOPNOTSUPP`; then
/// `rdma_dev_change_netns()` compares the caller's namespace with the device's and says `ENODEV`, before it does anything.
/// (Did a kernel not compare, the device would come back when the scratch namespace dies.)
fn attempt(socket: &Socket, device: &RdmaDevice, scratch: &OwnedFd) -> Option<bool> {
    match socket.set_netns(device.index?, scratch.as_fd()).map_err(|error| error.raw_os_error()) {
        Ok(()) | Err(Some(libc::ENODEV)) => Some(true),
        Err(Some(libc::EOPNOTSUPP)) => Some(false),
        Err(_) => None,
    }
}
