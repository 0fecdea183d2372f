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
    #[error(
        "{nic} and {other}, which {holder} has, are parts of one card: who has the function itself can change and remove its sub-functions; take another NIC, or wait until that one is back"
    )]
    SubfunctionHeld { nic: String, other: String, holder: Keeper },
    #[error(
        "{nic} and {other}, which {holder} has, belong together: {port}, and so its addresses; take another NIC, or wait until that one is back"
    )]
    PortHeld { nic: String, other: String, port: Box<str>, holder: Keeper },
}

impl RelatedError {
    /// The NIC that could not be had, and the container that has its relative.
    pub fn about(&self) -> (Option<&str>, Option<&str>) {
        let (Self::VirtualFunctionHeld { nic, holder, .. }
        | Self::PhysicalFunctionHeld { nic, holder, .. }
        | Self::SubfunctionHeld { nic, holder, .. }
        | Self::PortHeld { nic, holder, .. }) = self;
        (Some(nic), holder.container.as_deref())
    }
}

/// Refuses a NIC one of whose relatives another container has.
pub fn check(host: &Host, facts: &Facts, nics: &[Nic]) -> Result<(), RelatedError> {
    let holder = |address: PciAddress| {
        let other = host.nics.iter().find(|nic| nic.whole_function() == Some(address))?;
        facts.held.get(&other.name).map(|holder| (other.name.clone(), holder.clone()))
    };
    for nic in nics {
        let held = host.nics.iter().filter_map(|other| Some((other, facts.held.get(&other.name)?)));
        for (other, holder) in held.filter(|(other, _)| other.key() != nic.key()) {
            check_parts(nic, other, holder)?;
        }
        let Some(function) = nic.whole_function().and_then(|address| host.function(address)) else {
            continue;
        };
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

/// Refuses `nic` if `other`, which `holder` has, is of the same card or has what `nic` needs.
fn check_parts(nic: &Nic, other: &Nic, holder: &Keeper) -> Result<(), RelatedError> {
    let is_part = nic.pci.is_some() && nic.pci == other.pci;
    if is_part && nic.auxiliary.is_some() != other.auxiliary.is_some() {
        let (nic, other, holder) = (nic.name.clone(), other.name.clone(), holder.clone());
        return Err(RelatedError::SubfunctionHeld { nic, other, holder });
    }
    let tie = [(nic, other), (other, nic)].into_iter().find_map(|(one, two)| tie(one, &two.key()));
    match tie {
        Some(port) => {
            let (nic, other, holder) = (nic.name.clone(), other.name.clone(), holder.clone());
            Err(RelatedError::PortHeld { nic, other, port, holder })
        }
        None => Ok(()),
    }
}

/// What ties `nic` to the NIC with the key `other`.
fn tie(nic: &Nic, other: &str) -> Option<Box<str>> {
    let elsewhere = nic.ports_elsewhere.iter().find(|tie| tie.nic.as_deref() == Some(other));
    let carried = || nic.carries.iter().find(|tie| tie.nic == other);
    let of_elsewhere = elsewhere.map(|tie| (&tie.device, &tie.netdev.name));
    let (device, netdev) = of_elsewhere.or_else(|| carried().map(|tie| (&tie.device, &tie.netdev)))?;
    Some(format!("a port of the RDMA device {device} has the netdev {netdev}").into())
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

    /// What is wrong with taking `wanted` while another container has `held`.
    fn verdict(host: &Host, wanted: &str, held: &str) -> Result<(), RelatedError> {
        let mut facts = Facts::default();
        facts.held.insert(held.to_owned(), Keeper::container("other"));
        let nic = host.nics.iter().find(|nic| nic.name == wanted).unwrap();
        check(host, &facts, std::slice::from_ref(nic))
    }

    #[test]
    fn a_function_and_its_sub_functions_do_not_go_to_two_containers_but_two_sub_functions_do() {
        let machine = nicdock_host::constructed::hosts::subfunctions();
        let host = nicdock_host::inventory::read(&machine.capture()).unwrap();
        let (function, one, two) = ("rocep193s0f0", "rocep193s0f0S88", "rocep193s0f0S99");
        for (wanted, held) in [(function, one), (one, function)] {
            let verdict = verdict(&host, wanted, held);
            assert!(matches!(verdict, Err(RelatedError::SubfunctionHeld { .. })), "{wanted}: {verdict:?}");
        }
        assert_eq!(verdict(&host, one, two), Ok(()));
    }

    #[test]
    fn an_rdma_device_and_its_ports_netdev_do_not_go_to_two_containers_even_when_the_one_is_out_of_sight() {
        let machine = nicdock_host::constructed::hosts::erdma();
        let mut host = nicdock_host::inventory::read(&machine.capture()).unwrap();
        for (wanted, held) in [("erdma_1", "eth1"), ("eth1", "erdma_1")] {
            let verdict = verdict(&host, wanted, held);
            assert!(matches!(verdict, Err(RelatedError::PortHeld { .. })), "{wanted}: {verdict:?}");
        }
        assert_eq!(verdict(&host, "erdma_1", "eth0"), Ok(()));
        // With eth1 in another network namespace the kernel names no netdev for the port; the lease remembers what eth1 carries.
        host.nics.iter_mut().filter(|nic| nic.name == "erdma_1").for_each(|nic| nic.ports_elsewhere.clear());
        assert!(verdict(&host, "erdma_1", "eth1").is_err());
    }
}
