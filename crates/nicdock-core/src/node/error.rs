//! The errors of a node: why a container has no NIC.

use nicdock_host::inventory::InventoryError;

use crate::attach::TargetError;
use crate::kind::Kind;
use crate::lease::LeaseError;
use crate::lifecycle::LaunchError;
use crate::plan::PlanError;

/// Everything is as before, unless the message says what could not be undone.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Host(#[from] InventoryError),
    #[error("trying which RDMA devices can be moved: {0}")]
    Movable(std::io::Error),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A reservation stands in the way.
    #[error("{why}")]
    Reserved { nic: String, why: String },
    /// A condition of the engine's does not hold.
    #[error("{why}")]
    Refused { kind: Kind, why: String },
}

impl NodeError {
    pub fn refused(kind: Kind, why: impl Into<String>) -> Self {
        Self::Refused { kind, why: why.into() }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Host(error) => kind_of_inventory(error),
            Self::Movable(error) => Kind::of_io(error),
            Self::Lease(error) => error.kind(),
            Self::Plan(error) => error.kind(),
            Self::Target(error) => error.kind(),
            Self::Launch(error) => error.kind(),
            Self::Reserved { .. } => Kind::Held,
            Self::Refused { kind, .. } => *kind,
        }
    }

    /// The NIC that could not be had, and the container that has it.
    pub fn about(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Plan(error) => error.about(),
            Self::Lease(error) => error.about(),
            Self::Launch(error) => error.about(),
            Self::Reserved { nic, .. } => (Some(nic), None),
            _ => (None, None),
        }
    }
}

/// The inventory knows nothing of kinds.
pub fn kind_of_inventory(error: &InventoryError) -> Kind {
    match error {
        InventoryError::Read { source, .. } | InventoryError::Netlink { source, .. } => Kind::of_io(source),
        InventoryError::Malformed { .. } => Kind::Other,
    }
}
