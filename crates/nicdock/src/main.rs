//! nicdock gives a Linux container one of the host's fabric NICs and nothing else.

mod attach;
mod audit;
mod cli;
mod closing;
mod doing;
mod failpoint;
#[cfg(test)]
mod fuzz;
mod kernel;
mod launch;
mod lease;
mod libvirt;
mod lifecycle;
mod listing;
mod lxc;
mod phases;
mod plan;
mod probe;
mod request;
mod say;
mod seccomp;
mod settings;
mod static_program;
mod umask;
mod usnic;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    umask::take_own();
    cli::main()
}
