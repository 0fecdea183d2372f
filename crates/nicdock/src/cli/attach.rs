//! `nicdock attach`: a NIC for a container that runs.

use super::choices;
use super::nics::NicOptions;
use super::terms::NetlinkOptions;
use crate::failure::{Failure, need_root};
use nicdock_core::attach::{Target, Terms};
use nicdock_core::lease::{ATTACH, Lease};
use nicdock_core::node::{Given, Node, Wanted};
use nicdock_core::request::Profile;
use nicdock_core::say::{answer, notice};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock attach --nic rxe1 --netdev keep --container client\n  nicdock attach --nic kind=usnic,any --pid $(crun state mpi | jq .pid) --name mpi\n  nicdock detach mpi\n\nThe container may be any engine's. It goes on running, and stands still for a moment while what it is shown is exchanged. One that\nnicdock has not made keeps its own capabilities, system calls and file system: what these leave open is told.\n\nExit status: 0 when the container has the NIC; other numbers say why not (nicdock --help), and everything is as before."
)]
#[command(group(clap::ArgGroup::new("who").required(true).args(["pid", "container"])))]
pub struct Options {
    #[command(flatten)]
    nics: NicOptions,
    /// The container that this process is in
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// A container of nicdock's, or one that has a NIC of it already, by its name
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// What a container that nicdock has not made is called in nicdock leases (pid-PID)
    #[arg(long, conflicts_with = "container")]
    name: Option<String>,
    /// What it is shown of /sys from then on: 'off' leaves its own
    #[arg(long, default_value = "nic", value_parser = choices::view_of_an_engines())]
    view: Profile,
    /// Give it to a container whose root can then use RDMA netlink, by which the host's RDMA devices can be renamed and deleted
    #[arg(long)]
    accept_netlink: bool,
    #[command(flatten)]
    netlink: NetlinkOptions,
}

pub fn attach(options: &Options) -> Result<u8, Failure> {
    need_root("attach needs root: moving a NIC and entering a container are the administrator's to do")?;
    let who = |leases: &[Lease]| match (options.pid, &options.container) {
        (Some(pid), _) => Target::of_process(pid, options.name.as_deref(), leases),
        (None, name) => Target::of_name(name.as_deref().unwrap_or_default(), leases),
    };
    let netlink = options.netlink.allowed.clone();
    let terms = Terms::of_running(ATTACH, options.view, options.accept_netlink, netlink);
    let given = Node::of_machine().give(who, Wanted::Asked(&[options.nics.request()]), &terms, |_| Ok(()))?;
    warn(&given);
    let Given { target, grants, .. } = given;
    for grant in &grants {
        answer(&format!(
            "container {} (process {}) has {}\n",
            target.name, target.process.pid, grant.nic.name
        ))?;
    }
    Ok(0)
}

/// Says what is left open, and what differs from what was asked.
pub fn warn(given: &Given) {
    let weaknesses = given.weaknesses.iter().map(ToString::to_string);
    for warning in given.warnings.iter().cloned().chain(weaknesses) {
        notice(format_args!("warning: {warning}"));
    }
}
