//! Soft RDMA devices (rxe, siw): they vanish when their netdev moves, and are made anew where it arrives.

use std::io;
use std::time::{Duration, Instant};

use super::{Doing, PhaseError, stale};
use crate::lease::Ledger;

/// How long the kernel may take to finish with the old device of the same name: it does so in the background
/// (drivers/infiniband/core/device.c, `ib_unregister_device_queued`), and the name is refused until then.
const OLD_DEVICE: Duration = Duration::from_secs(10);

/// Makes `name` of `kind` on `netdev`, in the caller's namespace; one that is there already is left. Nobody can open it by the number of
/// a device that has gone.
pub fn make(kind: &str, name: &str, netdev: &str, ledger: &Ledger) -> Result<(), PhaseError> {
    let what = || format!("making {name} ({kind}) anew on {netdev}");
    let socket = rdma_netlink::Socket::open().doing(|| "opening RDMA netlink".into())?;
    let begin = Instant::now();
    loop {
        match stale::around(ledger, || socket.new_link(kind, name, netdev))? {
            // ENFILE is how `assign_name` says that the name is taken.
            Err(error) if error.raw_os_error() == Some(libc::ENFILE) && begin.elapsed() < OLD_DEVICE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            result => return result.doing(what),
        }
    }
}
