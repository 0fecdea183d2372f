//! What is around a device, judged: pure functions from what was read to works or fails.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::found::Target;
use super::gid;
use super::surroundings::{Netdev, Node, Process};
use nicdock_core::usnic::{LIBFABRIC_MEMLOCK, address_in_gid};
use nicdock_sys::uverbs::abi::PortAttributes;

/// What was found, or why it is not as it must be and what to do next.
pub type Verdict = Result<String, String>;

pub fn node(target: &Target, node: &Node) -> Verdict {
    let (major, minor) = target.number;
    let path = node.path.display();
    match node.number {
        Some(number) if number == target.number => {
            Ok(format!("{path} {major}:{minor}, mode {:04o}, owner {}:{}", node.mode, node.uid, node.gid))
        }
        Some((was, then)) => Err(format!(
            "{path} is {was}:{then}, and {} is {major}:{minor}: the node is another device's or was made before the driver \
             numbered its devices anew; make it again",
            target.name
        )),
        None => Err(format!("{path} is not a character device: something else was put in the node's place")),
    }
}

/// Of ports by number: one that is ACTIVE is enough.
pub fn ports(ports: &[(u8, PortAttributes)], usnic: bool) -> Verdict {
    const ETHERNET: u8 = 2;
    let all: Vec<String> = ports.iter().map(|(number, port)| port_text(*number, *port)).collect();
    let all = all.join(", ");
    let state = ports.iter().map(|(_, port)| port.state).max();
    let ethernet = ports.iter().any(|(_, port)| port.link_layer == ETHERNET);
    let why = match state {
        Some(4 | 5) => return Ok(all),
        Some(2) if usnic => {
            "the driver knows no IPv4 address of the netdev, since it has none, or since one was deleted, which makes the \
             driver forget the others: put the address on, or off and on again (ip address del, add)"
        }
        Some(1) if usnic || ethernet => {
            "the netdev is down or has no carrier: set it up (ip link set NETDEV up), check cable and switch"
        }
        Some(1) => "no link: check cable and switch",
        Some(2) => "the link is there and no subnet manager has configured it: is one running (opensm)?",
        Some(3) => "a subnet manager is about to activate it: try again",
        _ => "the driver does not say more: look into the kernel's log (dmesg)",
    };
    Err(format!("{all}: {why}"))
}

fn port_text(number: u8, port: PortAttributes) -> String {
    let state = nicdock_netlink::rdma::port_state_name(port.state).unwrap_or("in no known state");
    let mtu = match port.active_mtu {
        mtu @ 1..=5 => format!(", MTU {}", 128_u32 << mtu),
        _ => String::new(),
    };
    format!("port {number} {state}{mtu}")
}

/// usNIC's only GID has the MAC address that libfabric sends from, and the IPv4 address that the driver knows.
pub fn usnic_gid(gids: &[(u32, Ipv6Addr)], netdev: Option<&Netdev>) -> Verdict {
    let again = "take the address off the netdev and put it on again: the driver learns it when it changes";
    let Some((_, gid)) = gids.iter().find(|(index, _)| *index == 0) else {
        return Err(format!("GID 0 is empty, and libfabric takes the NIC's MAC address from it: {again}"));
    };
    let told = address_in_gid(*gid);
    let known: Vec<Ipv4Addr> = netdev.map(ipv4).unwrap_or_default();
    if told.is_unspecified() && known.is_empty() {
        return Err("GID 0 tells no IPv4 address: give the netdev one (ip address add)".into());
    }
    if netdev.is_some() && !known.contains(&told) {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let has = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let takes = if told.is_unspecified() { "none".to_owned() } else { told.to_string() };
        return Err(format!(
            "the NIC's address is {takes} for the driver, and the netdev has {has}: {again}"
        ));
    }
    Ok(format!("index 0: {}, which tells {told}", gid::show(*gid)))
}

/// Everything but InfiniBand gets its GIDs from the netdev's addresses.
pub fn gids(gids: &[(u32, Ipv6Addr)]) -> Verdict {
    let Some((first, gid)) = gids.first() else {
        return Err("the GID table of port 1 is empty, so nobody can be addressed: with RoCE and iWARP give the netdev an \
                    address and set it up"
            .into());
    };
    let ipv4 =
        gids.iter().find(|(_, gid)| gid.to_ipv4_mapped().is_some()).filter(|(index, _)| index != first);
    let also = ipv4.map(|(index, gid)| format!("; index {index}: {}", gid::show(*gid))).unwrap_or_default();
    Ok(format!("index {first}: {}{also}", gid::show(*gid)))
}

/// The netdev of usNIC must be here, with an IPv4 address.
pub fn usnic_netdev(name: &str, netdev: Option<&Netdev>) -> Verdict {
    match netdev {
        None => Err(format!(
            "{name} is not in this network namespace, and usNIC's programs need it here with its IPv4 address: nicdock run \
             moves it in unless --netdev keep"
        )),
        Some(netdev) if ipv4(netdev).is_empty() => Err(format!(
            "{name} has no IPv4 address, and usNIC sends nothing else: ip address add ADDRESS/LENGTH dev {name}"
        )),
        Some(netdev) => Ok(netdev_text(netdev)),
    }
}

pub fn netdev_text(netdev: &Netdev) -> String {
    let addresses = netdev.addresses.iter().map(|(ip, length)| format!("{ip}/{length}"));
    let words: Vec<String> = std::iter::once(netdev.name.clone()).chain(addresses).collect();
    let state = if netdev.running { "" } else { ", down or without carrier" };
    format!("{}{state}", words.join(" "))
}

pub fn ipv4(netdev: &Netdev) -> Vec<Ipv4Addr> {
    let v4 = |(ip, _): &(IpAddr, u8)| match ip {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    };
    netdev.addresses.iter().filter_map(v4).collect()
}

pub fn memlock(process: &Process, usnic: bool) -> Verdict {
    let limit = limit(process.memlock);
    let raise = "start the container with more (nicdock run: without --memlock; ulimit -l)";
    match process.memlock {
        None => Ok("unlimited".into()),
        Some(_) if process.exceeds_memlock => Ok(format!("{limit}, which CAP_IPC_LOCK lifts")),
        Some(0) => Err(format!("0: no memory may be pinned, so none can be registered; {raise}")),
        Some(bytes) if usnic && bytes < LIBFABRIC_MEMLOCK => Err(format!(
            "{limit}: libfabric's usnic provider pins {}; {raise}",
            self::limit(Some(LIBFABRIC_MEMLOCK))
        )),
        Some(_) => Ok(format!("{limit}: whoever registers more gets ENOMEM")),
    }
}

/// In KiB, as `ulimit -l` has it.
pub fn limit(bytes: Option<u64>) -> String {
    match bytes {
        None => "unlimited".into(),
        Some(bytes) if bytes % 1024 == 0 => format!("{} KiB", bytes / 1024),
        Some(bytes) => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests;
