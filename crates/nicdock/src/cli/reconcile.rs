//! `nicdock reconcile`: gives back what a killed nicdock could not.

use std::path::Path;

use super::Failure;
use crate::launch;
use crate::lease::{Ledger, STATE};
use crate::say::{answer, notice};

pub fn reconcile() -> Result<u8, Failure> {
    let told = launch::recover(&Ledger::new(Path::new(STATE)))?;
    let text = if told.is_empty() { "nothing to give back".to_owned() } else { told.join("\n") };
    answer(&(text + "\n"))?;
    Ok(0)
}

/// What every command that looks at this machine as root does first; says what it gave back on standard error.
pub fn give_back_stale(ledger: &Ledger) -> Result<(), Failure> {
    for line in launch::recover(ledger)? {
        notice(format_args!("{line}, whose nicdock was killed"));
    }
    Ok(())
}
