//! Why a command failed: for people in words, for programs by its kind.

use std::error::Error;
use std::fmt;
use std::io;

use crate::setup::SetupError;
use nicdock_core::attach::TargetError;
use nicdock_core::audit::AuditError;
use nicdock_core::doing::PhaseError;
use nicdock_core::kind::Kind;
use nicdock_core::lease::LeaseError;
use nicdock_core::lifecycle::LaunchError;
use nicdock_core::node::{NodeError, kind_of_inventory};
use nicdock_core::plan::PlanError;
use nicdock_host::capture::CaptureError;
use nicdock_host::inventory::InventoryError;
use nicdock_libvirt::hook::HookError;
use nicdock_libvirt::{AdoptError, DomainError, GateError, InstallError, RootError, VirshError};
use nicdock_lxc::{LxcError, PolicyError};
use serde_json::{Value, json};

/// Any failure of nicdock's.
#[derive(Debug)]
pub struct Failure {
    pub error: Box<dyn Error>,
    pub kind: Kind,
    /// The NIC that could not be had, if it was one.
    nic: Option<String>,
    /// The container that has it.
    holder: Option<String>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { error: message.into().into(), kind, nic: None, holder: None }
    }

    /// That it is about this NIC, and the container that has it.
    #[must_use]
    pub fn about(self, nic: &str, holder: &str) -> Self {
        Self { nic: Some(nic.to_owned()), holder: Some(holder.to_owned()), ..self }
    }

    /// As programs read it, where an answer was to be JSON.
    pub fn json(&self) -> Value {
        let message = self.error.to_string();
        let error =
            json!({"kind": self.kind.name(), "message": message, "nic": self.nic, "holder": self.holder});
        json!({"schema": 1, "error": error})
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// An error unless root calls; `why` root has to.
pub fn need_root(why: impl Into<String>) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Failure::new(Kind::NoRight, why)) }
}

/// Of NICs that did not come back: one that is not restored weighs more than one that somebody has or uses.
pub fn kind_of_returns(failed: &[LaunchError]) -> Kind {
    let mut kinds = failed.iter().map(LaunchError::kind_of_return);
    let first = kinds.next().unwrap_or(Kind::Other);
    kinds.find(|kind| *kind == Kind::NotRestored).unwrap_or(first)
}

/// An error of one of the parts, whose kind is known.
pub trait OfKind: Error {
    fn of_kind(&self) -> Kind;

    /// The NIC that could not be had, and the container that has it.
    fn about(&self) -> (Option<&str>, Option<&str>) {
        (None, None)
    }
}

impl<E: OfKind + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let (nic, holder) = error.about();
        let (nic, holder) = (nic.map(str::to_owned), holder.map(str::to_owned));
        Self { kind: error.of_kind(), nic, holder, error: error.into() }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(Kind::Other, message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::new(Kind::Other, message)
    }
}

/// Errors that know what they are about, too.
macro_rules! about {
    ($($error:ty),*) => {
        $(impl OfKind for $error {
            fn of_kind(&self) -> Kind {
                self.kind()
            }

            fn about(&self) -> (Option<&str>, Option<&str>) {
                self.about()
            }
        })*
    };
}

about!(PlanError, LeaseError, LaunchError, NodeError);

macro_rules! of_kind {
    ($($error:ty: $kind:expr),* $(,)?) => {
        $(impl OfKind for $error {
            fn of_kind(&self) -> Kind {
                let kind: fn(&Self) -> Kind = $kind;
                kind(self)
            }
        })*
    };
}

of_kind! {
    AdoptError: AdoptError::kind,
    AuditError: AuditError::kind,
    CaptureError: |error| match error {
        CaptureError::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Kind::NoRight,
        _ => Kind::BadInput,
    },
    DomainError: |_| Kind::BadInput,
    GateError: |_| Kind::NotClosed,
    InstallError: InstallError::kind,
    HookError: HookError::kind,
    InventoryError: kind_of_inventory,
    LxcError: LxcError::kind,
    PhaseError: |error| error.kind,
    PolicyError: |_| Kind::Unsupported,
    RootError: RootError::kind,
    SetupError: SetupError::kind,
    TargetError: TargetError::kind,
    VirshError: VirshError::kind,
    io::Error: Kind::of_io,
    serde_json::Error: |_| Kind::Other,
}
