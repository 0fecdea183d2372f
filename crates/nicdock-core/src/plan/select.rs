//! From selectors to NICs: all or none, in the host's one order.

use std::collections::BTreeSet;
use std::fmt;

use nicdock_host::model::{Host, Nic};

use super::Facts;
use crate::request::Selector;

/// A NIC that a selector could have meant, and why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: String,
    /// `Nic::key`
    pub key: String,
    pub refused: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error("no --nic: name at least one (nicdock ls shows them)")]
    None,
    #[error("--nic {selector} takes {wanted}, and {} free NICs match: name them, or add 'any'{}", .candidates.iter().filter(|c| c.refused.is_none()).count(), List(.candidates))]
    Ambiguous { selector: String, wanted: usize, candidates: Vec<Candidate> },
    #[error("--nic {selector}: no NIC of this host matches{}", List(.candidates))]
    Unknown { selector: String, candidates: Vec<Candidate> },
    #[error("--nic {selector} takes {wanted}, and too few of those that match are free{}", List(.candidates))]
    Refused { selector: String, wanted: usize, candidates: Vec<Candidate> },
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

/// The NICs that `selectors` mean together; one NIC is never counted for two of them.
pub fn select(
    host: &Host,
    facts: &Facts,
    selectors: &[Selector],
    take_in_use: bool,
) -> Result<Vec<Nic>, SelectError> {
    if selectors.is_empty() {
        return Err(SelectError::None);
    }
    let mut taken = BTreeSet::new();
    for selector in selectors {
        let matching: Vec<usize> =
            (0..host.nics.len()).filter(|i| selector.matches(&host.nics[*i])).collect();
        let (text, wanted) = (selector.to_string(), selector.count);
        if matching.is_empty() {
            let refused = Some("does not match".to_owned());
            let candidate =
                |nic: &Nic| Candidate { name: describe(nic), key: nic.key(), refused: refused.clone() };
            return Err(SelectError::Unknown {
                selector: text,
                candidates: host.nics.iter().map(candidate).collect(),
            });
        }
        let candidate = |i: &usize| {
            let nic = &host.nics[*i];
            let taken = taken.contains(i).then(|| "already selected".to_owned());
            let refused = taken.or_else(|| refusal(nic, facts, take_in_use));
            Candidate { name: describe(nic), key: nic.key(), refused }
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

/// Why a NIC cannot be taken now.
fn refusal(nic: &Nic, facts: &Facts, take_in_use: bool) -> Option<String> {
    if let Some(container) = facts.held.get(&nic.name) {
        return Some(format!("held by {container}"));
    }
    if nic.netdevs.is_empty() && nic.rdma_devices.is_empty() {
        return Some(
            "has no netdev and no RDMA device here: it is in another namespace, or no driver is bound"
                .to_owned(),
        );
    }
    let signs: Vec<String> = nic.in_use.iter().map(ToString::to_string).collect();
    (!signs.is_empty() && !take_in_use)
        .then(|| format!("in use: {} (--take-in-use takes it all the same)", signs.join("; ")))
}

fn describe(nic: &Nic) -> String {
    let netdevs = nic.netdevs.iter().map(|n| n.name.as_str()).filter(|n| *n != nic.name);
    let parts: Vec<String> = std::iter::once(nic.kind.to_string())
        .chain(netdevs.map(str::to_owned))
        .chain(nic.pci.map(|p| p.to_string()))
        .collect();
    format!("{} ({})", nic.name, parts.join(", "))
}
