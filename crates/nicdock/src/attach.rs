//! A NIC for a container that runs, of whatever engine, and back from it.

mod apply;
mod detach;
mod openings;
mod siblings;
mod target;
mod undo;
mod whole;

pub use apply::{Terms, attach, memlock, openings};
pub use detach::detach;
pub use target::{Target, TargetError};
pub use undo::{undo, undo_late};
