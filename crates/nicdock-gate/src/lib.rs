//! What nicdock and the gate have agreed upon.

/// The program's name.
pub const NAME: &str = "nicdock-gate";

/// nicdock sends it when the container is as it was promised: `SIGUSR1`. The gate obeys it from outside of its process namespace only, where the kernel says 0
/// for the sender (`send_signal_locked()`, kernel/signal.c), so nothing in a container opens a gate.
///
/// It gets a handler when everything else is closed, and by that (`SigCgt` of proc_pid_status(5)) nicdock sees that the gate waits.
pub const OPENS: i32 = libc::SIGUSR1;

/// How long the gate waits, in seconds, unless it is told.
pub const PATIENCE: u32 = 120;
