//! `nicdock lxc`: a NIC for a container of LXC, from its start to its end.

use std::path::{Path, PathBuf};

use super::attach::warn;
use super::caller;
use super::nics::NicOptions;
use super::terms::{NetlinkOptions, TermOptions};
use crate::failure::Failure;
use nicdock_core::attach::Terms;
use nicdock_core::kind::Kind;
use nicdock_core::lifecycle::Recovered;
use nicdock_core::plan;
use nicdock_core::request::{Memlock, Netlink, Profile};
use nicdock_core::say::{answer, notice};
use nicdock_lxc::hook;
use nicdock_lxc::{Container, Fragment, LxcError, merge, policy, quote};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock lxc install mpi --nic rxe1\n  lxc-start -n mpi\n  nicdock lxc remove mpi\n  nicdock lxc seccomp > /etc/lxc/nicdock.seccomp\n  nicdock lxc config --nic kind=usnic,any --ip 10.1.1.2/24 \\\n      --seccomp /etc/lxc/nicdock.seccomp > /etc/lxc/nicdock.conf\n\nThe container gets the NIC before its program starts, or does not start; it goes back when the container ends, however. Containers that have nothing of it in their configuration are as before. docs/lxc.md tells it step by step.\n\nExit status: 0 when it is done; other numbers say why not (nicdock --help)."
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

impl Options {
    /// Does LXC call it?
    pub fn is_hook(&self) -> bool {
        matches!(self.command, Command::Hook(_))
    }
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print what a container's configuration has to include
    Config {
        #[command(flatten)]
        how: How,
        /// The file with the seccomp policy that nicdock lxc seccomp has printed; without it the container's own is in force
        #[arg(long, value_name = "FILE")]
        seccomp: Option<PathBuf>,
    },
    /// Print the seccomp policy
    Seccomp {
        /// Allow only what this policy allows, too
        #[arg(long, value_name = "FILE")]
        merge: Option<PathBuf>,
        /// Allow what makes namespaces and mounts
        #[arg(long)]
        keep_privileges: bool,
        #[command(flatten)]
        netlink: NetlinkOptions,
    },
    /// Give a container NICs from its next start on, instead of those of an earlier install
    Install {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
    /// Take nicdock's line out of a container's configuration, which is as it was then
    Remove {
        #[command(flatten)]
        which: Which,
    },
    /// What LXC calls
    #[command(hide = true, subcommand)]
    Hook(Hook),
}

#[derive(clap::Args)]
struct Which {
    /// The container
    name: String,
    /// Folder of LXC's containers
    #[arg(short = 'P', long = "lxcpath", value_name = "DIR", default_value = "/var/lib/lxc")]
    path: PathBuf,
}

#[derive(clap::Args)]
struct How {
    #[command(flatten)]
    nics: NicOptions,
    #[command(flatten)]
    terms: TermOptions,
    /// Start it although its root can then use RDMA netlink, by which the host's RDMA devices can be renamed and deleted
    #[arg(long)]
    accept_netlink: bool,
}

#[derive(clap::Subcommand)]
enum Hook {
    PreStart {
        #[command(flatten)]
        how: How,
        /// Name, section and kind, as LXC adds them
        lxc: Vec<String>,
    },
    StartHost {
        #[command(flatten)]
        how: How,
        lxc: Vec<String>,
    },
    Stop {
        lxc: Vec<String>,
    },
}

pub fn lxc(options: &Options) -> Result<u8, Failure> {
    match &options.command {
        Command::Config { how, seccomp } => answer(&fragment(how, seccomp.as_deref())?)?,
        Command::Seccomp { merge, keep_privileges, netlink } => {
            answer(&merged(merge.as_deref(), *keep_privileges, &netlink.allowed)?)?;
        }
        Command::Install { which, how } => install(which, how)?,
        Command::Remove { which } => {
            if !open(which)?.remove()? {
                return Err(LxcError::NotInstalled(which.name.clone()).into());
            }
            answer(&format!("{} starts without nicdock from now on\n", which.name))?;
        }
        Command::Hook(hook) => {
            return called(hook).inspect_err(|error| caller::tell(&error.to_string()));
        }
    }
    Ok(0)
}

fn open(which: &Which) -> Result<Container, Failure> {
    plan::check_name(&which.name)?;
    let path = std::path::absolute(&which.path)?;
    Ok(Container::open(&which.name, &path)?)
}

fn fragment(how: &How, seccomp: Option<&Path>) -> Result<String, Failure> {
    let program = std::env::current_exe()?;
    let seccomp = seccomp.map(std::path::absolute).transpose()?;
    for path in [Some(&program), seccomp.as_ref()].into_iter().flatten() {
        if path.to_str().and_then(quote).is_none_or(|quoted| quoted.starts_with('\'')) {
            return Err(Failure::new(
                Kind::BadInput,
                format!("{}: LXC's configuration cannot hold such a path", path.display()),
            ));
        }
    }
    plan::check_wish(&how.nics.request())?;
    let options = how.words().iter().map(|word| quote(word)).collect::<Option<Vec<_>>>();
    let options = options.ok_or_else(|| {
        Failure::new(
            Kind::BadInput,
            "an option has a quotation mark or a line's end, which LXC's configuration cannot hold",
        )
    })?;
    Ok(Fragment {
        program: &program,
        options: &options.join(" "),
        memlock: how.terms.memlock,
        seccomp: seccomp.as_deref(),
        keep_privileges: how.terms.keep_privileges,
    }
    .text())
}

impl How {
    /// The options as words of a command line.
    fn words(&self) -> Vec<String> {
        let mut words = self.nics.words();
        let TermOptions { memlock, view, keep_privileges, netlink } = &self.terms;
        words.extend(netlink.words());
        if let Memlock::Bytes(bytes) = memlock {
            words.extend(["--memlock".to_owned(), bytes.to_string()]);
        }
        if *view == Profile::Off {
            words.extend(["--view", "off"].map(str::to_owned));
        }
        for (given, name) in
            [(*keep_privileges, "--keep-privileges"), (self.accept_netlink, "--accept-netlink")]
        {
            words.extend(given.then(|| name.to_owned()));
        }
        words
    }

    fn terms(&self) -> Terms {
        let TermOptions { memlock, view, keep_privileges, netlink } = &self.terms;
        Terms::of_start(
            "lxc",
            *view,
            self.accept_netlink,
            *keep_privileges,
            netlink.allowed.clone(),
            *memlock,
        )
    }
}

/// Ours, with what `theirs` refuses refused.
fn merged(theirs: Option<&Path>, keep_privileges: bool, netlink: &[Netlink]) -> Result<String, Failure> {
    let ours = policy(keep_privileges, netlink);
    let Some(path) = theirs else { return Ok(ours) };
    let failed = |reason: &dyn std::fmt::Display| format!("seccomp policy {}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    Ok(merge(&ours, &text).map_err(|error| failed(&error))?)
}

fn install(which: &Which, how: &How) -> Result<(), Failure> {
    let container = open(which)?;
    // What it includes itself is looked at, not what an earlier call put there.
    container.remove()?;
    let policy =
        merged(container.own_policy()?.as_deref(), how.terms.keep_privileges, &how.terms.netlink.allowed)?;
    container.install(&fragment(how, Some(&container.policy()))?, &policy)?;
    let name = &which.name;
    let nics: Vec<String> = how.nics.request().selectors.iter().map(ToString::to_string).collect();
    answer(&format!(
        "{name} gets {} at its next start: see {}\n",
        nics.join(" and "),
        container.fragment().display()
    ))?;
    Ok(())
}

fn called(hook: &Hook) -> Result<u8, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err("LXC runs as an ordinary user here: giving a NIC needs root, so let root start the container (lxc.idmap makes it unprivileged all the same)".into());
    }
    let name = std::env::var("LXC_NAME").map_err(|_| "LXC_NAME is not set: LXC calls this, nobody else")?;
    plan::check_name(&name)?;
    match hook {
        Hook::PreStart { how, lxc: _ } => hook::pre_start(&name, &[how.nics.request()])?,
        Hook::StartHost { how, lxc: _ } => {
            let pid = std::env::var("LXC_PID").ok().and_then(|text| text.parse().ok());
            let pid = pid.ok_or("LXC_PID is not set: LXC calls this, nobody else")?;
            warn(&hook::start_host(&name, pid, &[how.nics.request()], &how.terms())?);
        }
        Hook::Stop { lxc: _ } => {
            let Recovered { done, failed } = hook::stopped(&name)?;
            done.iter().for_each(notice);
            for error in &failed {
                notice(error);
                caller::tell(&error.to_string());
            }
            return Ok(if failed.is_empty() { 0 } else { super::FAILURE });
        }
    }
    Ok(0)
}
