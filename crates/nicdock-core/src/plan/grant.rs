//! What is taken from the host for one NIC, with all that is needed to give it back.

use std::net::IpAddr;

use nicdock_host::model::{
    Address, Host, IsolationMethod, Mac, Netdev, Nic, NicKind, Node, PciAddress, RdmaDevice, RdmaNetnsMode,
    is_soft,
};
use nicdock_netlink::name;
use serde::{Deserialize, Serialize};

use super::{ContainerNetdev, ContainerNic, Facts, PlanError};
use crate::request::{AddressWithPrefix, NetdevMode, NicRequest};
use crate::settings::Settings;

/// One NIC of the host, given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The NIC as it was on the host: what return restores.
    pub nic: Nic,
    /// Empty with `--netdev keep`, and for a job in the host's network namespace.
    pub netdevs: Vec<NetdevGrant>,
    pub rdma: Vec<RdmaGrant>,
    /// The PCI bridges above the NIC, root port first.
    pub bridges: Vec<PciAddress>,
    /// Its virtual functions, by number.
    pub vfs: Vec<PciAddress>,
    /// Give umad and issm too.
    pub umad: bool,
    /// Give the global `rdma_cm` node.
    pub rdma_cm: bool,
    /// Seconds that its link may take to be there inside; null: it is not waited for.
    #[serde(default)]
    pub link_timeout: Option<u32>,
    /// For a job in the host's network namespace, where all of it stays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub of_host_network: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// One netdev that moves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetdevGrant {
    pub host: Netdev,
    /// Its name inside.
    pub name: String,
    /// Was just this name asked for? Else it gives way to an interface that the container has.
    #[serde(default)]
    pub is_named: bool,
    /// Addresses that replace its own; empty keeps its own.
    pub addresses: Vec<AddressWithPrefix>,
    /// What else the host has set on it; remembered when it is taken, so a plan that was only shown has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
}

impl NetdevGrant {
    /// The addresses that it has inside.
    pub fn ips(&self) -> Vec<IpAddr> {
        if self.addresses.is_empty() {
            self.host.addresses.iter().map(|address| address.ip).collect()
        } else {
            self.addresses.iter().map(|address| address.ip).collect()
        }
    }
}

/// One RDMA device that is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RdmaGrant {
    pub device: RdmaDevice,
    /// Moves into the container's namespace (exclusive mode) instead of staying shared.
    pub moves: bool,
    /// A soft device goes with its netdev's move and is made anew inside.
    pub remake: Option<SoftRdma>,
}

/// How to make a soft RDMA device (`rdma link add NAME type KIND netdev NETDEV`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SoftRdma {
    /// `rxe` or `siw`.
    pub kind: String,
    /// Name of the netdev on the host.
    pub netdev: String,
}

impl Grant {
    /// The NIC as the container will see it.
    pub fn inside(&self) -> ContainerNic {
        let link_local = |a: &&Address| a.scope != 253;
        let addresses = |given: &NetdevGrant| -> Vec<String> {
            if given.addresses.is_empty() {
                given.host.addresses.iter().filter(link_local).map(ToString::to_string).collect()
            } else {
                given.addresses.iter().map(ToString::to_string).collect()
            }
        };
        let netdevs = self.netdevs.iter().map(|given| ContainerNetdev {
            name: given.name.clone(),
            addresses: addresses(given),
            mtu: given.host.mtu,
            mac: given.host.mac.as_ref().map(Mac::to_string),
        });
        let netdevs: Vec<ContainerNetdev> = netdevs.collect();
        let rdma_devices: Vec<String> = self.rdma.iter().map(|rdma| rdma.device.name.clone()).collect();
        let mut nodes: Vec<String> = self.nodes().map(|n| n.path.clone()).collect();
        if self.rdma_cm {
            nodes.push("/dev/infiniband/rdma_cm".to_owned());
        }
        let first = netdevs.first();
        ContainerNic {
            netdev: first.map(|netdev| netdev.name.clone()),
            rdma_device: rdma_devices.first().cloned(),
            nodes,
            addresses: netdevs.iter().flat_map(|netdev| netdev.addresses.iter().cloned()).collect(),
            mtu: first.map(|netdev| netdev.mtu),
            mac: first.and_then(|netdev| netdev.mac.clone()),
            pci: self.nic.pci.map(|p| p.to_string()),
            auxiliary: self.nic.auxiliary.clone(),
            netdevs,
            rdma_devices,
        }
    }

    /// The nodes to give, as they are on the host now.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let devices = self.rdma.iter().map(|r| &r.device);
        devices.flat_map(|d| d.uverbs.iter().chain(d.umad.iter().chain(&d.issm).filter(|_| self.umad)))
    }
}

/// Decides what becomes of each part of `nic`.
pub fn grant(host: &Host, facts: &Facts, request: &NicRequest, nic: Nic) -> Result<Grant, PlanError> {
    let of_host_network = request.netdev == NetdevMode::Host;
    let keep = request.netdev != NetdevMode::Move;
    if keep && !of_host_network && nic.kind == NicKind::Usnic {
        return Err(PlanError::UsnicKeep { nic: nic.name });
    }
    if keep && nic.rdma_devices.is_empty() {
        return Err(PlanError::NothingToKeep { nic: nic.name });
    }
    if !keep {
        can_move(facts, &nic)?;
    }
    let exclusive = host.rdma_netns_mode == Some(RdmaNetnsMode::Exclusive);
    let leaves = exclusive && !of_host_network;
    if leaves && !nic.rdma_devices.is_empty() && nic.isolation.method != IsolationMethod::RdmaNetns {
        let driver =
            nic.rdma_devices.iter().find_map(|d| d.driver.clone()).unwrap_or_else(|| "its driver".into());
        return Err(PlanError::Exclusive { nic: nic.name, driver });
    }
    super::ipoib::check(&nic, keep, leaves)?;
    let netdevs = if keep { &[][..] } else { &nic.netdevs[..] };
    let netdevs: Vec<NetdevGrant> = netdevs
        .iter()
        .map(|netdev| NetdevGrant {
            host: netdev.clone(),
            name: request.netdev_name.as_deref().map_or_else(|| netdev.name.clone(), name::canonical),
            is_named: request.netdev_name.is_some(),
            addresses: request.addresses.clone(),
            settings: None,
        })
        .collect();
    if nic.kind == NicKind::Usnic && !of_host_network {
        super::usnic::check_address(&nic.name, &netdevs)?;
    }
    let rdma = nic
        .rdma_devices
        .iter()
        .map(|device| {
            let remake = if keep { None } else { remake(&nic, device) };
            RdmaGrant { device: device.clone(), moves: leaves && remake.is_none(), remake }
        })
        .collect();
    let has_netdev = (!keep || of_host_network) && !nic.netdevs.is_empty();
    let has_rdma = !nic.rdma_devices.is_empty();
    if request.rdma_cm {
        let usable = has_netdev && has_rdma && nic.kind != NicKind::Usnic;
        if !usable || host.rdma_cm.is_none() {
            return Err(PlanError::RdmaCm { nic: nic.name, loaded: host.rdma_cm.is_some() });
        }
    }
    let function = nic.pci.and_then(|address| host.function(address));
    let bridges = function.map(|f| f.bridges.clone()).unwrap_or_default();
    let whole = function.filter(|_| nic.auxiliary.is_none());
    let vfs = whole.map(|f| f.vfs.clone()).unwrap_or_default();
    let NicRequest { umad, rdma_cm, link_timeout, .. } = *request;
    Ok(Grant { nic, netdevs, rdma, bridges, vfs, umad, rdma_cm, link_timeout, of_host_network })
}

fn can_move(facts: &Facts, nic: &Nic) -> Result<(), PlanError> {
    let refuse = |netdev: &Netdev, reason: &str| {
        Err(PlanError::CannotMove {
            nic: nic.name.clone(),
            netdev: netdev.name.clone(),
            reason: reason.to_owned(),
        })
    };
    for netdev in &nic.netdevs {
        if !nic.is_physical() {
            return refuse(netdev, "it is no PCI device, so the kernel destroys it with the namespace");
        }
        if let Some(unread) = netdev.unread.first() {
            return refuse(
                netdev,
                &format!(
                    "not everything that the kernel tells of it is understood, so it could not be given back as it was: {unread}"
                ),
            );
        }
        if !netdev.lost.is_empty() {
            return refuse(netdev, &netdev.lost.join("; "));
        }
        let is_siw = |device: &RdmaDevice| device.driver.as_deref() == Some("siw");
        match nic.kind {
            // One may be beside a soft-RoCE device.
            NicKind::SoftRoce | NicKind::SoftIwarp
                if nic.kind == NicKind::SoftIwarp || nic.rdma_devices.iter().any(is_siw) =>
            {
                return refuse(
                    netdev,
                    "moving it destroys its soft-iWARP device, which works in the first namespace only",
                );
            }
            NicKind::SoftRoce if facts.soft_roce_in_netns != Some(true) => {
                return refuse(
                    netdev,
                    "moving it destroys its soft-RoCE device, and this kernel can make none inside a network namespace",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn remake(nic: &Nic, device: &RdmaDevice) -> Option<SoftRdma> {
    // Each by the driver that it has: there may be one of each on a netdev.
    let kind = device.driver.as_deref().filter(|driver| is_soft(driver))?;
    let netdev = device
        .ports
        .iter()
        .find_map(|p| p.netdev.clone())
        .or_else(|| nic.netdevs.first().map(|n| n.name.clone()))?;
    Some(SoftRdma { kind: kind.to_owned(), netdev })
}
