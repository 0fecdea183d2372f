//! The built-in launcher: a container made by libcontainer from the spec that the plan gives.

mod bundle;
mod executor;
#[cfg(test)]
mod fuzz;
mod hidden;
mod opened;
mod promise;
mod relay;
mod run;
mod source;
mod spec;
mod staging;
mod streams;
mod supervise;
mod watch;
mod worker;

pub use hidden::note as hidden_program;
pub use opened::Opened;
pub use run::{Timings, run};
