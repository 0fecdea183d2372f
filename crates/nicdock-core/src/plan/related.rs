//! A physical function and its virtual ones: a container that has the one can see and set the others.

use nicdock_host::model::{Host, Nic, PciAddress};

use super::Facts;
use crate::keeper::Keeper;

/// Why a NIC cannot go to a container while its relatives are with another.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelatedError {
    /// `rtnl_fill_vfinfo()` lists them, `do_setvfinfo()` sets them (net/core/rtnetlink.c).
    #[error(
        "{nic} is the physical function of {vf}, which {holder} has: it would show that one's MAC address and, with CAP_NET_ADMIN, change it; take another NIC, or wait until that one is back"
    )]
    VirtualFunctionHeld { nic: String, vf: String, holder: Keeper },
    #[error(
        "{nic} is a virtual function of {pf}, which {holder} has: that one sees this one's MAC address and, with CAP_NET_ADMIN, can change it; take another NIC, or wait until that one is back"
    )]
    PhysicalFunctionHeld { nic: String, pf: String, holder: Keeper },
}

impl RelatedError {
    /// The NIC that could not be had, and the container that has its relative.
    pub fn about(&self) -> (Option<&str>, Option<&str>) {
        let (Self::VirtualFunctionHeld { nic, holder, .. } | Self::PhysicalFunctionHeld { nic, holder, .. }) =
            self;
        (Some(nic), holder.container.as_deref())
    }
}

/// Refuses a NIC one of whose relatives another container has.
pub fn check(host: &Host, facts: &Facts, nics: &[Nic]) -> Result<(), RelatedError> {
    let holder = |address: PciAddress| {
        let other = host.nics.iter().find(|nic| nic.pci == Some(address))?;
        facts.held.get(&other.name).map(|holder| (other.name.clone(), holder.clone()))
    };
    for nic in nics {
        let Some(function) = nic.pci.and_then(|address| host.function(address)) else { continue };
        let nic = &nic.name;
        if let Some((vf, holder)) = function.vfs.iter().find_map(|vf| holder(*vf)) {
            return Err(RelatedError::VirtualFunctionHeld { nic: nic.clone(), vf, holder });
        }
        if let Some((pf, holder)) = function.pf.and_then(holder) {
            return Err(RelatedError::PhysicalFunctionHeld { nic: nic.clone(), pf, holder });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host with a PF and VFs, of which a container has one.
    fn related(held: &str) -> (Host, Facts) {
        let machine = nicdock_host::constructed::hosts::mlx5_sriov();
        let host = nicdock_host::inventory::read(&machine.capture()).unwrap();
        let mut facts = Facts::default();
        facts.held.insert(held.to_owned(), Keeper::container("other"));
        (host, facts)
    }

    fn pf_and_vf(host: &Host) -> (Nic, Nic) {
        let is_pf = |nic: &&Nic| nic.pci.and_then(|a| host.function(a)).is_some_and(|f| !f.vfs.is_empty());
        let pf = host.nics.iter().find(is_pf).unwrap();
        let vfs = &host.function(pf.pci.unwrap()).unwrap().vfs;
        let vf = host.nics.iter().find(|nic| nic.pci.is_some_and(|address| vfs.contains(&address))).unwrap();
        (pf.clone(), vf.clone())
    }

    #[test]
    fn a_pf_and_its_vfs_do_not_go_to_two_containers() {
        let (host, _) = related("");
        let (pf, vf) = pf_and_vf(&host);
        let (_, facts) = related(&vf.name);
        assert!(matches!(
            check(&host, &facts, std::slice::from_ref(&pf)),
            Err(RelatedError::VirtualFunctionHeld { .. })
        ));
        let (_, facts) = related(&pf.name);
        assert!(matches!(check(&host, &facts, &[vf]), Err(RelatedError::PhysicalFunctionHeld { .. })));
        assert_eq!(check(&host, &Facts::default(), &[pf]), Ok(()));
    }
}
