//! The command line: one thin file a subcommand.

mod attach;
mod audit;
mod bench;
mod call;
mod caller;
mod capture;
mod cdi;
mod choices;
mod detach;
mod doctor;
mod generate;
mod give_back;
mod host;
mod leases;
mod libvirt;
mod ls;
mod lxc;
mod nics;
mod oci;
mod plan;
mod probe;
mod reconcile;
mod request;
mod run;
mod setup;
mod terms;
mod topo;

use std::process::ExitCode;
use std::sync::LazyLock;

use crate::failure::Failure;

use clap::{Parser, Subcommand};

/// What engines and users of `nicdock run` get of any failure, as podman gives it: other numbers are the program's.
const FAILURE: u8 = 125;

#[derive(Parser)]
#[command(
    name = "nicdock",
    version,
    long_version = long_version(),
    about = "Gives a Linux container one of the host's fabric NICs and nothing else"
)]
#[command(
    after_help = "Examples:\n  nicdock ls\n  nicdock run --nic rxe1 --host-root -- ibv_devices\n  nicdock plan --nic kind=roce,numa=0 --host-root -- ibv_devices\n\nExit status, but of run (see there) and of the hooks that engines call:\n    0  done\n    1  a finding: something is open (audit), not usable (probe), a problem (doctor), cannot be read\n       (leases), or left to somebody else (setup, oci)\n    2  wrong command line\n    3  no NIC, container or process is what was named\n    4  more NICs match than were asked for\n    5  a container has the NIC, or the name\n    6  the host, or a process, uses the NIC; another nicdock setup is at work\n    7  the kernel, the driver or the engine cannot do it\n    8  a container would be less isolated than promised\n    9  a NIC is not back on the host as it was\n   10  timed out\n   11  the caller may not do it\n   12  a value, a file or a document is not valid\n  125  anything else"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the fabric NICs
    Ls(ls::Options),
    /// Draw where NICs, GPUs and disks are, and which NIC is nearest to what
    Topo(topo::Options),
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
    /// Make the NICs devices that Podman and other OCI engines know: --device nicdock.io/nic=NAME
    Cdi(cdi::Options),
    /// Tell Docker, Podman or containerd of nicdock; print the seccomp profile for them
    Oci(oci::Options),
    /// Try, as a program would, whether the RDMA devices visible here can be used
    Probe(probe::Options),
    /// Try, as an attacker would, what a container can reach of NICs that are not its own
    Audit(audit::Options),
    /// Tell what will go wrong with the NICs here, why, and what to do about it; change nothing
    Doctor(doctor::Options),
    /// Measure a NIC on the host and in a container, turn by turn, and compare
    Bench(bench::Options),
    /// Show who has which NIC, and what keeps one that is back from being given; change nothing
    Leases(leases::Options),
    /// Take a NIC back from its container
    Return(give_back::Options),
    /// Give back what a killed nicdock could not, and repair the ledger
    Reconcile(reconcile::Options),
    /// Make what this machine lacks for nicdock: modules, limits, timer, hooks of engines
    Setup(setup::Options),
    /// Do what a program asks: one JSON request on standard input, one answer on standard output
    Call(call::Options),
    /// Print a shell's completion script
    Completion { shell: clap_complete::Shell },
    /// Print the manual page (roff), or write one for each command
    Man {
        /// Write nicdock.1, nicdock-run.1, … there
        #[arg(long, value_name = "DIR")]
        to: Option<std::path::PathBuf>,
    },
}

impl Command {
    /// Was an answer for programs asked for?
    fn wants_json(&self) -> bool {
        match self {
            Self::Ls(options) => options.json,
            Self::Topo(options) => options.json,
            Self::Plan(options) => options.json,
            Self::Audit(options) => options.json,
            Self::Doctor(options) => options.json,
            Self::Leases(options) => options.json,
            Self::Probe(options) => options.json,
            Self::Setup(options) => options.json,
            Self::Libvirt(options) => options.wants_json(),
            Self::Cdi(options) => options.wants_json(),
            Self::Oci(options) => options.wants_json(),
            _ => false,
        }
    }

    /// Is the exit status somebody else's: of the container's program, or of a hook that an engine calls?
    fn has_foreign_status(&self) -> bool {
        match self {
            Self::Run(_) => true,
            Self::Lxc(options) => options.is_hook(),
            Self::Libvirt(options) => options.is_hook(),
            Self::Oci(options) => options.is_hook(),
            _ => false,
        }
    }
}

/// With what decides whether one version can take over from another while containers run.
fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let formats: Vec<String> = nicdock_core::lease::READ.map(|format| format.to_string()).collect();
        format!("{}\nlease formats {}", env!("CARGO_PKG_VERSION"), formats.join(" "))
    });
    &TEXT
}

pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    let (wants_json, has_foreign_status) = (command.wants_json(), command.has_foreign_status());
    let result = match command {
        Command::Ls(options) => ls::ls(&options),
        Command::Topo(options) => topo::topo(&options),
        Command::Capture(options) => capture::capture(&options),
        Command::Plan(options) => plan::plan(&options),
        Command::Run(options) => run::run(&options),
        Command::Attach(options) => attach::attach(&options),
        Command::Detach(options) => detach::detach(&options),
        Command::Lxc(options) => lxc::lxc(&options),
        Command::Libvirt(options) => libvirt::libvirt(&options),
        Command::Cdi(options) => cdi::cdi(&options),
        Command::Oci(options) => oci::oci(&options),
        Command::Probe(options) => probe::probe(&options),
        Command::Audit(options) => audit::audit(&options),
        Command::Doctor(options) => doctor::doctor(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Leases(options) => leases::leases(&options),
        Command::Return(options) => give_back::give_back(&options),
        Command::Reconcile(options) => reconcile::reconcile(&options),
        Command::Setup(options) => setup::setup(&options),
        Command::Call(options) => return call::call(&options),
        Command::Completion { shell } => Ok(generate::completion(shell)),
        Command::Man { to } => generate::manual(to.as_deref()),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            if wants_json {
                let _ = nicdock_core::say::answer(&format!("{:#}\n", failure.json()));
            }
            nicdock_core::say::notice(&failure);
            ExitCode::from(if has_foreign_status { FAILURE } else { failure.kind.exit_status() })
        }
    }
}
