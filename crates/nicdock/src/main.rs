//! nicdock gives a Linux container one of the host's fabric NICs and nothing else.

mod bench;
mod call;
mod cli;
mod doctor;
mod failure;
mod listing;
mod probe;
mod setup;
mod topo;

use std::process::ExitCode;

fn main() -> ExitCode {
    nicdock_sys::umask::take_own();
    cli::main()
}
