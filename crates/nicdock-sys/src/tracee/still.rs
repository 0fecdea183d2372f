//! Stopping a thread for as long as the caller lives.

use std::io;

/// Makes thread `tid` stop before its next instruction, by ptrace (ptrace(2), `PTRACE_SEIZE`, `PTRACE_INTERRUPT`), and whatever it is about to make
/// with it (`PTRACE_O_TRACECLONE`, …). It goes on when the caller ends, however that comes: the kernel detaches a tracer's threads (`exit_ptrace()`).
///
/// This asks only: it stands still when its state is `t`, or while it waits in the kernel, from where it comes back to the stop.
pub fn stop(tid: u32) -> io::Result<()> {
    let tid = super::number(tid)?.as_raw_nonzero().get();
    let none = std::ptr::null_mut::<libc::c_void>();
    let options = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK;
    // SAFETY: neither request reads or writes memory of ours.
    unsafe {
        if libc::ptrace(libc::PTRACE_SEIZE, tid, none, libc::c_long::from(options)) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::ptrace(libc::PTRACE_INTERRUPT, tid, none, none);
    }
    Ok(())
}
