//! `nicdock audit`: the static program `nicdock-audit`, put where a container's program is and told what is foreign.

mod answer;
mod executable;
mod filters;
mod frozen;
mod keeper;
mod limits;
mod offered;
mod own;
mod place;
mod scope;
mod standstill;
mod target;

pub use answer::run_in_place_of;
pub use executable::{Audit, AuditError, arguments};
pub use limits::limits;
pub use own::Own;
pub use target::target;

use std::ffi::CString;
use std::os::fd::OwnedFd;

use nicdock_sys::{child, memfd};

/// Becomes the audit where nicdock was called. Returns only the error.
pub fn run_here(audit: &Audit, arguments: &[String], junit: Option<&OwnedFd>) -> std::io::Error {
    if let Err(error) = child::forget_passed_descriptors() {
        return error;
    }
    let text = |text: &String| CString::new(text.as_str()).ok();
    let arguments: Vec<CString> = arguments.iter().filter_map(text).collect();
    let pass: Vec<(&str, &OwnedFd)> = junit.into_iter().map(|file| ("--junit-fd", file)).collect();
    audit.exec(&arguments, &[], &pass)
}

/// A sealed copy of what the audit is told.
pub fn told(content: &[u8]) -> std::io::Result<OwnedFd> {
    memfd::sealed("nicdock-audit-told", content)
}
