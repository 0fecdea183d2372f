//! nicdock gives a Linux container one of the host's fabric NICs and nothing else.

mod call;
mod cli;
mod failure;
mod listing;
mod probe;

use std::process::ExitCode;

fn main() -> ExitCode {
    nicdock_sys::umask::take_own();
    cli::main()
}
