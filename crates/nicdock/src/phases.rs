//! The phases that change the machine, the same under every engine: enter, verify, return.

pub mod allow;
mod aside;
mod away;
pub mod cgroup;
pub mod devices;
pub mod draining;
pub mod enter;
pub mod filters;
pub mod freeze;
pub mod give_back;
pub mod gone;
pub mod host_nodes;
pub mod limits;
mod link;
pub mod movable;
pub mod network;
mod pins;
pub mod queue_pairs;
pub mod rdma_limits;
pub mod rdma_move;
pub mod refuse;
pub mod settings;
pub mod show;
pub mod sockets;
pub mod soft_rdma;
pub mod soft_roce;
pub mod stale;
pub mod turn;
pub mod verify;

pub use aside::aside;
pub use away::Patience;

use crate::lease::LeaseError;

/// Why a phase stopped: what it was doing, on what, and what the kernel said.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {error}{}", .advice.map(|a| format!("; {a}")).unwrap_or_default())]
pub struct PhaseError {
    pub doing: String,
    pub error: std::io::Error,
    pub advice: Option<&'static str>,
}

impl PhaseError {
    pub fn new(doing: impl Into<String>, error: impl Into<std::io::Error>) -> Self {
        Self { doing: doing.into(), error: error.into(), advice: None }
    }

    pub fn with_advice(self, advice: &'static str) -> Self {
        Self { advice: Some(advice), ..self }
    }

    /// Whether what was to be given back did not come in time, because somebody keeps it: it comes when that one ends.
    pub fn is_kept_away(&self) -> bool {
        self.error.kind() == std::io::ErrorKind::TimedOut
    }
}

impl From<LeaseError> for PhaseError {
    fn from(error: LeaseError) -> Self {
        Self::new("noting what is done", std::io::Error::other(error))
    }
}

/// Adds what was being done to an error of the kernel.
pub trait Doing<T> {
    fn doing(self, what: impl Fn() -> String) -> Result<T, PhaseError>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Fn() -> String) -> Result<T, PhaseError> {
        self.map_err(|error| PhaseError::new(what(), error))
    }
}
