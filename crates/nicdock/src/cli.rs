//! The command line: one thin file a subcommand.

mod attach;
mod audit;
mod capture;
mod choices;
mod detach;
mod generate;
mod give_back;
pub mod host;
mod leases;
mod libvirt;
mod ls;
mod lxc;
mod nics;
mod plan;
mod probe;
mod reconcile;
mod request;
mod run;
mod terms;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// nicdock's own failure, as podman gives it; 2 is a wrong command line.
const FAILURE: u8 = 125;

#[derive(Parser)]
#[command(
    name = "nicdock",
    version,
    about = "Gives a Linux container one of the host's fabric NICs and nothing else"
)]
#[command(
    after_help = "Examples:\n  nicdock ls\n  nicdock run --nic rxe1 --host-root -- ibv_devices\n  nicdock plan --nic kind=roce,numa=0 --host-root -- ibv_devices"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the fabric NICs
    Ls(ls::Options),
    /// Write what is known of this machine's NICs to a file, to look at elsewhere
    Capture(capture::Options),
    /// Show what would be done and why; change nothing
    Plan(plan::Options),
    /// Run a program in a container that has the selected NICs and no others
    Run(run::Options),
    /// Give a NIC to a container that runs already, of any engine
    Attach(attach::Options),
    /// Take a NIC that was attached from its container, which runs on
    Detach(detach::Options),
    /// Give a container of LXC a NIC from its start to its end
    Lxc(lxc::Options),
    /// Give a container of libvirt a NIC from its start to its end
    Libvirt(libvirt::Options),
    /// Try, as a program would, whether the RDMA devices visible here can be used
    Probe(probe::Options),
    /// Try, as an attacker would, what a container can reach of NICs that are not its own
    Audit(audit::Options),
    /// Show who has which NIC, and what keeps one that is back from being given; change nothing
    Leases(leases::Options),
    /// Take a NIC back from its container
    Return(give_back::Options),
    /// Give back what a killed nicdock could not, and repair the ledger
    Reconcile(reconcile::Options),
    /// Print a shell's completion script
    Completion { shell: clap_complete::Shell },
    /// Print the manual page (roff), or write one for each command
    Man {
        /// Write nicdock.1, nicdock-run.1, … there
        #[arg(long, value_name = "DIR")]
        to: Option<std::path::PathBuf>,
    },
}

/// Any failure of nicdock itself, as a text for the user.
type Failure = Box<dyn std::error::Error>;

pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Ls(options) => ls::ls(&options),
        Command::Capture(options) => capture::capture(&options),
        Command::Plan(options) => plan::plan(&options),
        Command::Run(options) => run::run(&options),
        Command::Attach(options) => attach::attach(&options),
        Command::Detach(options) => detach::detach(&options),
        Command::Lxc(options) => lxc::lxc(&options),
        Command::Libvirt(options) => libvirt::libvirt(&options),
        Command::Probe(options) => probe::probe(&options),
        Command::Audit(options) => audit::audit(&options),
        Command::Leases(options) => leases::leases(&options),
        Command::Return(options) => give_back::give_back(&options),
        Command::Reconcile(options) => reconcile::reconcile(&options),
        Command::Completion { shell } => Ok(generate::completion(shell)),
        Command::Man { to } => generate::manual(to.as_deref()),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            nicdock_core::say::notice(error);
            ExitCode::from(FAILURE)
        }
    }
}
