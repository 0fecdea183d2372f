use std::net::{IpAddr, SocketAddr};

use super::{Machine, messages};
use crate::inventory::tcp::end_text;
use crate::model::Mac;
use crate::source::Dump;

/// Where an interface belongs.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// On the PCI function with this address.
    Function(&'a str),
    /// On what hangs there: `("0000:00:03.0", "virtio0")`.
    Child(&'a str, &'a str),
    /// Nowhere, with the kind that `ip -d link` prints.
    Virtual(&'a str),
}

/// An interface.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    pub name: &'a str,
    pub place: Place<'a>,
    /// With colons; empty for none.
    pub mac: &'a str,
    pub mtu: u32,
    pub up: bool,
    pub carrier: bool,
    /// What `/sys/class/net/X/speed` says; -1 where the driver does not tell.
    pub speed: i32,
    pub dev_port: u32,
    pub altnames: &'a [&'a str],
    /// The bond or bridge that it is a member of.
    pub master: Option<&'a str>,
    /// The interface that it is stacked on.
    pub lower: Option<&'a str>,
    /// `ARPHRD_*`: 1 Ethernet, 32 InfiniBand, 772 loopback.
    pub hardware: u16,
    /// What its driver calls the port of the card (`phys_port_name`).
    pub port_name: Option<&'a str>,
}

impl<'a> Link<'a> {
    /// Ethernet, up, with a carrier.
    pub fn ethernet(name: &'a str, place: Place<'a>, mac: &'a str, speed: i32) -> Self {
        Self {
            name,
            place,
            mac,
            mtu: 1500,
            up: true,
            carrier: true,
            speed,
            dev_port: 0,
            altnames: &[],
            master: None,
            lower: None,
            hardware: 1,
            port_name: None,
        }
    }

    /// `IPoIB`, up, in datagram mode.
    pub fn ipoib(name: &'a str, function: &'a str, mac: &'a str, speed: i32) -> Self {
        Self { mtu: 2044, hardware: 32, ..Self::ethernet(name, Place::Function(function), mac, speed) }
    }

    pub(super) fn loopback() -> Self {
        let mac = "00:00:00:00:00:00";
        Self { mtu: 65536, hardware: 772, ..Self::ethernet("lo", Place::Virtual(""), mac, -1) }
    }
}

/// A route in the main table, unless said otherwise.
#[derive(Clone, Copy, Default)]
pub struct Route<'a> {
    /// `10.2.0.0/16`; empty for the default route.
    pub to: &'a str,
    /// Gateways with their interfaces; several make a multipath route. An empty gateway is on-link.
    pub via: &'a [(&'a str, &'a str)],
    /// 0 is the main table.
    pub table: u32,
    pub metric: Option<u32>,
    /// `RTPROT_*`: 3 boot, 4 static, 16 DHCP.
    pub protocol: u8,
}

impl Machine {
    /// Adds an interface.
    pub fn link(&mut self, link: Link) -> &mut Self {
        let index = u32::try_from(self.interfaces.len() + 1).unwrap_or(u32::MAX);
        self.interfaces.insert(link.name.to_owned(), index);
        let path = match link.place {
            Place::Function(address) => format!("{}/net/{}", self.path_of(address), link.name),
            Place::Child(address, child) => format!("{}/{child}/net/{}", self.path_of(address), link.name),
            Place::Virtual(_) => format!("devices/virtual/net/{}", link.name),
        };
        self.symlink(&format!("class/net/{}", link.name), &path);
        self.sysfs(&format!("{path}/dev_port"), &link.dev_port.to_string());
        self.sysfs(&format!("{path}/speed"), &link.speed.to_string());
        let message = messages::link(&messages::LinkParts {
            index,
            mac: &mac(link.mac),
            kind: match link.place {
                Place::Virtual(kind) if !kind.is_empty() => Some(kind),
                // ipoib_add_port() sets rtnl_link_ops.
                Place::Function(_) if link.hardware == 32 => Some("ipoib"),
                _ => None,
            },
            master: link.master.map(|name| self.index(name)),
            lower: link.lower.map(|name| self.index(name)),
            link: &link,
        });
        self.append(Dump::Links, message);
        self
    }

    /// Gives an interface an address, `10.1.0.5/16`, with the routes that the kernel makes for it.
    pub fn address(&mut self, interface: &str, address: &str) -> &mut Self {
        let index = self.index(interface);
        let (ip, len) = prefix(address);
        self.append(Dump::Addresses, messages::address(index, interface, ip, len));
        let host = messages::RouteParts {
            to: Some((ip, ip_len(ip))),
            table: 255,
            protocol: 2,
            ..Default::default()
        };
        self.append(Dump::Routes, messages::local_route(&host, index));
        let network = messages::RouteParts {
            to: Some((network(ip, len), len)),
            hops: vec![(None, index)],
            protocol: 2,
            ..Default::default()
        };
        if len < ip_len(ip) && !ip.is_loopback() {
            self.append(Dump::Routes, messages::route(&network));
        }
        self
    }

    /// Adds a route.
    pub fn route(&mut self, route: Route) -> &mut Self {
        let hops = route.via.iter();
        let hops = hops.map(|(gateway, interface)| (gateway.parse().ok(), self.index(interface))).collect();
        let parts = messages::RouteParts {
            to: Some(route.to).filter(|to| !to.is_empty()).map(prefix),
            hops,
            table: route.table,
            metric: route.metric,
            protocol: route.protocol,
        };
        self.append(Dump::Routes, messages::route(&parts));
        self
    }

    /// Adds an established TCP connection.
    pub fn connection(&mut self, local: &str, remote: &str) -> &mut Self {
        self.socket(local, remote, "01")
    }

    /// Adds a listening TCP socket.
    pub fn listener(&mut self, local: &str) -> &mut Self {
        let any = if local.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        self.socket(local, any, "0A")
    }

    fn socket(&mut self, local: &str, remote: &str, state: &str) -> &mut Self {
        let end = |text: &str| {
            let address: SocketAddr = text.parse().expect("an address with a port");
            (address.is_ipv6(), end_text(address.ip(), address.port()))
        };
        let ((is_ipv6, local), (_, remote)) = (end(local), end(remote));
        let lines = &mut self.tcp[usize::from(is_ipv6)];
        let slot = lines.lines().count() - 1;
        let line =
            format!("{slot:4}: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0\n");
        lines.push_str(&line);
        self
    }

    pub(super) fn index(&self, interface: &str) -> u32 {
        *self.interfaces.get(interface).unwrap_or_else(|| panic!("no interface {interface} was described"))
    }
}

fn mac(text: &str) -> Vec<u8> {
    if text.is_empty() { Vec::new() } else { text.parse::<Mac>().expect("a link-layer address").0 }
}

fn prefix(text: &str) -> (IpAddr, u8) {
    let (ip, len) = text.split_once('/').expect("an address with a prefix length");
    (ip.parse().expect("an IP address"), len.parse().expect("a prefix length"))
}

fn ip_len(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn network(ip: IpAddr, len: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - len)).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - len)).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}
