//! Ends a container, whether it exited, was killed, or an administrator takes its NICs: what is left of it is removed, and its NICs go back.

mod detach;
mod end;
mod error;
mod repair;
mod siblings;
pub mod staged;
mod take_back;
mod undo;

pub use end::{Recovered, end, end_reservation, finish, recover, recover_container, recover_leases};
pub use error::LaunchError;
pub use repair::{differences, reconcile};
pub use siblings::{Siblings, turn};
pub use take_back::{detach, detach_from, take_back};
pub use undo::undo_joined;
