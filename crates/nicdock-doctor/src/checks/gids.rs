//! The addresses of RDMA ports (drivers/infiniband/core/{cache,roce_gid_mgmt}.c).

use nicdock_host::environment::{Gid, Reading};
use nicdock_host::model::{LinkLayer, Mac, Nic, NicKind, RdmaDevice, RdmaPort};

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const INDEX: Check = Check {
    id: "rdma.gid_index",
    asks: "which GID programs have to use",
    why: "a RoCE port has a GID of each version for each address of its netdevs, in the order in which they came, with gaps; libraries that take \
          the wrong one time out. Moving the netdev makes entries anew: ask again when a container has the NIC",
    judge: index,
    #[cfg(test)]
    cases: || Cases {
        fires: table(&["fe80:0000:0000:0000:0200:5eff:fe00:5330"], "IB/RoCE v1"),
        ok: table(
            &["fe80:0000:0000:0000:0200:5eff:fe00:5330", "0000:0000:0000:0000:0000:ffff:c000:0230"],
            "RoCE v2",
        ),
        unknown: Case::roce(),
    },
};

pub const NODE_GUID: Check = Check {
    id: "rdma.node_guid",
    asks: "that the device has a node GUID",
    why: "a VF that nobody gave a GUID has zero, and rdma_cm and subnet managers take all such devices for one",
    judge: node_guid,
    #[cfg(test)]
    cases: || Cases {
        // Of its VFs one has none.
        fires: Case::roce(),
        ok: one(),
        unknown: one().host(|host| host.nics[0].rdma_devices[0].node_guid = None),
    },
};

/// How good an entry is: the greatest is taken. `RoCE v2` goes over routers, and IPv4 is what most fabrics route.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Version1,
    LinkLocal,
    Ipv6,
    Ipv4,
}

fn rank(gid: &Gid) -> Rank {
    match gid.gid.to_ipv4_mapped() {
        _ if gid.kind.as_deref() != Some("RoCE v2") => Rank::Version1,
        Some(_) => Rank::Ipv4,
        None if gid.gid.is_unicast_link_local() => Rank::LinkLocal,
        None => Rank::Ipv6,
    }
}

fn index(subject: &Subject) -> Vec<Finding> {
    subject.each_device(|nic, device| {
        // usNIC has one GID, iWARP names no peer by it, and an EFA's is its only one.
        if !matches!(nic.kind, NicKind::Roce | NicKind::SoftRoce | NicKind::Ib) {
            return None;
        }
        device
            .ports
            .iter()
            .map(|port| of_port(subject, nic, device, port))
            .min_by_key(|finding| finding.status)
    })
}

fn of_port(subject: &Subject, nic: &Nic, device: &RdmaDevice, port: &RdmaPort) -> Finding {
    let folder = format!("/sys/{}/ports/{}/gids", device.sysfs, port.number);
    let gids = match subject.environment.gids(device, port.number) {
        Reading::Known(gids) => gids,
        Reading::Absent => return Finding::unknown(format!("{folder} is not there")),
        Reading::Unknown(why) => return Finding::unknown(why),
    };
    if port.link_layer == LinkLayer::InfiniBand {
        return match gids.first() {
            Some(first) => {
                Finding::ok(format!("{folder}/{}: {}: {}", first.index, first.gid, variables(first.index)))
            }
            None => Finding::problem(
                format!("{folder} is empty"),
                "start a subnet manager in the fabric: systemctl start opensm",
            ),
        };
    }
    let names: Vec<&str> = nic.netdevs.iter().map(|netdev| netdev.name.as_str()).collect();
    let is_own =
        |gid: &&Gid| gid.netdev.as_deref().is_none_or(|netdev| names.is_empty() || names.contains(&netdev));
    // Of several equals the first one.
    let best = gids.iter().filter(is_own).rev().max_by_key(|gid| rank(gid));
    let address = format!("ip address add ADDRESS/LENGTH dev {}", names.first().unwrap_or(&"NETDEV"));
    let Some(best) = best else {
        return Finding::problem(format!("{folder} has no GID of its own netdev"), address);
    };
    let kind = best.kind.as_deref().unwrap_or("of no known kind");
    let mapped = best.gid.to_ipv4_mapped();
    let gid = mapped.map_or_else(|| best.gid.to_string(), |ip| format!("::ffff:{ip}"));
    let evidence = format!("{folder}/{}: {gid}, {kind}: {}", best.index, variables(best.index));
    match rank(best) {
        Rank::Ipv4 | Rank::Ipv6 => Finding::ok(evidence),
        Rank::LinkLocal => {
            Finding::hint(format!("{evidence} (link-local: it reaches this subnet only)"), address)
        }
        Rank::Version1 => Finding::problem(format!("{folder} has no GID of RoCE v2"), address),
    }
}

/// What NCCL, UCX and Open MPI read.
fn variables(index: u32) -> String {
    format!("NCCL_IB_GID_INDEX={index} UCX_IB_GID_INDEX={index} OMPI_MCA_btl_openib_gid_index={index}")
}

fn node_guid(subject: &Subject) -> Vec<Finding> {
    subject.each_device(|nic, device| {
        let path = format!("/sys/{}/node_guid", device.sysfs);
        let Some(guid) = &device.node_guid else {
            return Some(Finding::unknown(format!("{path} is not told")));
        };
        let is_zero = guid.bytes().all(|byte| b"0:".contains(&byte));
        Some(if is_zero {
            Finding::problem(format!("{path}: {guid}"), give_guid(subject, nic))
        } else {
            Finding::ok(format!("{path}: {guid}"))
        })
    })
}

/// `ip link set … vf` (ip-link(8)), with the GUID that drivers of Ethernet make of a MAC address (`addrconf_addr_eui48()`).
fn give_guid(subject: &Subject, nic: &Nic) -> String {
    let vf = nic.pci.and_then(|address| Some((address, subject.host.function(address)?.pf?)));
    let Some((address, pf)) = vf else {
        return "the vendor's tool for the card's GUID (flint, niccli); of a soft device: rdma link delete and add".to_owned();
    };
    let number = subject.host.function(pf).and_then(|pf| pf.vfs.iter().position(|vf| *vf == address));
    let owner = subject.host.nics.iter().find(|one| one.pci == Some(pf));
    let netdev = owner.and_then(|owner| owner.netdevs.first()).map_or("PF", |netdev| netdev.name.as_str());
    let mac = nic.netdevs.first().and_then(|netdev| netdev.mac.as_ref());
    let guid = match mac.map(|mac| mac.0.as_slice()) {
        Some(mac @ [first, ..]) if mac.len() == 6 => {
            let bytes = [&[first ^ 2], &mac[1..3], &[0xff, 0xfe], &mac[3..]].concat();
            Mac(bytes).to_string()
        }
        _ => "GUID".to_owned(),
    };
    let number = number.map_or_else(|| "NUMBER".to_owned(), |number| number.to_string());
    format!(
        "ip link set {netdev} vf {number} node_guid {guid} port_guid {guid}; then echo {address} > /sys/bus/pci/drivers/DRIVER/unbind, and > bind"
    )
    .replace("DRIVER", nic_driver(subject, nic))
}

fn nic_driver<'a>(subject: &'a Subject, nic: &Nic) -> &'a str {
    let function = nic.pci.and_then(|address| subject.host.function(address));
    function.and_then(|function| function.driver.as_deref()).unwrap_or("mlx5_core")
}

/// The RoCE host with one NIC.
#[cfg(test)]
fn one() -> Case {
    Case::roce().host(|host| host.nics.retain(|nic| nic.name == "mlx5_0"))
}

/// The RoCE host with one NIC whose port has these GIDs, from index 0.
#[cfg(test)]
fn table(gids: &[&str], kind: &str) -> Case {
    let one = one();
    let port = format!("sys/{}/ports/1", one.host.nics[0].rdma_devices[0].sysfs);
    let netdev = one.host.nics[0].netdevs[0].name.clone();
    gids.iter().enumerate().fold(one, |case, (index, gid)| {
        case.environment(|environment| {
            environment
                .with_file(&format!("{port}/gids/{index}"), gid)
                .with_file(&format!("{port}/gid_attrs/types/{index}"), kind)
                .with_file(&format!("{port}/gid_attrs/ndevs/{index}"), &netdev)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Status;

    #[test]
    fn ipv4_of_roce_v2_is_taken_wherever_it_stands_and_named_for_each_library() {
        let gids = ["fe80:0000:0000:0000:0200:5eff:fe00:5330", "0000:0000:0000:0000:0000:ffff:c000:0230"];
        let answers = table(&gids, "RoCE v2").answers(&INDEX);
        assert_eq!(answers[0].status, Status::Ok);
        for word in ["NCCL_IB_GID_INDEX=1 UCX_IB_GID_INDEX=1 OMPI_MCA_btl_openib_gid_index=1", "192.0.2.48"] {
            assert!(answers[0].evidence.contains(word), "{answers:?}");
        }
    }

    #[test]
    fn a_gid_of_another_netdev_is_not_recommended() {
        let gids = ["0000:0000:0000:0000:0000:ffff:c000:0230"];
        let case = table(&gids, "RoCE v2").host(|host| host.nics[0].netdevs[0].name = "other".to_owned());
        assert_eq!(case.ask(&INDEX).0, Status::Problem);
    }
}
