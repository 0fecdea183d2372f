//! Predicts what will go wrong with a machine's fabric NICs: pure functions over what was read of it.
//!
//! Each [`Check`] in [`CHECKS`] asks one question of a [`Subject`]. What could not be read is `unknown`, never `ok`. The identities
//! of checks, their help and docs/doctor.md come from that one table.

mod check;
mod checks;
mod finding;
mod subject;
#[cfg(test)]
mod testing;

pub use check::{Answer, Check};
pub use checks::{CHECKS, examine};
pub use finding::{Finding, Status};
pub use subject::{LeaseState, Subject};
