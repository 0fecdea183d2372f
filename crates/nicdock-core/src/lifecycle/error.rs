//! Why a container was not started, or its NICs not given back.

use std::path::PathBuf;

use crate::lease::{Lease, LeaseError};
use crate::phases::PhaseError;
use crate::static_program::StaticProgramError;

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Phase(#[from] PhaseError),
    #[error(transparent)]
    Program(#[from] StaticProgramError),
    #[error("{path}: {reason}")]
    Path { path: PathBuf, reason: String },
    #[error("creating the container: {0}")]
    Container(String),
    /// Said by the process that works inside the container's namespaces.
    #[error("{0}")]
    Inside(String),
    /// A NIC that cannot be given now, and what to do about it.
    #[error("{0}")]
    Kept(String),
    /// A signal came before the program had started.
    #[error("ended by signal {0} before the program had started")]
    Signal(i32),
    #[error("{run}; and then, while undoing it: {undo}")]
    Twice { run: Box<LaunchError>, undo: Box<LaunchError> },
}

impl LaunchError {
    /// That a NIC cannot be given because of what its lease says.
    pub fn kept(lease: &Lease) -> Self {
        Self::Kept(format!("{} is kept by {}", lease.grant.nic.name, lease.kept_by()))
    }

    pub fn path(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::Path { path: path.into(), reason: reason.to_string() }
    }
}
