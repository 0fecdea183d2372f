//! `nicdock reconcile`: gives back what a killed nicdock could not, and repairs the ledger.

use crate::failure::{Failure, kind_of_returns};
use nicdock_core::lease::Ledger;
use nicdock_core::lifecycle::{self, Recovered};
use nicdock_core::phases::stale;
use nicdock_core::say::{answer, notice};

#[derive(clap::Args)]
#[command(
    after_help = "Every command that looks at this machine as root gives back what a killed nicdock left; this one does only that, and\nrepairs leases that cannot be read, which no other command touches. docs/recovery.md tells what each line means.\n\nExit status: 0 when nothing is left to do; other numbers say why not (nicdock --help)."
)]
pub struct Options {
    /// Only tell what is different from what the ledger says, and what would be done about it
    #[arg(long)]
    dry_run: bool,
    /// Only take from containers that run what they have of RDMA devices that have gone, as a rule of udev's asks
    #[arg(long, conflicts_with = "dry_run")]
    gone: bool,
}

pub fn reconcile(options: &Options) -> Result<u8, Failure> {
    let ledger = Ledger::of_machine();
    if options.gone {
        let done = stale::look(&ledger)?.iter().map(ToString::to_string).collect();
        return tell(&Recovered { done, failed: Vec::new() });
    }
    let recovered =
        if options.dry_run { lifecycle::differences(&ledger)? } else { lifecycle::reconcile(&ledger)? };
    if !options.dry_run {
        super::cdi::refresh();
    }
    if recovered.done.is_empty() && recovered.failed.is_empty() {
        answer("nothing to give back\n")?;
    }
    tell(&recovered)
}

/// What was done is the answer; gives the exit status.
pub fn tell(recovered: &Recovered) -> Result<u8, Failure> {
    recovered.done.iter().try_for_each(|line| answer(&format!("{line}\n")))?;
    recovered.failed.iter().for_each(notice);
    let failed = &recovered.failed;
    Ok(if failed.is_empty() { 0 } else { kind_of_returns(failed).exit_status() })
}
