//! A physical function and its virtual ones: a container that has the one can see and set the others.

use nicdock_host::model::{Host, Nic, PciAddress};

use super::Facts;

/// Why a NIC cannot go to a container while its relatives are with another.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelatedError {
    /// `rtnl_fill_vfinfo()` lists them, `do_setvfinfo()` sets them (net/core/rtnetlink.c).
    #[error(
        "{nic} is the physical function of {vf}, which container {holder} has: it would show that one's MAC address and, with CAP_NET_ADMIN, change it; take another NIC, or wait until {holder} has ended"
    )]
    VirtualFunctionHeld { nic: String, vf: String, holder: String },
    #[error(
        "{nic} is a virtual function of {pf}, which container {holder} has: that container sees this one's MAC address and, with CAP_NET_ADMIN, can change it; take another NIC, or wait until {holder} has ended"
    )]
    PhysicalFunctionHeld { nic: String, pf: String, holder: String },
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
