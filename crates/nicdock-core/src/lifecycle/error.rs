//! Why a container was not started, or its NICs not given back.

use std::path::PathBuf;

use crate::kind::Kind;
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
    /// Nothing was done, and why, with what to do about it.
    #[error("{why}")]
    Refused { kind: Kind, why: String },
    /// A signal came before the program had started.
    #[error("ended by signal {0} before the program had started")]
    Signal(i32),
    #[error("{run}; and then, while undoing it: {undo}")]
    Twice { run: Box<LaunchError>, undo: Box<LaunchError> },
}

impl LaunchError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Lease(error) => error.kind(),
            Self::Phase(error) => error.kind,
            Self::Refused { kind, .. } => *kind,
            Self::Path { .. } => Kind::BadInput,
            Self::Program(_) | Self::Container(_) | Self::Inside(_) | Self::Signal(_) => Kind::Other,
            // It was not undone.
            Self::Twice { .. } => Kind::NotRestored,
        }
    }

    /// What a NIC that did not come back for this reason is to programs: whatever the kernel said, it is not restored, unless somebody has or
    /// uses it.
    pub fn kind_of_return(&self) -> Kind {
        match (self, self.kind()) {
            (_, kind @ (Kind::Held | Kind::InUse | Kind::NoRight)) | (Self::Refused { .. }, kind) => kind,
            _ => Kind::NotRestored,
        }
    }

    /// The NIC that could not be had, and the container that has it.
    pub fn about(&self) -> (Option<&str>, Option<&str>) {
        if let Self::Lease(error) = self { error.about() } else { (None, None) }
    }

    pub fn refused(kind: Kind, why: impl Into<String>) -> Self {
        Self::Refused { kind, why: why.into() }
    }

    /// That a NIC cannot be given because of what its lease says.
    pub fn kept(lease: &Lease) -> Self {
        let keeper = lease.keeper();
        Self::refused(keeper.kind, format!("{} is kept by {keeper}", lease.grant.nic.name))
    }

    pub fn path(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::Path { path: path.into(), reason: reason.to_string() }
    }
}
