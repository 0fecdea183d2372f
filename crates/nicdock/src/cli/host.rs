//! The host that a command looks at: this machine, or a capture of another.

use std::path::Path;

use crate::failure::Failure;
use nicdock_core::node::HostSnapshot;
use nicdock_host::capture::Capture;
use nicdock_host::inventory;

/// Reads a capture, or this machine with the leases on it.
pub fn read(capture: Option<&Path>) -> Result<HostSnapshot, Failure> {
    match capture {
        Some(path) => Ok(HostSnapshot::of_capture(inventory::read(&Capture::open(path)?)?)),
        None => Ok(HostSnapshot::of_machine()?),
    }
}
