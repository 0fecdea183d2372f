//! Waiting until an RDMA device is ready where its netdev has gone: the driver learns of carrier and address from events.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::{Doing, PhaseError};
use crate::plan::{Grant, NetdevGrant, RdmaGrant};
use crate::say::notice;

/// Autonegotiation takes seconds; what is not there by then does not come.
const READY_WAIT: Duration = Duration::from_secs(15);

/// `enum ib_port_state` (include/rdma/ib_verbs.h).
const PORT_STATES: [(u8, &str); 4] = [(1, "DOWN"), (2, "INIT"), (3, "ARMED"), (4, "ACTIVE")];

/// Waits for every port that was ACTIVE on the host, and for usNIC's, of which programs need ACTIVE and the address.
///
/// The caller is in the container's network namespace and still in the host's mount namespace.
pub fn wait_until_ready(grant: &Grant, rdma: &RdmaGrant) -> Result<(), PhaseError> {
    let device = &rdma.device;
    let wanted: Vec<u32> = device
        .ports
        .iter()
        .filter(|port| port.state == "ACTIVE" || device.usnic.is_some())
        .map(|port| port.number)
        .collect();
    if grant.netdevs.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let begin = Instant::now();
    let mut told = false;
    loop {
        let lacks = match lacking_port(&device.name, &wanted)? {
            None if device.usnic.is_some() => lacking_address(&device.sysfs, &grant.netdevs),
            lacks => lacks,
        };
        let Some(lacks) = lacks else { return Ok(()) };
        if begin.elapsed() > READY_WAIT {
            let reason = format!("{lacks} after {} s", READY_WAIT.as_secs());
            return Err(PhaseError::new(
                format!("waiting for {} to be ready", device.name),
                io::Error::new(io::ErrorKind::TimedOut, reason),
            )
            .with_advice("DOWN is a link without carrier: look at the cable and the switch; INIT is a usNIC without IPv4"));
        }
        if !told && begin.elapsed() > Duration::from_secs(1) {
            notice(format_args!("waiting for {}: {lacks}", device.name));
            told = true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first port that is not ACTIVE yet, as a sentence.
fn lacking_port(name: &str, wanted: &[u32]) -> Result<Option<String>, PhaseError> {
    let what = || format!("asking for the ports of {name}");
    let socket = rdma_netlink::Socket::open().doing(|| "opening RDMA netlink".into())?;
    let devices = socket.devices().doing(what)?;
    let Some(device) = devices.iter().find(|device| device.name == name) else {
        return Ok(Some("it is not there".to_owned()));
    };
    let ports = socket.ports(device.index).doing(what)?;
    for number in wanted {
        let Some(port) = ports.iter().find(|port| port.number == *number) else {
            return Ok(Some(format!("port {number} is not there")));
        };
        let state = port.state.unwrap_or(0);
        if state != 4 {
            let word =
                PORT_STATES.iter().find(|(number, _)| *number == state).map_or("not known", |(_, w)| *w);
            return Ok(Some(format!("port {} is {word}", port.number)));
        }
    }
    Ok(None)
}

/// Whether usNIC's driver knows an address of the container's; it keeps the first.
fn lacking_address(sysfs: &str, netdevs: &[NetdevGrant]) -> Option<String> {
    let path = format!("/sys/{sysfs}/ports/1/gids/0");
    let known = fs::read_to_string(&path).ok().and_then(|gid| address_in_gid(&gid));
    let own = netdevs.iter().flat_map(|given| given.host.addresses.iter().map(|address| address.ip));
    let replaced = netdevs.iter().flat_map(|given| given.addresses.iter().map(|address| address.ip));
    let is_ours = |known| {
        if netdevs.iter().all(|given| given.addresses.is_empty()) {
            own.clone().any(|ip| ip == known)
        } else {
            replaced.clone().any(|ip| ip == known)
        }
    };
    match known.map(IpAddr::V4) {
        Some(ip) if is_ours(ip) => None,
        Some(ip) => Some(format!("its address is still {ip}")),
        None => Some("its driver knows no address".to_owned()),
    }
}

/// `usnic_mac_ip_to_gid()` (usnic_common_util.h): `fe80:0000:0a4e:0001:…` is 10.78.0.1.
fn address_in_gid(gid: &str) -> Option<Ipv4Addr> {
    let mut groups = gid.trim().split(':').map(|group| u16::from_str_radix(group, 16).ok());
    let (_, _, high, low) = (groups.next()??, groups.next()??, groups.next()??, groups.next()??);
    let ip = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usnics_gid_tells_the_address() {
        let gid = "fe80:0000:0a4e:0001:5054:00ff:fe56:4901\n";
        assert_eq!(address_in_gid(gid), Some(Ipv4Addr::new(10, 78, 0, 1)));
        assert_eq!(address_in_gid("0000:0000:0000:0000:0000:0000:0000:0000\n"), None);
        assert_eq!(address_in_gid(""), None);
    }
}
