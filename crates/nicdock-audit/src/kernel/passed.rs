//! Descriptors that the parent left open for this program.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

/// The one with this number, which is asked for once.
pub fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the parent gave each number once, for this use; a wrong one makes the first read or write fail.
    unsafe { OwnedFd::from_raw_fd(number) }
}
