//! `nicdock oci`: registers nicdock with OCI engines, and answers the calls of their runtimes.

mod install;

use std::io::stdin;
use std::path::PathBuf;

use super::attach::warn;
use super::caller;
use super::terms::NetlinkOptions;
use crate::failure::{Failure, need_root};
use nicdock_core::lifecycle::Recovered;
use nicdock_core::say::{answer, notice};
use nicdock_oci::profile::profile;
use nicdock_oci::spec::State;
use nicdock_oci::{edit, hook};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock oci install --engine docker --dry-run\n  nicdock oci install --engine docker\n  docker run --runtime nicdock --device /dev/infiniband/uverbs0 image ./app\n  nicdock oci uninstall --engine docker\n  nicdock oci seccomp > /etc/nicdock/seccomp.json\n  podman run --security-opt seccomp=/etc/nicdock/seccomp.json --device nicdock.io/nic=mlx5_0 image ./app\n\nUnder an engine's own profile nicdock adds a filter to the container's first process; programs that are executed in it later\n(podman exec) have the engine's alone. With nicdock's profile both are the same. docs/engines/podman.md and\ndocs/engines/docker.md tell it.\n\nExit status: 0 when it is done; 1 when something was left, since somebody else made or edited it or has to add a line; other numbers say\nwhy not (nicdock --help)."
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

impl Options {
    pub fn wants_json(&self) -> bool {
        matches!(&self.command, Command::Install(options) if options.json)
    }

    /// Does a runtime call it?
    pub fn is_hook(&self) -> bool {
        matches!(self.command, Command::Hook(_) | Command::Runtime(_))
    }
}

#[derive(clap::Subcommand)]
enum Command {
    /// Tell an engine of nicdock; its own files keep all else that they have
    Install(install::Install),
    /// Take away what install, or nicdock setup, made for an engine
    Uninstall(install::Uninstall),
    /// Print nicdock's seccomp profile, as engines take it
    Seccomp {
        #[command(flatten)]
        netlink: NetlinkOptions,
    },
    /// What runtimes call
    #[command(hide = true, subcommand)]
    Hook(Hook),
    /// What nicdock-runtime calls
    #[command(hide = true, subcommand)]
    Runtime(Runtime),
}

#[derive(clap::Subcommand)]
enum Runtime {
    /// Before a container is made
    Create {
        /// Where its configuration is
        #[arg(long, value_name = "DIR")]
        bundle: PathBuf,
    },
    /// Before a program is executed in one
    Exec {
        /// What is to be executed
        #[arg(long, value_name = "FILE")]
        process: PathBuf,
        /// The container
        #[arg(long)]
        name: String,
    },
}

#[derive(clap::Subcommand)]
enum Hook {
    /// At createRuntime
    Create {
        /// The NIC of this device; those of the other devices are given with it
        #[arg(long, value_name = "SEL")]
        nic: String,
    },
    /// At poststop
    Stop,
}

pub fn oci(options: &Options) -> Result<u8, Failure> {
    match &options.command {
        Command::Install(options) => install::install(options),
        Command::Uninstall(options) => install::uninstall(options),
        Command::Seccomp { netlink } => {
            answer(&format!("{:#}\n", profile(&netlink.allowed)))?;
            Ok(0)
        }
        Command::Hook(hook) => called(hook).inspect_err(|error| caller::tell_unheard(&error.to_string())),
        Command::Runtime(runtime) => {
            before(runtime).inspect_err(|error| caller::in_log(&error.to_string()))?;
            Ok(0)
        }
    }
}

fn before(runtime: &Runtime) -> Result<(), Failure> {
    need_root(ROOTLESS)?;
    match runtime {
        Runtime::Create { bundle } => edit::create(bundle, &std::env::current_exe()?)?,
        Runtime::Exec { process, name } => edit::execute(process, name)?,
    }
    Ok(())
}

const ROOTLESS: &str = "a rootless engine runs as an ordinary user here: giving a NIC needs root, so let root start the container";

fn called(hook: &Hook) -> Result<u8, Failure> {
    need_root(ROOTLESS)?;
    let state = State::read(stdin())?;
    match hook {
        Hook::Create { nic: _ } => {
            if let Some(given) = hook::create(&state)? {
                warn(&given);
            }
            Ok(0)
        }
        Hook::Stop => {
            let Recovered { done, failed } = hook::stop(&state)?;
            done.iter().for_each(notice);
            failed.iter().for_each(notice);
            Ok(if failed.is_empty() { 0 } else { super::FAILURE })
        }
    }
}
