//! The built-in launcher: a container made by libcontainer from the spec that the plan gives.

mod bundle;
mod end;
mod executor;
#[cfg(test)]
mod fuzz;
mod mountinfo;
mod profile;
mod promise;
mod run;
mod spec;
mod staging;
mod supervise;
mod volume;
mod watch;
mod worker;

pub use bundle::read as read_bundle;
pub use end::{Recovered, recover};
pub use run::{Timings, run};

use std::path::PathBuf;

use crate::lease::LeaseError;
use crate::phases::PhaseError;

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Phase(#[from] PhaseError),
    #[error("{path}: {reason}")]
    Path { path: PathBuf, reason: String },
    #[error("creating the container: {0}")]
    Container(String),
    /// Said by the process that works inside the container's namespaces.
    #[error("{0}")]
    Inside(String),
    /// A signal came before the program had started.
    #[error("ended by signal {0} before the program had started")]
    Signal(i32),
    #[error("{run}; and then, while undoing it: {undo}")]
    Twice { run: Box<LaunchError>, undo: Box<LaunchError> },
}

impl LaunchError {
    pub fn path(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::Path { path: path.into(), reason: reason.to_string() }
    }
}
