//! `nicdock setup`: what a machine has to have for nicdock, part by part.
//!
//! Each part looks at a root folder and says what should be there; that is pure, and tested on roots of its own ([`parts`]). What is there
//! already, what is missing and what somebody else made or edited is decided in one place ([`plan`](mod@plan)), and so is writing ([`change`]),
//! for every part: as a whole or not at all, recorded ([`record`]) so that it can be undone, and never over another's file.

mod change;
mod error;
mod machine;
mod part;
mod parts;
mod plan;
mod record;
mod show;
#[cfg(test)]
mod tests;

pub use change::{Lock, apply, made, undo};
pub use error::SetupError;
pub use machine::Machine;
pub use part::{Part, Run};
pub use parts::ALL as PARTS;
pub use plan::{Plan, Scope, plan};
pub use record::Made;
pub use show::{json, text};
