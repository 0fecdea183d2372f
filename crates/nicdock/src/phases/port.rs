//! Waiting until an RDMA device is ready where its netdev has gone: the driver learns of carrier and address from events.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::wait::Wait;
use super::{Doing, PhaseError};
use crate::plan::{Grant, NetdevGrant, RdmaGrant};
use crate::usnic::address_in_gid;

/// Autonegotiation takes seconds; what is not there by then does not come.
const READY_WAIT: Duration = Duration::from_secs(15);

/// `IB_PORT_ACTIVE` (include/rdma/ib_verbs.h).
const ACTIVE: u8 = 4;

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
    let socket = rdma_netlink::Socket::open().doing(|| "opening RDMA netlink".into())?;
    let wait = Wait {
        doing: format!("waiting for {} to be ready", device.name),
        at_most: READY_WAIT,
        advice: "DOWN is a link without carrier: look at the cable and the switch; INIT is a usNIC without IPv4",
    };
    wait.until_complete(
        |lacking| format!("waiting for {}: {lacking}", device.name),
        || match lacking_port(&socket, &device.name, &wanted)? {
            None if device.usnic.is_some() => Ok(lacking_address(&device.sysfs, &grant.netdevs)),
            lacking => Ok(lacking),
        },
    )
}

/// The first port that is not ACTIVE yet, as a sentence.
fn lacking_port(
    socket: &rdma_netlink::Socket,
    name: &str,
    wanted: &[u32],
) -> Result<Option<String>, PhaseError> {
    let what = || format!("asking for the ports of {name}");
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
        if state != ACTIVE {
            let word = rdma_netlink::port_state_name(state).unwrap_or("not known");
            return Ok(Some(format!("port {number} is {word}")));
        }
    }
    Ok(None)
}

/// Whether usNIC's driver knows an address of the container's; it keeps the first.
fn lacking_address(sysfs: &str, netdevs: &[NetdevGrant]) -> Option<String> {
    let gid = fs::read_to_string(format!("/sys/{sysfs}/ports/1/gids/0")).ok();
    let gid = gid.and_then(|gid| gid.trim().parse::<Ipv6Addr>().ok());
    match gid.map(address_in_gid).filter(|ip| !ip.is_unspecified()).map(IpAddr::V4) {
        Some(known) if netdevs.iter().any(|given| given.ips().contains(&known)) => None,
        Some(known) => Some(format!("its address is still {known}")),
        None => Some("its driver knows no address".to_owned()),
    }
}
