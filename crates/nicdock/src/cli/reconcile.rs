//! `nicdock reconcile`: gives back what a killed nicdock could not.

use std::path::Path;

use super::Failure;
use crate::launch;
use crate::lease::{Ledger, STATE};

pub fn reconcile() -> Result<u8, Failure> {
    let told = launch::recover(&Ledger::new(Path::new(STATE)))?;
    for line in &told {
        println!("{line}");
    }
    if told.is_empty() {
        println!("nothing to give back");
    }
    Ok(0)
}

/// What every command that looks at this machine as root does first; says what it gave back on standard error.
pub fn give_back_stale(ledger: &Ledger) -> Result<(), Failure> {
    for line in launch::recover(ledger)? {
        eprintln!("nicdock: {line}, whose nicdock was killed");
    }
    Ok(())
}
