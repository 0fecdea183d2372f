//! Waits for the link of what a container is given: the move has taken it away, and on hardware it is back after 2 to 30 seconds. A
//! program that starts before finds no carrier and a port that is not ACTIVE, and most give up.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use nicdock_netlink::rdma::{Port, Socket};

use super::{Doing, PhaseError};
use crate::plan::{Grant, NetdevGrant, RdmaGrant};
use crate::say::notice;
use crate::usnic::address_in_gid;
use nicdock_netlink::rtnl::{Link, Rtnl};

/// `enum ib_port_state` (include/rdma/ib_verbs.h).
const INIT: u8 = 2;
const ACTIVE: u8 = 4;

/// `IB_PORT_PHYS_STATE_POLLING` and `_DISABLED` (include/rdma/ib_verbs.h).
const POLLING: u8 = 2;
const DISABLED: u8 = 3;

/// After this time somebody who waits wants to know for what.
const SILENCE: Duration = Duration::from_secs(1);

const LOOK_AT_THE_CABLE: &str = "look at the cable, and at what is at its other end (switch port, partner)";

/// What is not there yet.
struct Lacking {
    /// `eth0 has no carrier`
    what: String,
    /// What to look at should it not come.
    advice: &'static str,
}

/// Waits for each NIC as long as it was asked for, from now on. An error tells what is known of a link that did not come.
///
/// The caller is in the container's network namespace, which `inside` speaks to, and still in the host's mount namespace.
pub fn wait(inside: &mut Rtnl, grants: &[Grant]) -> Result<(), PhaseError> {
    let begin = Instant::now();
    let has_rdma = grants.iter().any(|grant| !grant.rdma.is_empty());
    let rdma = has_rdma.then(Socket::open).transpose().doing(|| "opening RDMA netlink".into())?;
    grants.iter().try_for_each(|grant| wait_for(inside, rdma.as_ref(), grant, begin))
}

fn wait_for(
    inside: &mut Rtnl,
    rdma: Option<&Socket>,
    grant: &Grant,
    begin: Instant,
) -> Result<(), PhaseError> {
    let name = &grant.nic.name;
    let mut told = String::new();
    while let Some(lacking) = lacking(inside, rdma, grant)? {
        let Some(seconds) = grant.link_timeout else {
            notice(format_args!("warning: {name}: {}, and its link is not waited for", lacking.what));
            return Ok(());
        };
        if begin.elapsed() >= Duration::from_secs(seconds.into()) {
            let reason = format!(
                "{} after {seconds} s: {}. --link-timeout waits longer, --no-link-wait not at all",
                lacking.what, lacking.advice
            );
            let error = io::Error::new(io::ErrorKind::TimedOut, reason);
            return Err(PhaseError::new(format!("waiting for the link of {name}"), error));
        }
        if begin.elapsed() > SILENCE && told != lacking.what {
            notice(format_args!("waiting for the link of {name}, at most {seconds} s: {}", lacking.what));
            told = lacking.what;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn lacking(inside: &mut Rtnl, rdma: Option<&Socket>, grant: &Grant) -> Result<Option<Lacking>, PhaseError> {
    let links = inside.links().doing(|| "listing the container's interfaces".into())?;
    if let Some(lacking) = of_netdevs(&grant.netdevs, &links) {
        return Ok(Some(lacking));
    }
    let Some(socket) = rdma.filter(|_| !grant.rdma.is_empty()) else { return Ok(None) };
    let ports = ports(socket, &grant.rdma)?;
    Ok(of_ports(&grant.rdma, &ports).or_else(|| of_addresses(grant)))
}

/// Those that had a carrier on the host have it again; where none had, one gets it: of two ports of a NIC one may have no cable.
/// `IPoIB`'s carrier says less than the port's state.
fn of_netdevs(given: &[NetdevGrant], links: &[Link]) -> Option<Lacking> {
    let given = given.iter().filter(|given| !given.host.is_ipoib());
    let each = given.map(|given| {
        let runs = links.iter().any(|link| link.name == given.name && link.running);
        let lacking = Lacking { what: format!("{} has no carrier", given.name), advice: LOOK_AT_THE_CABLE };
        (given.host.carrier == Some(true), (!runs).then_some(lacking))
    });
    all_that_were_or_one(each.collect())
}

fn of_ports(rdma: &[RdmaGrant], now: &[Port]) -> Option<Lacking> {
    let each = rdma.iter().flat_map(|rdma| {
        rdma.device.ports.iter().map(|port| {
            let was_active = port.state == "ACTIVE" || rdma.device.usnic.is_some();
            (was_active, of_port(rdma, port.number, now))
        })
    });
    all_that_were_or_one(each.collect())
}

/// Of parts with whether they were there on the host: what all of those lack, or else what every one lacks.
fn all_that_were_or_one(parts: Vec<(bool, Option<Lacking>)>) -> Option<Lacking> {
    if parts.iter().any(|(was_there, _)| *was_there) {
        return parts.into_iter().filter(|(was_there, _)| *was_there).find_map(|(_, lacking)| lacking);
    }
    if parts.iter().any(|(_, lacking)| lacking.is_none()) {
        return None;
    }
    parts.into_iter().find_map(|(_, lacking)| lacking)
}

fn of_port(rdma: &RdmaGrant, number: u32, now: &[Port]) -> Option<Lacking> {
    let name = &rdma.device.name;
    let port = now.iter().find(|port| port.device_name == *name && port.number == number);
    let state = port.and_then(|port| port.state);
    if state == Some(ACTIVE) {
        return None;
    }
    let word = match (port, state.and_then(nicdock_netlink::rdma::port_state_name)) {
        (None, _) => "not there",
        (_, None) => "in a state that is not known",
        (_, Some(word)) => word,
    };
    let advice = match (state, port.and_then(|port| port.physical_state)) {
        (Some(INIT), _) if rdma.device.usnic.is_some() => {
            "a usNIC's port is INIT until it has an IPv4 address"
        }
        (Some(INIT), _) => {
            "the link is there, and no subnet manager has set the port up (opensm, or the switch's own)"
        }
        (_, Some(POLLING)) => "the port finds no partner: look at the cable, and at what is at its other end",
        (_, Some(DISABLED)) => {
            "the port is disabled, or its netdev is down: set it up (ip link set NETDEV up)"
        }
        _ => LOOK_AT_THE_CABLE,
    };
    Some(Lacking { what: format!("port {number} of {name} is {word}"), advice })
}

fn ports(socket: &Socket, rdma: &[RdmaGrant]) -> Result<Vec<Port>, PhaseError> {
    let devices = socket.devices().doing(|| "listing RDMA devices".into())?;
    let mut ports = Vec::new();
    for device in devices.iter().filter(|found| rdma.iter().any(|rdma| rdma.device.name == found.name)) {
        let name = &device.name;
        ports.extend(socket.ports(device.index).doing(|| format!("asking for the ports of {name}"))?);
    }
    Ok(ports)
}

/// Whether usNIC's driver knows an address of the container's; it keeps the first, and a queue pair that was made before fails or dies.
fn of_addresses(grant: &Grant) -> Option<Lacking> {
    let usnic = grant.rdma.iter().find(|rdma| rdma.device.usnic.is_some())?;
    let name = &usnic.device.name;
    let gid = fs::read_to_string(format!("/sys/{}/ports/1/gids/0", usnic.device.sysfs)).ok();
    let gid = gid.and_then(|gid| gid.trim().parse::<Ipv6Addr>().ok());
    let what = match gid.map(address_in_gid).filter(|ip| !ip.is_unspecified()).map(IpAddr::V4) {
        Some(known) if grant.netdevs.iter().any(|given| given.ips().contains(&known)) => return None,
        Some(known) => format!("the address that {name}'s driver knows is still {known}"),
        None => format!("{name}'s driver knows no address"),
    };
    Some(Lacking {
        what,
        advice: "look at the netdev's addresses inside: the driver takes an IPv4 address when one is added",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(was_there: bool, lacks: &str) -> (bool, Option<Lacking>) {
        (was_there, (!lacks.is_empty()).then(|| Lacking { what: lacks.to_owned(), advice: "" }))
    }

    fn told(parts: Vec<(bool, Option<Lacking>)>) -> Option<String> {
        all_that_were_or_one(parts).map(|lacking| lacking.what)
    }

    #[test]
    fn what_was_there_comes_back_whatever_else_there_is() {
        assert_eq!(told(vec![part(true, ""), part(false, "b")]), None);
        assert_eq!(told(vec![part(true, "a"), part(false, "")]), Some("a".into()));
        assert_eq!(told(vec![part(true, ""), part(true, "b")]), Some("b".into()));
    }

    #[test]
    fn where_nothing_was_there_one_is_enough_and_none_is_not() {
        assert_eq!(told(vec![part(false, "a"), part(false, "")]), None);
        assert_eq!(told(vec![part(false, "a"), part(false, "b")]), Some("a".into()));
        assert_eq!(told(vec![]), None);
    }
}
