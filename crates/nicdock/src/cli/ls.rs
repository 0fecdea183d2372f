//! `nicdock ls`: every fabric NIC of this machine or of a capture.

use std::path::PathBuf;

use super::choices;
use super::host;
use crate::failure::Failure;
use crate::listing;
use nicdock_core::kind::Kind;
use nicdock_core::node::{HostSnapshot, Node};
use nicdock_core::plan::representor;
use nicdock_core::request::Selector;
use nicdock_core::say::answer;
use nicdock_host::model::Nic;

#[derive(clap::Args)]
pub struct Options {
    #[arg(value_name = "SEL", help = choices::selector("Only NICs that one of these means"))]
    selectors: Vec<Selector>,
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
        Node::of_machine().recover()?;
    }
    let mut known = host::read(options.host.as_deref())?;
    if !options.selectors.is_empty() {
        let host = &known.host;
        let named = options.selectors.iter().find_map(|selector| representor(host, selector)).cloned();
        keep_selected(&mut known, &options.selectors);
        if let Some(representor) = named.filter(|_| known.host.nics.is_empty()) {
            return Err(Failure::new(Kind::NoMatch, format!("{representor}; it is no NIC's netdev")));
        }
        if known.host.nics.is_empty() {
            let words: Vec<String> = options.selectors.iter().map(ToString::to_string).collect();
            let why = format!("no NIC here is {} (nicdock ls --all shows them)", words.join(" or "));
            return Err(Failure::new(Kind::NoMatch, why));
        }
    }
    // What is named is shown, whatever it is.
    let all = options.all || !options.selectors.is_empty();
    let holders = listing::holders(&known.leases);
    let text = if options.json {
        listing::json(&known.host, &holders, all)?
    } else if options.tree {
        listing::tree(&known.host, &holders, all)
    } else {
        listing::table(&known.host, &holders, all)
    };
    answer(&text)?;
    Ok(0)
}

/// Leaves the NICs that a selector means, whatever its count.
fn keep_selected(known: &mut HostSnapshot, selectors: &[Selector]) {
    let held = known.held();
    let is_free = |nic: &Nic| {
        let is_here = !nic.netdevs.is_empty() || !nic.rdma_devices.is_empty();
        is_here && nic.in_use.is_empty() && !held.contains_key(&nic.name)
    };
    let is_meant = |nic: &Nic| {
        let means = |one: &Selector| one.matches(&known.host, nic) && (!one.wants_free() || is_free(nic));
        selectors.iter().any(means)
    };
    known.host.nics = known.host.nics.iter().filter(|nic| is_meant(nic)).cloned().collect();
}
