//! `nicdock reconcile`: gives back what a killed nicdock could not.

use std::path::Path;

use super::Failure;
use crate::launch::{self, Recovered};
use crate::lease::{Ledger, STATE};
use crate::say::{answer, notice};

pub fn reconcile() -> Result<u8, Failure> {
    let Recovered { done, failed } = launch::recover(&Ledger::new(Path::new(STATE)))?;
    if done.is_empty() && failed.is_empty() {
        answer("nothing to give back\n")?;
    }
    done.iter().try_for_each(|line| answer(&format!("{line}\n")))?;
    failed.iter().for_each(notice);
    Ok(if failed.is_empty() { 0 } else { super::FAILURE })
}

/// What every command that looks at this machine as root does first; says what it gave back on standard error.
pub fn give_back_stale(ledger: &Ledger) -> Result<(), Failure> {
    let Recovered { done, failed } = launch::recover(ledger)?;
    for line in done {
        notice(format_args!("{line}, whose nicdock was killed"));
    }
    // That NIC stays leased and is listed so; it is no reason not to work with the others.
    for error in failed {
        notice(format_args!("warning: {error}"));
    }
    Ok(())
}
