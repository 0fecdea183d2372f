//! `nicdock leases`: who has which NIC, and since when.

use serde::Serialize;

use super::columns::columns;
use nicdock_core::lease::{Draining, Holder, Lease, LeaseError, Reservation, State, Step};
use nicdock_core::phases::names::{self, Pending};

const HEADING: [&str; 6] = ["NIC", "PCI", "STATE", "CONTAINER", "USER", "LAST STEP"];

/// The table, with what keeps a NIC that is back from being given, what cannot be read, and what free ones lack, below.
pub fn leases(all: &[Result<Lease, LeaseError>], pending: &[Pending]) -> String {
    let readable: Vec<&Lease> = all.iter().filter_map(|lease| lease.as_ref().ok()).collect();
    let mut rows = vec![HEADING.map(str::to_owned).to_vec()];
    rows.extend(readable.iter().map(|lease| row(lease)));
    let list = if readable.is_empty() { "No NIC is leased.\n".to_owned() } else { columns(&rows) };
    let kept = readable.iter().flat_map(|lease| {
        let nic = &lease.grant.nic.name;
        let draining = lease.draining.iter().map(move |one| format!("{nic}: {one}"));
        let reasons = lease.quarantine.iter().chain(&lease.stuck);
        draining.chain(reasons.map(move |reason| format!("{nic}: {reason}")))
    });
    let unreadable = all.iter().filter_map(|lease| lease.as_ref().err().map(ToString::to_string));
    let lacking = pending.iter().map(|one| {
        format!("{}: is without {}, which another interface is called", one.netdev, names::listed(one))
    });
    let notes: Vec<String> = kept.chain(unreadable).chain(lacking).collect();
    if notes.is_empty() { list } else { format!("{list}\n{}\n", notes.join("\n")) }
}

fn row(lease: &Lease) -> Vec<String> {
    let join = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join(", ") };
    let name = |holder: &Holder| format!("{} (process {})", holder.container, holder.supervisor.pid);
    let reserved = lease.reserved.iter().map(|of| format!("reserved for {}", of.owner));
    let mut users: Vec<String> = lease.holders.iter().map(|holder| holder.user.to_string()).collect();
    users.dedup();
    vec![
        lease.grant.nic.name.clone(),
        lease.grant.nic.pci.map_or_else(|| "-".to_owned(), |address| address.to_string()),
        lease.state().to_string(),
        join(lease.holders.iter().map(name).chain(reserved).collect()),
        join(users),
        lease.journal.last().map_or_else(|| "-".to_owned(), Step::to_string),
    ]
}

/// `{"schema": 1, "leases": […], "unreadable": […], "pending": […]}`.
pub fn leases_json(all: &[Result<Lease, LeaseError>], pending: &[Pending]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&listing(all, pending))? + "\n")
}

/// The same as a value.
pub fn leases_value(
    all: &[Result<Lease, LeaseError>],
    pending: &[Pending],
) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(listing(all, pending))
}

fn listing<'a>(all: &'a [Result<Lease, LeaseError>], pending: &'a [Pending]) -> Listing<'a> {
    Listing {
        schema: 1,
        leases: all.iter().filter_map(|lease| lease.as_ref().ok()).map(entry).collect(),
        unreadable: all.iter().filter_map(|lease| lease.as_ref().err().map(ToString::to_string)).collect(),
        pending,
    }
}

#[derive(Serialize)]
struct Listing<'a> {
    /// Version of this format: 1.
    schema: u32,
    leases: Vec<Entry<'a>>,
    /// What is wrong with each lease that cannot be read, a sentence.
    unreadable: Vec<String>,
    /// What netdevs came home without.
    pending: &'a [Pending],
}

#[derive(Serialize)]
struct Entry<'a> {
    nic: &'a str,
    pci: Option<nicdock_host::model::PciAddress>,
    state: State,
    /// No other lease ever has the same.
    generation: u64,
    holders: Vec<HolderEntry<'a>>,
    /// Each step that was begun, in order.
    journal: &'a [Step],
    draining: &'a [Draining],
    quarantine: Option<&'a str>,
    stuck: Option<&'a str>,
    /// Whom the NIC is set aside for.
    reserved: Option<&'a Reservation>,
    /// The netdevs and RDMA devices as they were on the host.
    before: &'a nicdock_host::model::Nic,
}

#[derive(Serialize)]
struct HolderEntry<'a> {
    #[serde(flatten)]
    holder: &'a Holder,
    alive: bool,
}

fn entry(lease: &Lease) -> Entry<'_> {
    let holder = |holder| HolderEntry { holder, alive: Holder::is_alive(holder) };
    Entry {
        nic: &lease.grant.nic.name,
        pci: lease.grant.nic.pci,
        state: lease.state(),
        generation: lease.generation,
        holders: lease.holders.iter().map(holder).collect(),
        journal: &lease.journal,
        draining: &lease.draining,
        quarantine: lease.quarantine.as_deref(),
        stuck: lease.stuck.as_deref(),
        reserved: lease.reserved.as_ref(),
        before: &lease.grant.nic,
    }
}
