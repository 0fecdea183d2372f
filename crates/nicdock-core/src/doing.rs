//! An error of the kernel's, with what was being done.

use crate::kind::Kind;

/// Why a phase stopped: what it was doing, on what, and what the kernel said.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {error}{}", .advice.map(|a| format!("; {a}")).unwrap_or_default())]
pub struct PhaseError {
    pub doing: String,
    pub error: std::io::Error,
    pub advice: Option<&'static str>,
    pub kind: Kind,
}

impl PhaseError {
    pub fn new(doing: impl Into<String>, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        Self { doing: doing.into(), kind: Kind::of_io(&error), error, advice: None }
    }

    #[must_use]
    pub fn with_advice(self, advice: &'static str) -> Self {
        Self { advice: Some(advice), ..self }
    }

    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Whether what was to be given back did not come in time, because somebody keeps it: it comes when that one ends.
    pub fn is_kept_away(&self) -> bool {
        self.error.kind() == std::io::ErrorKind::TimedOut
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
