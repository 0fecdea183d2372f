//! From selectors to NICs: all or none, in the host's one order.

use std::collections::BTreeSet;
use std::fmt;

use nicdock_host::model::{Host, InUse, Nic, Representor, own_nodes};

use super::Facts;
use crate::keeper::Keeper;
use crate::kind::Kind;
use crate::request::{NetdevMode, NicRequest, Selector};

/// A NIC that a selector could have meant, and why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `Nic::name`
    pub nic: String,
    /// With its kind, netdevs and PCI address.
    pub name: String,
    /// `Nic::key`
    pub key: String,
    pub refused: Option<Refusal>,
}

impl Candidate {
    fn of(nic: &Nic, refused: Option<Refusal>) -> Self {
        Self { nic: nic.name.clone(), name: describe(nic), key: nic.key(), refused }
    }
}

/// Why a NIC cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("does not match")]
    NoMatch,
    #[error("already selected")]
    Selected,
    #[error("held by {0}")]
    Held(Keeper),
    #[error("has no netdev and no RDMA device here: it is in another namespace, or no driver is bound")]
    Absent,
    #[error(
        "its programs use {nodes}N, the driver's own node, which nicdock does not give: what can be isolated of {driver} would be of no use"
    )]
    OwnNodes { driver: String, nodes: &'static str },
    #[error("in use: {0} (--take-in-use takes it all the same)")]
    InUse(String),
}

impl Refusal {
    /// The container that has it.
    pub fn holder(&self) -> Option<&str> {
        if let Self::Held(keeper) = self { keeper.container.as_deref() } else { None }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error("no --nic: name at least one (nicdock ls shows them)")]
    None,
    #[error("--nic {selector} takes {wanted}, and {} free NICs match: name them, or add 'any'{}", .candidates.iter().filter(|c| c.refused.is_none()).count(), List(.candidates))]
    Ambiguous { selector: String, wanted: usize, candidates: Vec<Candidate> },
    #[error("--nic {selector}: no NIC of this host matches{}", List(.candidates))]
    Unknown { selector: String, candidates: Vec<Candidate> },
    #[error(
        "--nic {selector}: {representor}; it is no NIC's netdev, and is not given: name the function itself or what it stands for (nicdock ls --all)"
    )]
    Representor { selector: String, representor: Representor },
    #[error("--nic {selector} takes {wanted}, and too few of those that match are free{}", List(.candidates))]
    Refused { selector: String, wanted: usize, candidates: Vec<Candidate> },
}

impl SelectError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::None => Kind::BadInput,
            Self::Ambiguous { .. } => Kind::Ambiguous,
            Self::Unknown { .. } => Kind::NoMatch,
            Self::Representor { .. } => Kind::Unsupported,
            Self::Refused { .. } => match self.obstacle() {
                Some((_, Refusal::Held(keeper))) => keeper.kind,
                Some((_, Refusal::InUse(_))) => Kind::InUse,
                Some((_, Refusal::OwnNodes { .. })) => Kind::Unsupported,
                _ => Kind::NoMatch,
            },
        }
    }

    /// What stands in the way, of the things that can change: a container that has a NIC before a use of the host's.
    pub fn obstacle(&self) -> Option<(&Candidate, &Refusal)> {
        let Self::Refused { candidates, .. } = self else { return None };
        let refused = || candidates.iter().filter_map(|one| Some((one, one.refused.as_ref()?)));
        refused()
            .find(|(_, why)| matches!(why, Refusal::Held(_)))
            .or_else(|| refused().find(|(_, why)| matches!(why, Refusal::InUse(_))))
            .or_else(|| refused().find(|(_, why)| matches!(why, Refusal::OwnNodes { .. })))
    }
}

struct List<'a>(&'a [Candidate]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for candidate in self.0 {
            match &candidate.refused {
                Some(reason) => write!(f, "\n  {}: {reason}", candidate.name)?,
                None => write!(f, "\n  {}: free", candidate.name)?,
            }
        }
        Ok(())
    }
}

/// The NICs that the request's selectors mean together; one NIC is never counted for two of them.
pub fn select(host: &Host, facts: &Facts, request: &NicRequest) -> Result<Vec<Nic>, SelectError> {
    let selectors = &request.selectors;
    if selectors.is_empty() {
        return Err(SelectError::None);
    }
    let mut taken = BTreeSet::new();
    for selector in selectors {
        let matching: Vec<usize> =
            (0..host.nics.len()).filter(|i| selector.matches(host, &host.nics[*i])).collect();
        let (text, wanted) = (selector.to_string(), selector.count);
        if matching.is_empty() {
            if let Some(representor) = representor(host, selector).cloned() {
                return Err(SelectError::Representor { selector: text, representor });
            }
            let candidate = |nic| Candidate::of(nic, Some(Refusal::NoMatch));
            return Err(SelectError::Unknown {
                selector: text,
                candidates: host.nics.iter().map(candidate).collect(),
            });
        }
        let candidate = |i: &usize| {
            let nic = &host.nics[*i];
            let taken = taken.contains(i).then_some(Refusal::Selected);
            let refused = taken.or_else(|| {
                refusal(host, nic, facts, |sign| selector.wants_free() || hinders(request, sign))
            });
            Candidate::of(nic, refused)
        };
        let list: Vec<Candidate> = matching.iter().map(candidate).collect();
        let free: Vec<usize> =
            matching.iter().zip(&list).filter(|(_, c)| c.refused.is_none()).map(|(i, _)| *i).collect();
        if free.len() < wanted {
            return Err(SelectError::Refused { selector: text, wanted, candidates: list });
        }
        if free.len() > wanted && !selector.takes_any() {
            return Err(SelectError::Ambiguous { selector: text, wanted, candidates: list });
        }
        taken.extend(free.into_iter().take(wanted));
    }
    Ok(taken.into_iter().map(|i| host.nics[i].clone()).collect())
}

/// Whether these NICs, which were chosen before, can still be taken.
pub fn check_chosen(
    host: &Host,
    facts: &Facts,
    nics: &[Nic],
    request: &NicRequest,
) -> Result<(), SelectError> {
    let candidate = |nic: &Nic| Candidate::of(nic, refusal(host, nic, facts, |sign| hinders(request, sign)));
    let mut candidates = nics.iter().map(candidate);
    candidates.find(|candidate| candidate.refused.is_some()).map_or(Ok(()), |refused| {
        Err(SelectError::Refused { selector: refused.nic.clone(), wanted: 1, candidates: vec![refused] })
    })
}

/// The netdev that a selector names and that is no NIC's.
pub fn representor<'a>(host: &'a Host, selector: &Selector) -> Option<&'a Representor> {
    let named = |name: &str| {
        host.representors
            .iter()
            .find(|one| one.netdev == name || one.altnames.iter().any(|other| other == name))
    };
    selector.names().find_map(named)
}

/// The driver of a NIC whose programs use nodes that are not given, with these.
fn own_nodes_of(host: &Host, nic: &Nic) -> Option<Refusal> {
    let of_function = nic.pci.and_then(|address| host.function(address)?.driver.as_ref());
    let of_devices = nic.rdma_devices.iter().filter_map(|device| device.driver.as_ref());
    let mut drivers = of_devices.chain(of_function);
    drivers.find_map(|driver| Some(Refusal::OwnNodes { driver: driver.clone(), nodes: own_nodes(driver)? }))
}

/// Why a NIC cannot be taken now.
fn refusal(host: &Host, nic: &Nic, facts: &Facts, hinders: impl Fn(&InUse) -> bool) -> Option<Refusal> {
    if let Some(keeper) = facts.held.get(&nic.name) {
        return Some(Refusal::Held(keeper.clone()));
    }
    if nic.netdevs.is_empty() && nic.rdma_devices.is_empty() {
        return Some(Refusal::Absent);
    }
    if let Some(refusal) = own_nodes_of(host, nic) {
        return Some(refusal);
    }
    let signs: Vec<String> =
        nic.in_use.iter().filter(|sign| hinders(sign)).map(ToString::to_string).collect();
    (!signs.is_empty()).then(|| Refusal::InUse(signs.join("; ")))
}

/// Whether a use by the host keeps a NIC from what is asked. A netdev that stays on the host goes on to be used there, while the RDMA device of a NIC is
/// one owner's.
fn hinders(request: &NicRequest, sign: &InUse) -> bool {
    let is_of_device =
        matches!(sign, InUse::OpenNode { .. } | InUse::DriverNode { .. } | InUse::VfInUse { .. });
    !request.take_in_use && (request.netdev != NetdevMode::Host || is_of_device)
}

fn describe(nic: &Nic) -> String {
    let netdevs = nic.netdevs.iter().map(|n| n.name.as_str()).filter(|n| *n != nic.name);
    let parts: Vec<String> = std::iter::once(nic.kind.to_string())
        .chain(netdevs.map(str::to_owned))
        .chain(nic.pci.map(|_| nic.key()))
        .collect();
    format!("{} ({})", nic.name, parts.join(", "))
}
