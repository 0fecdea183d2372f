//! Ports of an RDMA device.

use std::collections::BTreeMap;

use nicdock_netlink::rdma::{Port, parse_ports};

use super::sysfs::{Sysfs, hexadecimal};
use super::{InventoryError, malformed};
use crate::model::{LinkLayer, RdmaPort};
use crate::source::{Dump, Source};

/// `ports/N/` of the device at `path` (`drivers/infiniband/core/sysfs.c`), with the netdevs that netlink names.
pub fn read(
    source: &dyn Source,
    sysfs: &Sysfs,
    path: &str,
    index: Option<u32>,
) -> Result<Vec<RdmaPort>, InventoryError> {
    let mut netdevs = netdevs(source, sysfs, path, index)?;
    let mut numbers: Vec<u32> =
        sysfs.list(&format!("{path}/ports")).iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers.into_iter().map(|number| port(sysfs, path, number, netdevs.remove(&number))).collect())
}

fn netdevs(
    source: &dyn Source,
    sysfs: &Sysfs,
    path: &str,
    index: Option<u32>,
) -> Result<BTreeMap<u32, String>, InventoryError> {
    let Some(index) = index else { return Ok(BTreeMap::new()) };
    let answer = source.dump(Dump::RdmaPorts(index)).unwrap_or_else(|error| {
        sysfs.warn(format!("cannot list the ports of /sys/{path} by netlink: {error}"));
        Vec::new()
    });
    let ports: Vec<Port> = parse_ports(&answer).map_err(malformed("RDMA ports"))?;
    Ok(ports.into_iter().filter_map(|port| Some((port.number, port.netdev?))).collect())
}

fn port(sysfs: &Sysfs, path: &str, number: u32, netdev: Option<String>) -> RdmaPort {
    let text = |file: &str| sysfs.text(&format!("{path}/ports/{number}/{file}"));
    let link_layer = match text("link_layer").as_deref() {
        Some("Ethernet") => LinkLayer::Ethernet,
        Some("InfiniBand") => LinkLayer::InfiniBand,
        _ => LinkLayer::Unknown,
    };
    let lid = |text: &str| u16::try_from(hexadecimal(text)?).ok();
    RdmaPort {
        number,
        // state_show(): "4: ACTIVE"
        state: text("state").map(|state| after_number(&state).to_owned()).unwrap_or_default(),
        link_layer,
        rate_mbps: sysfs.text_if_told(&format!("{path}/ports/{number}/rate")).and_then(|rate| mbps(&rate)),
        // Ethernet ports say 0.
        lid: sysfs.value(&format!("{path}/ports/{number}/lid"), lid).filter(|lid| *lid != 0),
        netdev,
        netdev_mac: None,
    }
}

fn after_number(text: &str) -> &str {
    text.split_once(": ").map_or(text, |(_, word)| word)
}

/// `rate_show()`: `100 Gb/sec (4X EDR)`, `2.5 Gb/sec (1X SDR)`. At most one digit is behind the point.
fn mbps(rate: &str) -> Option<u32> {
    let number = rate.split_once(" Gb/sec")?.0;
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenths: u32 = tenths.parse().ok().filter(|tenths| *tenths < 10)?;
    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(tenths * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_in_megabits() {
        assert_eq!(mbps("100 Gb/sec (4X EDR)"), Some(100_000));
        assert_eq!(mbps("2.5 Gb/sec (1X SDR)"), Some(2_500));
        assert_eq!(mbps("fast"), None);
        assert_eq!(mbps("99999999999 Gb/sec"), None);
    }
}
