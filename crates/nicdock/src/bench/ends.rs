//! Chooses the two NICs, and the addresses by which they reach each other.

use std::net::{IpAddr, Ipv4Addr};

use super::free_address;
use crate::failure::{Failure, need_root};
use nicdock_bench::{Address, End};
use nicdock_core::kind::Kind;
use nicdock_core::node::{HostSnapshot, Node};
use nicdock_core::plan::Grant;
use nicdock_core::request::{AddressWithPrefix, NicRequest, Selector};
use nicdock_host::model::{LinkLayer, Netdev, Nic, NicKind, RdmaDevice, RdmaPort};

pub struct Side {
    pub nic: Nic,
    pub netdev: Netdev,
    pub device: RdmaDevice,
    pub end: End,
}

pub struct Ends {
    pub own: Side,
    pub peer: Side,
    /// Where the server listens.
    pub server: IpAddr,
    /// The address that the peer is given in its container, where it has none in a subnet of the measured NIC.
    pub peer_address: Option<String>,
}

impl Ends {
    /// Both NICs could be given to containers now, and are not one.
    pub fn choose(nic: &Selector, nic2: Option<&Selector>) -> Result<Self, Failure> {
        need_root("only root can give a NIC to a container")?;
        let Some(nic2) = nic2 else { return Err(no_peer(nic)?) };
        let [own, peer] = both(nic, nic2)?;
        let (own, own_port) = Parts::of(own)?;
        let (peer, peer_port) = Parts::of(peer)?;
        let (own_ip, server, peer_address) = addresses(&own.netdev, &peer.netdev)?;
        let own = own.side(&own_port, own_ip);
        let peer = peer.side(&peer_port, server);
        Ok(Self { own, peer, server: IpAddr::V4(server), peer_address })
    }
}

fn request(selector: &Selector) -> NicRequest {
    NicRequest::of(vec![selector.clone()])
}

fn both(nic: &Selector, nic2: &Selector) -> Result<[Grant; 2], Failure> {
    let name = format!("nicdock-bench-{}", std::process::id());
    let node = Node::of_machine();
    let together = node.check(&name, &[request(nic), request(nic2)]);
    let grants = match together {
        Ok(offer) => offer.grants,
        Err(error) => {
            // Each for itself says more: one cannot be had at all, or both are the same.
            let one = node.check(&name, &[request(nic)])?.grants;
            let other = node.check(&name, &[request(nic2)])?.grants;
            let same = one.iter().find(|grant| other.iter().any(|of| of.nic.name == grant.nic.name));
            return Err(match same {
                Some(grant) => Failure::new(
                    Kind::BadInput,
                    format!(
                        "--nic and --nic2 are both {}: name two NICs, one to measure and one at the other end",
                        grant.nic.name
                    ),
                ),
                None => error.into(),
            });
        }
    };
    <[Grant; 2]>::try_from(grants).map_err(|grants| {
        let names: Vec<&str> = grants.iter().map(|grant| grant.nic.name.as_str()).collect();
        let why = format!("--nic and --nic2 mean {}: each must mean one NIC", names.join(", "));
        Failure::new(Kind::Ambiguous, why)
    })
}

/// What to do without a second NIC.
fn no_peer(nic: &Selector) -> Result<Failure, Failure> {
    let host = HostSnapshot::of_machine()?.host;
    let own = host.nics.iter().filter(|one| nic.matches(&host, one)).map(|one| &one.name);
    let own: Vec<&String> = own.collect();
    if own.is_empty() {
        return Ok(Failure::new(
            Kind::NoMatch,
            format!("no NIC here is {nic} (nicdock ls --all shows them)"),
        ));
    }
    let others = host.nics.iter().filter(|one| one.kind != NicKind::Ethernet && !own.contains(&&one.name));
    let others: Vec<&str> = others.map(|one| one.name.as_str()).collect();
    let why = if others.is_empty() {
        "there is no other fabric NIC on this host, and a measurement needs two ends: plug in a second one on the same network"
            .to_owned()
    } else {
        format!("a measurement needs two ends: name the other one with --nic2, of {}", others.join(", "))
    };
    Ok(Failure::new(Kind::NoMatch, why))
}

/// What of a NIC is used.
struct Parts {
    nic: Nic,
    netdev: Netdev,
    device: RdmaDevice,
}

impl Parts {
    fn of(grant: Grant) -> Result<(Self, RdmaPort), Failure> {
        let nic = grant.nic;
        let cannot = |why: String| Failure::new(Kind::Unsupported, format!("{}: {why}", nic.name));
        let device = nic
            .rdma_devices
            .first()
            .ok_or_else(|| cannot("it has no RDMA device, and perftest measures RDMA".to_owned()))?;
        // Both ends run it in a shell.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if !device.name.chars().all(is_plain) {
            return Err(cannot(format!(
                "the name of {} has letters that a shell takes for its own",
                device.name
            )));
        }
        if device.usnic.is_some() {
            return Err(cannot("perftest cannot use usNIC, which has no connected queue pairs".to_owned()));
        }
        let port =
            device.active_port().cloned().ok_or_else(|| cannot(format!("{} has no port", device.name)))?;
        if port.state != "ACTIVE" {
            let why =
                format!("port {} of {} is {}: see nicdock doctor", port.number, device.name, port.state);
            return Err(cannot(why));
        }
        let netdev = nic.netdevs.iter().find(|netdev| Some(&netdev.name) == port.netdev.as_ref());
        let netdev = netdev.cloned().ok_or_else(|| {
            cannot(format!(
                "port {} of {} has no netdev, by which both ends find each other",
                port.number, device.name
            ))
        })?;
        let device = device.clone();
        Ok((Self { nic, netdev, device }, port))
    }

    fn side(self, port: &RdmaPort, address: Ipv4Addr) -> Side {
        let address = match port.link_layer {
            LinkLayer::InfiniBand => Address::Lid,
            LinkLayer::Ethernet | LinkLayer::Unknown => Address::Ip(IpAddr::V4(address)),
        };
        let end = End { rdma_device: self.device.name.clone(), port: port.number, address };
        Side { nic: self.nic, netdev: self.netdev, device: self.device, end }
    }
}

/// The measured NIC's address, the server's, and what the server's NIC is given for it.
///
/// perftest 4.5 connects by IPv4 alone. With both in one subnet neither end needs a route.
fn addresses(own: &Netdev, peer: &Netdev) -> Result<(Ipv4Addr, Ipv4Addr, Option<String>), Failure> {
    let mine = ipv4(own);
    for (address, prefix) in &mine {
        let same =
            ipv4(peer).into_iter().find(|(other, _)| subnet(*address, *prefix).contains(IpAddr::V4(*other)));
        if let Some((other, _)) = same {
            return Ok((*address, other, None));
        }
    }
    let Some((address, prefix)) = mine.into_iter().find(|(_, prefix)| (8..=29).contains(prefix)) else {
        let why = format!(
            "{}: it has no IPv4 address, by which both ends find each other: ip address add …",
            own.name
        );
        return Err(Failure::new(Kind::Unsupported, why));
    };
    let free = free_address::find(address, prefix)?.ok_or_else(|| {
        let why = format!(
            "{} has no address in {address}/{prefix}, {}'s subnet, and no unused one was found there: give it one (ip address add ADDRESS/{prefix} dev {})",
            peer.name, own.name, peer.name
        );
        Failure::new(Kind::Unsupported, why)
    })?;
    Ok((address, free, Some(format!("{free}/{prefix}"))))
}

fn ipv4(netdev: &Netdev) -> Vec<(Ipv4Addr, u8)> {
    let all = netdev.addresses.iter().filter_map(|address| match address.ip {
        IpAddr::V4(ip) if address.prefix_len < 32 => Some((ip, address.prefix_len)),
        _ => None,
    });
    all.collect()
}

fn subnet(address: Ipv4Addr, prefix_len: u8) -> AddressWithPrefix {
    AddressWithPrefix { ip: IpAddr::V4(address), prefix_len }
}
