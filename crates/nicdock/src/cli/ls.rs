//! `nicdock ls`: every fabric NIC of this machine or of a capture.

use std::path::PathBuf;

use super::Failure;
use super::host::Known;
use super::reconcile::give_back_stale;
use crate::listing::{self, Held, Holder, Holders};
use nicdock_core::lease::{self, Lease, Ledger};
use nicdock_core::say::answer;

#[derive(clap::Args)]
pub struct Options {
    /// Machine-readable output
    #[arg(long, conflicts_with = "tree")]
    pub json: bool,
    /// Show where each NIC is: NUMA node, root port, bridges, function, devices
    #[arg(long)]
    tree: bool,
    /// Also list physical netdevs without RDMA
    #[arg(long, short)]
    all: bool,
    /// Look at a capture instead of this machine
    #[arg(long, value_name = "CAPTURE")]
    host: Option<PathBuf>,
}

pub fn ls(options: &Options) -> Result<u8, Failure> {
    if options.host.is_none() && rustix::process::geteuid().is_root() {
        give_back_stale(&Ledger::of_machine())?;
    }
    let known = Known::read(options.host.as_deref())?;
    let holders = holders(&known);
    let text = if options.json {
        listing::json(&known.host, &holders, options.all)?
    } else if options.tree {
        listing::tree(&known.host, &holders, options.all)
    } else {
        listing::table(&known.host, &holders, options.all)
    };
    answer(&text)?;
    Ok(0)
}

fn holders(known: &Known) -> Holders {
    let holder = |h: &lease::Holder| Holder { container: h.container.clone(), pid: h.supervisor.pid };
    let held = |lease: &Lease| Held {
        containers: lease.holders.iter().map(holder).collect(),
        kept_by: lease.holders.is_empty().then(|| lease.kept_by()),
    };
    known.leases.iter().map(|lease| (lease.grant.nic.name.clone(), held(lease))).collect()
}
