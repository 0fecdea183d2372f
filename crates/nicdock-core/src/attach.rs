//! Gives a NIC to a container that runs, of whatever engine.

mod apply;
mod openings;
mod target;
mod whole;

pub use apply::{Attached, Terms, attach, memlock, openings};
pub use target::{Target, TargetError};
