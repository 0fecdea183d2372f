//! Who holds which NIC: one file a NIC under `/run/nicdock/leases`, one authority for every engine, no daemon.

mod damage;
mod draining;
mod error;
mod file;
mod folder;
mod held;
mod journal;
mod ledger;
mod node;
mod process;
mod record;
mod reservation;
mod step;
#[cfg(test)]
mod tests;

pub use draining::Draining;
pub use error::LeaseError;
pub use file::stem as file_stem;
pub use file::{READ, SCHEMA, replace};
pub use folder::{PRIVATE, PUBLIC, make_folder};
pub use held::show_held;
pub use journal::{Journal, Token};
pub use ledger::{Ledger, Lock};
pub use node::DeviceNode;
pub use process::ProcessId;
pub use record::{ATTACH, Holder, LAUNCHER, Lease, State, holders, joinable};
pub use reservation::{Owner, Reservation, reserved_by, torn};
pub use step::Step;

/// Where nicdock keeps its state: it survives nicdock and not a reboot, nor does an assignment.
pub const STATE: &str = "/run/nicdock";
