//! Checks the host's settings that usNIC needs (drivers/infiniband/hw/usnic).

use std::net::IpAddr;

use nicdock_host::model::{Nic, NicKind, PciFunction};

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

const USNIC: [NicKind; 1] = [NicKind::Usnic];

pub const IOMMU: Check = Check {
    id: "usnic.iommu",
    asks: "that each VF of a usNIC is behind an IOMMU",
    why: "usnic_verbs gives each program's memory an IOMMU domain of its own (usnic_uiom_attach_dev_to_pd()); without an IOMMU its probe fails \
          with EPERM and no program can use the NIC",
    judge: iommu,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::usnic().host(|host| host.pci.iter_mut().for_each(|one| one.iommu_group = None)),
        ok: Case::usnic(),
        unknown: Case::usnic().host(|host| host.pci.iter_mut().for_each(|one| one.vfs.clear())),
    },
};

pub const VFS: Check = Check {
    id: "usnic.vfs",
    asks: "that usnic_verbs has VFs, and some left",
    why: "each protection domain takes a VF for itself, so there are at most as many programs at once as VFs; the next one gets ENOMEM",
    judge: vfs,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::usnic().host(|host| pools(host).for_each(|pool| pool.vfs = 0)),
        ok: Case::usnic(),
        unknown: Case::usnic().host(|host| {
            host.nics.iter_mut().flat_map(|nic| &mut nic.rdma_devices).for_each(|one| one.usnic = None);
        }),
    },
};

pub const IPV4: Check = Check {
    id: "usnic.ipv4",
    asks: "that the netdev of a usNIC has an IPv4 address",
    why: "usNIC's port is ACTIVE only with an IPv4 address on its netdev (usnic_ib_query_port()); without one no queue pair can be made",
    judge: ipv4,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::usnic(),
        ok: Case::usnic().host(|host| host.nics.retain(|nic| nic.name == "usnic_0")),
        unknown: Case::usnic().host(|host| host.nics.iter_mut().for_each(|nic| nic.netdevs.clear())),
    },
};

/// The VFs of a NIC that are usNIC's.
fn pool<'a>(subject: &'a Subject, nic: &Nic) -> Vec<&'a PciFunction> {
    let vfs = nic.pci.and_then(|pf| subject.host.function(pf)).map_or(&[][..], |pf| &pf.vfs);
    vfs.iter().filter_map(|vf| subject.host.function(*vf)).filter(|vf| vf.is_usnic_vf()).collect()
}

fn iommu(subject: &Subject) -> Vec<Finding> {
    subject.each_of(&USNIC, |nic| {
        let vfs = pool(subject, nic);
        let Some(first) = vfs.first() else {
            return Finding::unknown("it has no VF of which an IOMMU group could be told");
        };
        match vfs.iter().find(|vf| vf.iommu_group.is_none()) {
            Some(vf) => Finding::problem(
                format!("/sys/{}/iommu_group is not there", vf.sysfs),
                "intel_iommu=on (AMD: amd_iommu=on) on the kernel's command line, VT-d on in the BIOS, and a reboot",
            ),
            None => Finding::ok(format!("/sys/{}/iommu_group is there, as of all {} VFs", first.sysfs, vfs.len())),
        }
    })
}

fn vfs(subject: &Subject) -> Vec<Finding> {
    subject.each_of(&USNIC, |nic| {
        let Some((device, told)) = nic.rdma_devices.iter().find_map(|one| Some((one, one.usnic.as_ref()?))) else {
            return Finding::unknown("the driver does not tell its VFs (max_vf)");
        };
        let path = format!("/sys/{}/max_vf", device.sysfs);
        let there = pool(subject, nic);
        let unbound = there.iter().find(|vf| vf.driver.as_deref() != Some("usnic_verbs"));
        match unbound {
            Some(vf) => Finding::problem(
                format!("/sys/{}/driver is {}", vf.sysfs, vf.driver.as_deref().unwrap_or("not there")),
                format!("echo {} > /sys/bus/pci/drivers/usnic_verbs/bind", vf.address),
            ),
            None if told.vfs == 0 => Finding::problem(
                format!("{path}: 0"),
                "give the vNIC usNICs in CIMC (scope host-eth-if, create usnic-config 0, set usnic-count) or in UCS Manager (a usNIC connection \
                 policy), then reboot",
            ),
            None if told.vfs_in_use() >= told.vfs as usize => Finding::hint(
                format!("{path}: {}, and all have queue pairs", told.vfs),
                "end programs that use it (nicdock ls --tree shows them), or raise usnic-count in CIMC",
            ),
            None => Finding::ok(format!("{path}: {}, {} in use", told.vfs, told.vfs_in_use())),
        }
    })
}

fn ipv4(subject: &Subject) -> Vec<Finding> {
    subject.each_of(&USNIC, |nic| {
        let Some(netdev) = nic.netdevs.first() else {
            return Finding::unknown("its netdev is not in this network namespace");
        };
        let address = netdev.addresses.iter().find(|address| matches!(address.ip, IpAddr::V4(_)));
        match address {
            Some(address) => Finding::ok(format!("{} has {address}", netdev.name)),
            None => Finding::problem(
                format!("{} has no IPv4 address", netdev.name),
                format!(
                    "ip address add ADDRESS/LENGTH dev {}, or --ip ADDRESS/LENGTH for a container",
                    netdev.name
                ),
            ),
        }
    })
}

#[cfg(test)]
fn pools(host: &mut nicdock_host::model::Host) -> impl Iterator<Item = &mut nicdock_host::model::UsnicPool> {
    host.nics.iter_mut().flat_map(|nic| &mut nic.rdma_devices).filter_map(|device| device.usnic.as_mut())
}
