//! `nicdock attach`: a NIC for a container that runs.

use super::Failure;
use super::choices;
use super::host::Known;
use super::nics::NicOptions;
use super::reconcile;
use super::terms::NetlinkOptions;
use nicdock_core::attach::{self, Target, TargetError, Terms};
use nicdock_core::lease::{Lease, Ledger};
use nicdock_core::phases::{filters, sockets, soft_roce};
use nicdock_core::plan::{self, Facts, Grant};
use nicdock_core::request::{Memlock, NetdevMode, Netlink, NicRequest, Profile};
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
    if !rustix::process::geteuid().is_root() {
        return Err(
            "attach needs root: moving a NIC and entering a container are the administrator's to do".into()
        );
    }
    let who = |leases: &[Lease]| match (options.pid, &options.container) {
        (Some(pid), _) => Target::of_process(pid, options.name.as_deref(), leases),
        (None, name) => Target::of_name(name.as_deref().unwrap_or_default(), leases),
    };
    let terms = Terms {
        view: options.view,
        accept_netlink: options.accept_netlink,
        netlink: options.netlink.allowed.clone(),
        memlock: Memlock::Unlimited,
        starts: false,
        cover_proc: false,
    };
    let (target, grants) = give(who, &[options.nics.request()], &terms, |_| Ok(()))?;
    for grant in &grants {
        answer(&format!(
            "container {} (process {}) has {}\n",
            target.name, target.process.pid, grant.nic.name
        ))?;
    }
    Ok(0)
}

/// Gives the NICs to a container, all or none, if `condition` holds for it; tells what is left open.
pub fn give(
    who: impl FnOnce(&[Lease]) -> Result<Target, TargetError>,
    wanted: &[NicRequest],
    terms: &Terms,
    condition: impl FnOnce(&Target) -> Result<(), Failure>,
) -> Result<(Target, Vec<Grant>), Failure> {
    let ledger = Ledger::of_machine();
    reconcile::give_back_stale(&ledger)?;
    // As run does: what is planned is what is there.
    let lock = ledger.lock()?;
    let known = Known::read(None)?;
    let target = who(&known.leases)?;
    plan::check_name(&target.name)?;
    condition(&target)?;
    let (grants, mut warnings) = choose(&known, wanted, &target.name)?;
    warnings.extend(attach::attach(&target, &grants, terms, &ledger, lock)?);
    for warning in warnings {
        notice(format_args!("warning: {warning}"));
    }
    Ok((target, grants))
}

/// What a container would be given now, and warnings; an error tells why it cannot be. No NIC is chosen for two wishes.
pub fn choose(
    known: &Known,
    wanted: &[NicRequest],
    name: &str,
) -> Result<(Vec<Grant>, Vec<String>), Failure> {
    let moves = wanted.iter().any(|one| one.netdev == NetdevMode::Move);
    let mut facts = Facts {
        socket_hook: sockets::are_hooked(),
        held: known.held(),
        running: known.running(),
        soft_roce_in_netns: if moves { soft_roce::works_in_netns(&known.host) } else { None },
        fresh_name: name.to_owned(),
    };
    let mut warnings = known.host.warnings.clone();
    let mut grants = Vec::new();
    for one in wanted {
        let more = plan::taken(&known.host, &facts, one, &mut warnings)?;
        facts.held.extend(more.iter().map(|grant| (grant.nic.name.clone(), name.to_owned())));
        grants.extend(more);
    }
    Ok((grants, warnings))
}

/// What a container whose program has not started leaves open, although its engine was told to close it, in sentences.
pub fn still_open(target: &Target, memlock: Memlock, netlink: &[Netlink]) -> Result<Vec<String>, Failure> {
    let mut open: Vec<String> =
        attach::openings(target, true).into_iter().map(|weakness| weakness.what).collect();
    open.extend(attach::memlock(target, memlock));
    open.extend(open_sockets(target, netlink)?);
    Ok(open)
}

/// The part of it that is never the container's own affair.
pub fn open_sockets(target: &Target, netlink: &[Netlink]) -> Result<Vec<String>, Failure> {
    let way = filters::lets_through(target.process.pid, netlink)?;
    Ok(way.map(|way| format!("its seccomp profile lets {way}")).into_iter().collect())
}
