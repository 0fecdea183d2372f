//! `nicdock reconcile`: gives back what a killed nicdock could not.

use std::path::Path;

use super::Failure;
use crate::launch;
use crate::lease::{Ledger, STATE};

pub fn reconcile() -> Result<u8, Failure> {
    let returned = launch::recover(&Ledger::new(Path::new(STATE)))?;
    for nic in &returned {
        println!("gave back {nic}");
    }
    if returned.is_empty() {
        println!("nothing to give back");
    }
    Ok(0)
}

/// What every command that looks at this machine as root does first; says what it gave back on standard error.
pub fn give_back_stale(ledger: &Ledger) -> Result<(), Failure> {
    for nic in launch::recover(ledger)? {
        eprintln!("nicdock: gave back {nic}, whose nicdock was killed");
    }
    Ok(())
}
