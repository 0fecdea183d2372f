//! The hook that libvirt calls (docs/hooks.rst): `NAME prepare|start|started|stopped|release|reconnect …`, with the domain on standard input.

use std::time::Duration;

use nicdock_core::attach::Target;
use nicdock_core::kind::Kind;
use nicdock_core::lifecycle::Recovered;
use nicdock_core::node::{Given, Node, NodeError, Wanted, check_as_told};

use crate::domain::{Domain, DomainError, Said, said};
use crate::gate::{Gate, GateError};
use crate::installed::proof;
use crate::root::{RootError, look_at_root};

/// libvirt has killed a container whose end it tells; the kernel may still be at it.
const END: Duration = Duration::from_secs(10);

const REMEDY: &str = "nicdock libvirt edit NAME --nic … writes its <init> and <features> anew (what is not said again is gone), and may say --keep-privileges";

#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error("domain {name}: {error}")]
    Domain { name: String, error: DomainError },
    #[error("libvirt does not say the domain's controller")]
    NoController,
    #[error(
        "domain {0} names NICs in its metadata, but its program would start without them: nicdock libvirt edit {0} --nic … puts nicdock's gate before it"
    )]
    NoGate(String),
    #[error(
        "domain {0} has <inituser>, and the gate can close nothing as an ordinary user: nicdock libvirt edit {0} --nic … lets the gate become that user"
    )]
    HasUser(String),
    #[error(
        "domain {name} has <hostdev mode='capabilities'> for {device} beside NICs of nicdock's: nicdock would not take that back. Take it out (virsh edit), or take nicdock's element out of <metadata>, and nicdock libvirt adopt {name} converts it"
    )]
    ByHand { name: String, device: String },
    /// The answer to a question of `nicdock libvirt install`: libvirt shows what a hook that fails has said.
    #[error("{0}")]
    Proof(String),
}

impl HookError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Node(error) => error.kind(),
            Self::Root(error) => error.kind(),
            Self::Gate(_) | Self::NoGate(_) | Self::HasUser(_) => Kind::NotClosed,
            Self::Domain { .. } | Self::ByHand { .. } => Kind::BadInput,
            Self::NoController | Self::Proof(_) => Kind::Other,
        }
    }
}

/// What became of a call.
pub enum Called {
    /// It was none of nicdock's affair, or nothing had to be done.
    Nothing,
    Given(Box<Given>),
    Released(Recovered),
}

/// Is anything to be done at this operation?
pub fn concerns(operation: &str) -> bool {
    matches!(operation, "prepare" | "started" | "stopped" | "release")
}

/// One call. `xml` is the domain, live.
pub fn called(name: &str, operation: &str, xml: &str) -> Result<Called, HookError> {
    let said = said(xml);
    match operation {
        // Its metadata may have been changed while it ran; nobody waits for what may be another engine's container.
        "stopped" | "release" => {
            let wait = if matches!(said, Ok(Said::Nics(_))) { END } else { Duration::ZERO };
            return Ok(Called::Released(Node::of_machine().release(name, wait)?));
        }
        "prepare" | "started" => {}
        // An error would end containers that run (`virLXCProcessReconnectDomain()`, src/lxc/lxc_process.c).
        _ => return Ok(Called::Nothing),
    }
    let said = said.map_err(|error| HookError::Domain { name: name.to_owned(), error })?;
    match (operation, said) {
        (_, Said::Proof(word)) => Err(HookError::Proof(proof(&word))),
        ("prepare", Said::Nics(domain)) => prepare(&domain).map(|()| Called::Nothing),
        ("started", Said::Nics(domain)) => started(&domain).map(|given| Called::Given(Box::new(given))),
        _ => Ok(Called::Nothing),
    }
}

/// Whether it could start now: if not, it ends here and virsh says why.
fn prepare(domain: &Domain) -> Result<(), HookError> {
    let name = || domain.name.clone();
    if !domain.is_gated {
        return Err(HookError::NoGate(name()));
    }
    if domain.has_user {
        return Err(HookError::HasUser(name()));
    }
    if let Some(device) = &domain.by_hand {
        return Err(HookError::ByHand { name: name(), device: device.clone() });
    }
    look_at_root(&domain.name, domain.root.as_deref(), domain.root_user)?;
    Node::of_machine().check(&domain.name, &domain.wish.nics)?;
    Ok(())
}

/// The container is set up, and its first program, the gate, waits or is about to.
fn started(domain: &Domain) -> Result<Given, HookError> {
    let gate = Gate::of_controller(domain.controller.ok_or(HookError::NoController)?)?;
    gate.is_first()?;
    gate.limit(domain.wish.memlock)?;
    let who = |leases: &[_]| Target::of_process(gate.pid, Some(&domain.name), leases);
    let terms = domain.wish.terms();
    let has_closed = |target: &Target| check_as_told(target, &terms, REMEDY);
    let given = Node::of_machine().give(who, Wanted::Asked(&domain.wish.nics), &terms, has_closed)?;
    gate.open()?;
    Ok(given)
}
