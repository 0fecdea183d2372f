//! Why the ledger refuses.

use std::io;
use std::path::{Path, PathBuf};

use super::Lease;
use crate::kind::Kind;

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("{path}: {error}; nicdock keeps its leases there: it must be writable by root")]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "{path} is not a lease that this nicdock can read ({reason}); no NIC is given while it is there: nicdock reconcile explains and repairs"
    )]
    Broken { path: PathBuf, reason: String },
    #[error("{nic} was taken a moment ago, by {by}: see nicdock leases")]
    Taken { nic: String, container: String, by: String },
    #[error("a container named {0} holds a NIC already: choose another --name")]
    Name(String),
    #[error("container {0} has ended, or is ending, just now")]
    Ended(String),
    #[error("--join {0}: it has ended, or does not run yet: see nicdock leases")]
    NotJoinable(String),
}

impl LeaseError {
    pub fn taken(lease: &Lease) -> Self {
        Self::Taken {
            nic: lease.grant.nic.name.clone(),
            container: lease.kept_for().unwrap_or_default().to_owned(),
            by: lease.kept_by(),
        }
    }

    /// The NIC that could not be had, and the container that has it.
    pub fn about(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Taken { nic, container, .. } => (Some(nic), Some(container)),
            Self::Name(container) => (None, Some(container)),
            _ => (None, None),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { error, .. } => Kind::of_io(error),
            Self::Broken { .. } => Kind::Other,
            Self::Taken { .. } | Self::Name(_) => Kind::Held,
            Self::Ended(_) | Self::NotJoinable(_) => Kind::NoMatch,
        }
    }

    pub fn io(path: &Path, error: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), error: error.into() }
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}
