//! The audit's static program, held in memory, and what it will be told.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::Own;
use super::target::target;
use crate::doing::PhaseError;
use crate::kind::Kind;
use crate::lease::LeaseError;
use crate::plan::Plan;
use crate::static_program::{self, StaticProgramError};
use nicdock_host::inventory::InventoryError;
use nicdock_sys::closing::Closing;
use nicdock_sys::memfd;

const NAME: &str = "nicdock-audit";

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Program(#[from] StaticProgramError),
    #[error(transparent)]
    Host(#[from] InventoryError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Phase(#[from] PhaseError),
    #[error("{doing}: {error}")]
    Kernel { doing: &'static str, error: io::Error },
    /// The audit would not see what the process sees.
    #[error("not reproducible: {0}")]
    NotReproducible(String),
    #[error("process {0} has ended, or there is none")]
    NoProcess(u32),
}

impl AuditError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoProcess(_) => Kind::NoMatch,
            // 125 says of an audit that nothing is concluded, whatever the reason.
            Self::Program(_)
            | Self::Host(_)
            | Self::Lease(_)
            | Self::Phase(_)
            | Self::Kernel { .. }
            | Self::NotReproducible(_) => Kind::Other,
        }
    }

    pub fn kernel(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Kernel { doing, error }
    }
}

/// The program in memory, and a place for what it will be told.
pub struct Audit {
    program: OwnedFd,
    told: OwnedFd,
}

/// The audit as a container's command line; `more` is what the user added.
pub fn arguments(more: &[String]) -> Vec<String> {
    std::iter::once(NAME.to_owned()).chain(more.iter().cloned()).collect()
}

impl Audit {
    pub fn load() -> Result<Self, AuditError> {
        let program = static_program::in_memory(NAME)?;
        if !Closing::AuditMemory.is_left_open() {
            memfd::only_to_be_executed(&program)
                .map_err(AuditError::kernel("copying the audit into memory"))?;
        }
        let told =
            memfd::open("nicdock-audit-told").map_err(AuditError::kernel("making a file in memory"))?;
        Ok(Self { program, told })
    }

    /// What it needs to be executed.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.program.as_fd(), self.told.as_fd()]
    }

    /// Tells it of a container that is complete. Its process has the file already.
    pub fn tell(&self, plan: &Plan) -> Result<(), AuditError> {
        let own = Own::of_grants(plan.grants.clone(), plan.weaknesses.clone());
        let target = target(&Own { has_profile: true, ..own })
            .map_err(|error| AuditError::NotReproducible(error.to_string()))?;
        self.tell_bytes(&serde_json::to_vec(&target).unwrap_or_default())
    }

    pub fn tell_bytes(&self, content: &[u8]) -> Result<(), AuditError> {
        memfd::fill_and_seal(&self.told, content)
            .map_err(AuditError::kernel("telling the audit what is foreign"))
    }

    /// Becomes the audit. Returns only the error.
    pub fn exec(&self, arguments: &[CString], env: &[CString], pass: &[(&str, &OwnedFd)]) -> io::Error {
        let mut arguments = arguments.to_vec();
        for (option, descriptor) in std::iter::once(("--target-fd", &self.told)).chain(pass.iter().copied()) {
            if let Err(error) = memfd::keep_over_exec(descriptor) {
                return error;
            }
            let texts = [option.to_owned(), descriptor.as_raw_fd().to_string()];
            arguments.extend(texts.into_iter().filter_map(|text| CString::new(text).ok()));
        }
        memfd::exec(&self.program, &arguments, env)
    }
}
