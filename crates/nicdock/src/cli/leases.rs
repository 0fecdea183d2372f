//! `nicdock leases`: who has which NIC.

use crate::failure::Failure;
use crate::listing;
use nicdock_core::lease::Ledger;
use nicdock_core::phases::names;
use nicdock_core::say::answer;

#[derive(clap::Args)]
#[command(
    after_help = "States: reserved (set aside for a claim or job, no container has it); starting, held, returning; abandoned (its nicdock has ended: the next command gives it back);\nstuck (it should be back, and somebody keeps it, or a part of it, away; every command tries again);\ndraining (it is back, and a process outside can still reach it); quarantined (it is back, and not as it was).\nWhat to do in each: docs/recovery.md.\n\nExamples:\n  nicdock leases\n  nicdock leases --json | jq '.leases[] | select(.state == \"draining\")'\n\nExit status: 0; 1 if a lease cannot be read (nicdock reconcile repairs)."
)]
pub struct Options {
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

pub fn leases(options: &Options) -> Result<u8, Failure> {
    let all = Ledger::of_machine().each()?;
    let pending = names::pending();
    let text =
        if options.json { listing::leases_json(&all, &pending)? } else { listing::leases(&all, &pending) };
    answer(&text)?;
    Ok(u8::from(all.iter().any(Result::is_err)))
}
