//! What a program in a container needs of an RDMA device, tried as the program would: the smallest proof that it can
//! use its NIC.
//!
//! `found` says which devices are visible, `surroundings` reads what is around them, `attempt` opens one and goes
//! through the steps, `meaning` explains errors, `report` and `text` tell. Nothing here needs a capability.

mod attempt;
mod driver;
mod errno;
mod found;
mod gid;
mod judge;
mod meaning;
mod record;
mod report;
mod surroundings;
mod text;

pub use attempt::{Memory, attempt};
pub use found::find;
pub use report::json;
pub use surroundings::Process;
pub use text::text;
