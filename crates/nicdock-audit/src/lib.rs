//! Tries, as an attacker would, what a container can reach of NICs that are not its own.
//!
//! Each probe answers [`Verdict::Closed`], [`Verdict::Open`] or [`Verdict::NotApplicable`], with evidence. A probe changes nothing when it
//! succeeds: it asks for what the kernel checks permission for first and then finds invalid, writes back what it read,
//! or works in namespaces of its own that end with it.

pub mod identity;
mod kernel;
mod probe;
pub mod probes;
pub mod report;
pub mod run;
pub mod seclusion;
pub mod target;
pub mod uncontrolled;
mod walk;
pub mod weakness;
mod words;

pub use kernel::passed;
pub use probe::{Context, Finding, Probe, Verdict};
pub use target::Target;
