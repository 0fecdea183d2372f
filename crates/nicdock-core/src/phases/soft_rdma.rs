//! Soft RDMA devices (rxe, siw): they vanish when their netdev moves, and are made anew where it arrives.

use std::io;
use std::time::{Duration, Instant};

use nicdock_netlink::rdma::Socket;

use super::{Doing, Patience, PhaseError, stale};
use crate::lease::{Draining, Ledger};
use nicdock_sys::closing::Closing;

/// How long the kernel may take to finish with the old device: it does so in the background (drivers/infiniband/core/device.c,
/// `ib_unregister_device_queued`). Until then the name is refused, and the netdev still has a device.
const OLD_DEVICE: Duration = Duration::from_secs(10);

/// The same if a process has it open that does not end: only then does the kernel finish with it (`ib_uverbs_remove_one()` waits).
const OPEN_DEVICE: Duration = Duration::from_secs(2);

/// A device to make.
pub struct Wanted<'a> {
    /// `rxe`, `siw`.
    pub kind: &'a str,
    pub name: &'a str,
    pub netdev: &'a str,
}

/// Makes it in the caller's namespace; one that is there already is left. Nobody can open it by the number of a device that has gone.
///
/// `holders` are those that may have the old device open. An error that [`PhaseError::is_kept_away`] means that the old one is still there.
pub fn make(
    wanted: &Wanted<'_>,
    ledger: &Ledger,
    patience: Patience,
    holders: impl Fn() -> Vec<Draining>,
) -> Result<(), PhaseError> {
    let Wanted { kind, name, netdev } = wanted;
    let what = || format!("making {name} ({kind}) anew on {netdev}");
    let socket = Socket::open().doing(|| "opening RDMA netlink".into())?;
    let begin = Instant::now();
    let limit = patience.kernel().min(OLD_DEVICE);
    let mut looked = false;
    loop {
        match stale::around(ledger, || socket.new_link(kind, name, netdev))? {
            Err(error) if is_taken(&error) => {
                // One that the kernel is about to remove still counts for it there, and not here.
                if Closing::RemadeDevice.is_left_open() && error.kind() == io::ErrorKind::AlreadyExists
                    || is_there(&socket, wanted).doing(what)?
                {
                    return Ok(());
                }
            }
            result => return result.doing(what),
        }
        let elapsed = begin.elapsed();
        let is_over = elapsed > limit;
        if is_over || elapsed > OPEN_DEVICE && !looked {
            looked = true;
            let holders = holders();
            if is_over || !holders.is_empty() {
                return Err(PhaseError::new(what(), still_there(&holders)).with_advice(
                    "end whoever has it: the next nicdock command, or nicdock reconcile, makes the device anew",
                ));
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// ENFILE is how `assign_name` says that the name is taken, EEXIST how the driver says that the netdev has a device (`rxe_newlink()`,
/// `siw_newlink()`).
fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AlreadyExists || error.raw_os_error() == Some(libc::ENFILE)
}

/// Whether it is on its netdev. The kernel lists no device that it has begun to remove (`ib_enum_all_devs()`, `DEVICE_REGISTERED`). One of the same
/// kind that somebody else has made there meanwhile is given the name.
fn is_there(socket: &Socket, wanted: &Wanted<'_>) -> io::Result<bool> {
    let protocol = match wanted.kind {
        "rxe" => "roce",
        "siw" => "iw",
        _ => return Ok(false),
    };
    for device in socket.devices()? {
        let is_on_netdev =
            socket.ports(device.index)?.iter().any(|port| port.netdev.as_deref() == Some(wanted.netdev));
        if !is_on_netdev || device.protocol.as_deref().is_some_and(|found| found != protocol) {
            continue;
        }
        if device.name != wanted.name {
            socket.rename(device.index, wanted.name)?;
        }
        return Ok(true);
    }
    Ok(false)
}

fn still_there(holders: &[Draining]) -> io::Error {
    let by = if holders.is_empty() {
        "somebody has its node open and no process can be found that has: a message that nobody has received may keep it".to_owned()
    } else {
        holders.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    io::Error::new(io::ErrorKind::TimedOut, format!("the old device is still there: {by}"))
}
