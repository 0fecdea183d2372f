//! Moves RDMA devices into the container's network namespace and back, where their mode is exclusive.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nicdock_netlink::rdma::{Device, Socket};

use super::away::Away;
use super::{Doing, PhaseError};
use crate::plan::RdmaGrant;
use nicdock_sys::child::Child;
use nicdock_sys::netns;
use nicdock_sys::secluded::{Streams, seclude};

/// Moves a device from the namespace `home` into `there`.
pub fn take(rdma: &RdmaGrant, home: &OwnedFd, there: &OwnedFd) -> Result<(), PhaseError> {
    let name = &rdma.device.name;
    let index = rdma
        .device
        .index
        .ok_or(io::ErrorKind::NotFound)
        .doing(|| format!("finding {name} by RDMA netlink"))?;
    move_from(home, index, there).map_err(|error| {
        PhaseError::new(format!("moving {name} into the container's namespace"), error)
            .with_advice("its driver cannot be moved: use the shared mode (rdma system set netns shared)")
    })
}

/// Brings a device back; without a handle on the container's namespace, by the kernel, when that has died, or by a handle of who keeps it.
///
/// The caller is in the host's namespace. That the device is not there in the end is an error.
pub fn bring_back(rdma: &RdmaGrant, namespace: Option<&OwnedFd>, mut away: Away) -> Result<(), PhaseError> {
    let name = &rdma.device.name;
    if let Some(namespace) = namespace {
        fetch(rdma, namespace)?;
    }
    loop {
        let socket = Socket::open().doing(|| "opening RDMA netlink".into())?;
        let devices = socket.devices().doing(|| "listing the host's RDMA devices".into())?;
        if find(&devices, rdma).is_some() {
            return Ok(());
        }
        if let Some(handle) = away.wait(name)? {
            fetch(rdma, &handle)?;
        }
    }
}

/// Moves it out of the container's namespace if it is there.
fn fetch(rdma: &RdmaGrant, namespace: &OwnedFd) -> Result<(), PhaseError> {
    let inside = netns::within(namespace, || Socket::open()?.devices())
        .doing(|| "listing the container's RDMA devices".into())?;
    if let Some(device) = find(&inside, rdma) {
        let home = netns::current().doing(|| "opening the host's namespace".into())?;
        move_from(namespace, device.index, &home).doing(|| format!("moving {} back", rdma.device.name))?;
    }
    Ok(())
}

/// The kernel wants both the socket and the caller in the device's namespace (`ib_device_get_by_index`,
/// `rdma_dev_change_netns`). A child goes there: the launcher takes the caller's namespace for the container's, at any time.
fn move_from(namespace: &OwnedFd, index: u32, there: &OwnedFd) -> io::Result<()> {
    let attempt = || {
        seclude(&[namespace.as_fd(), there.as_fd()], Streams::default())?;
        netns::enter(namespace)?;
        Socket::open()?.set_netns(index, there.as_fd())
    };
    let status = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    match Child::fork(|| attempt().map_or_else(status, |()| 0))?.wait()? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// An index is the device's as long as it lives, in whatever namespace; a name can be changed.
fn find<'a>(devices: &'a [Device], rdma: &RdmaGrant) -> Option<&'a Device> {
    devices.iter().find(|device| Some(device.index) == rdma.device.index)
}
