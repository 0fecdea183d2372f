//! The kernel's netlink messages for what was described.

use std::net::IpAddr;

use nicdock_netlink::rdma::abi::{attr, command, message_type};
use nicdock_netlink::wire::{encode, push_attribute};

use super::{Link, Port, Rdma};

const NLM_F_MULTI: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const NLA_F_NESTED: u16 = 0x8000;
const IFLA_PROP_LIST: u16 = 0x34;
/// `RT_SCOPE_LINK`, `RT_SCOPE_HOST`.
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
const MAIN_TABLE: u8 = 254;
/// `IFA_F_PERMANENT`.
const PERMANENT: u32 = 0x80;

/// A payload being written.
struct Payload(Vec<u8>);

impl Payload {
    fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        push_attribute(&mut self.0, kind, value);
        self
    }

    fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), b"\0"].concat())
    }

    fn maybe<T>(self, value: Option<T>, push: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => push(self, value),
            None => self,
        }
    }

    fn message(self, kind: u16) -> Vec<u8> {
        encode(kind, NLM_F_MULTI, 1, &self.0)
    }
}

pub struct LinkParts<'a> {
    pub index: u32,
    pub mac: &'a [u8],
    pub kind: Option<&'a str>,
    pub master: Option<u32>,
    pub lower: Option<u32>,
    pub link: &'a Link<'a>,
}

/// `rtnl_fill_ifinfo()`.
pub fn link(parts: &LinkParts) -> Vec<u8> {
    let link = parts.link;
    // IFF_BROADCAST | IFF_MULTICAST or IFF_LOOPBACK; IFF_UP; IFF_RUNNING | IFF_LOWER_UP; IFF_SLAVE
    let mut flags: u32 = if link.hardware == 772 { 0x8 } else { 0x1002 };
    flags |= u32::from(link.up) | if link.up && link.carrier { 0x1_0040 } else { 0 };
    flags |= if parts.master.is_some() { 0x800 } else { 0 };
    let hardware = link.hardware.to_ne_bytes();
    let header = [&[0, 0], &hardware[..], &parts.index.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]].concat();
    let mut names = Payload(Vec::new());
    for name in link.altnames {
        names = names.text(53, name);
    }
    Payload(header)
        .text(3, link.name)
        .number(4, link.mtu)
        .maybe(parts.lower, |p, index| p.number(5, index))
        .maybe(parts.master, |p, index| p.number(10, index))
        .bytes(33, &[u8::from(link.carrier)])
        .bytes(1, parts.mac)
        .maybe(link.port_name, |p, name| p.text(38, name))
        .maybe(parts.kind, |p, kind| p.bytes(18, &Payload(Vec::new()).text(1, kind).0))
        .maybe(Some(names.0).filter(|names| !names.is_empty()), |p, names| {
            p.bytes(NLA_F_NESTED | IFLA_PROP_LIST, &names)
        })
        .maybe(Some(parts.mac).filter(|_| parts.kind.is_none()), |p, mac| p.bytes(54, mac))
        .message(RTM_NEWLINK)
}

/// `inet_fill_ifaddr()`, `inet6_fill_ifaddr()`.
pub fn address(index: u32, interface: &str, ip: IpAddr, len: u8) -> Vec<u8> {
    let scope = match ip {
        ip if ip.is_loopback() => SCOPE_HOST,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => SCOPE_LINK,
        _ => 0,
    };
    let header = [&[family(ip), len, 0x80, scope], &index.to_ne_bytes()[..]].concat();
    let forever = [[0xff; 8], [0; 8]].concat();
    let payload = Payload(header).bytes(1, &octets(ip));
    let payload = if ip.is_ipv4() { payload.bytes(2, &octets(ip)).text(3, interface) } else { payload };
    payload.number(8, PERMANENT).bytes(6, &forever).message(RTM_NEWADDR)
}

#[derive(Default)]
pub struct RouteParts {
    pub to: Option<(IpAddr, u8)>,
    /// Gateways and interfaces.
    pub hops: Vec<(Option<IpAddr>, u32)>,
    pub table: u32,
    pub metric: Option<u32>,
    pub protocol: u8,
}

/// `fib_dump_info()`, `rt6_fill_node()`.
pub fn route(parts: &RouteParts) -> Vec<u8> {
    let scope = if parts.protocol == 2 { SCOPE_LINK } else { 0 };
    let payload = route_head(parts, scope, 1);
    let payload = match parts.hops.as_slice() {
        [(gateway, index)] => payload.maybe(*gateway, |p, ip| p.bytes(5, &octets(ip))).number(4, *index),
        hops => payload.bytes(9, &hops.iter().flat_map(|hop| next_hop(*hop)).collect::<Vec<_>>()),
    };
    payload.message(RTM_NEWROUTE)
}

/// The host's own address in table `local`.
pub fn local_route(parts: &RouteParts, index: u32) -> Vec<u8> {
    route_head(parts, SCOPE_HOST, 2).number(4, index).message(RTM_NEWROUTE)
}

fn route_head(parts: &RouteParts, scope: u8, route_type: u8) -> Payload {
    let any = parts.hops.iter().find_map(|(gateway, _)| *gateway);
    let family = parts.to.map(|(ip, _)| ip).or(any).map_or(2, family);
    let len = parts.to.map_or(0, |(_, len)| len);
    let table = match u8::try_from(parts.table) {
        Ok(0) => MAIN_TABLE,
        Ok(table) => table,
        // RT_TABLE_COMPAT: the attribute has it.
        Err(_) => 252,
    };
    let full = if parts.table == 0 { u32::from(MAIN_TABLE) } else { parts.table };
    Payload(vec![family, len, 0, 0, table, parts.protocol, scope, route_type, 0, 0, 0, 0])
        .number(15, full)
        .maybe(parts.to, |p, (ip, _)| p.bytes(1, &octets(ip)))
        .maybe(parts.metric, |p, metric| p.number(6, metric))
}

/// `struct rtnexthop` with its gateway.
fn next_hop((gateway, index): (Option<IpAddr>, u32)) -> Vec<u8> {
    let mut hop =
        Payload([[0; 4], index.to_ne_bytes()].concat()).maybe(gateway, |p, ip| p.bytes(5, &octets(ip))).0;
    let len = u16::try_from(hop.len()).expect("a next hop is short");
    hop[..2].copy_from_slice(&len.to_ne_bytes());
    hop
}

/// `nldev_sys_get_doit()`.
pub fn rdma_system(shared: bool) -> Vec<u8> {
    let payload = Payload(Vec::new()).bytes(attr::SYS_NETNS_MODE, &[u8::from(shared)]);
    encode(message_type(command::SYS_GET), 0, 1, &payload.0)
}

/// `fill_dev_info()`.
pub fn rdma_device(index: u32, rdma: &Rdma) -> Vec<u8> {
    let node_type = rdma.node_type.split(':').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let ports = u32::try_from(rdma.ports.len()).expect("ports are few");
    Payload(Vec::new())
        .number(attr::DEV_INDEX, index)
        .text(attr::DEV_NAME, rdma.name)
        .number(attr::PORT_INDEX, ports)
        .text(attr::FW_VERSION, rdma.firmware)
        .bytes(attr::NODE_GUID, &rdma.node_guid.to_ne_bytes())
        .bytes(attr::DEV_NODE_TYPE, &[node_type])
        .text(attr::DEV_PROTOCOL, rdma.protocol)
        .message(message_type(command::GET))
}

/// `fill_port_info()`.
pub fn rdma_port(index: u32, name: &str, number: u32, port: &Port, netdev: Option<(&str, u32)>) -> Vec<u8> {
    let state = port.state.split(':').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let is_ib = port.link_layer == "InfiniBand";
    Payload(Vec::new())
        .number(attr::DEV_INDEX, index)
        .text(attr::DEV_NAME, name)
        .number(attr::PORT_INDEX, number)
        .maybe(is_ib.then_some(port.lid), |p, lid| p.number(attr::LID, lid.into()))
        .bytes(attr::PORT_STATE, &[state])
        .bytes(attr::PORT_PHYS_STATE, &[if state == 1 { 3 } else { 5 }])
        .maybe(netdev, |p, (name, index)| p.number(attr::NDEV_INDEX, index).text(attr::NDEV_NAME, name))
        .message(message_type(command::PORT_GET))
}

/// `nldev_get_chardev()`, `ib_uverbs_get_nl_info()`.
pub fn rdma_uverbs(index: u32, rdma: &Rdma, number: u64) -> Vec<u8> {
    let payload = Payload(Vec::new())
        .number(attr::DEV_INDEX, index)
        .maybe(rdma.driver_id, |p, id| p.number(attr::UVERBS_DRIVER_ID, id))
        .bytes(attr::CHARDEV, &number.to_ne_bytes())
        .text(attr::CHARDEV_NAME, &format!("uverbs{}", rdma.uverbs));
    encode(message_type(command::GET_CHARDEV), 0, 1, &payload.0)
}

/// `fill_res_qp_entry()`, `fill_res_name_pid()`.
pub fn queue_pairs(index: u32, module: &str, count: usize) -> Vec<u8> {
    let entry = Payload(Vec::new()).text(attr::RES_KERN_NAME, module).0;
    let entries = (0..count).fold(Payload(Vec::new()), |list, _| list.bytes(attr::RES_QP_ENTRY, &entry));
    Payload(Vec::new())
        .number(attr::DEV_INDEX, index)
        .bytes(attr::RES_QP, &entries.0)
        .message(message_type(command::RES_QP_GET))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 2 } else { 10 }
}
