//! `route.*`: what rtnetlink, generic netlink and ioctls show of foreign netdevs.

use crate::kernel::errno::Errno;
use crate::kernel::netlink::{Message, Socket, attribute, attributes, text_attribute, text_of};
use crate::probe::{Context, Finding, Probe};

const NETLINK_ROUTE: u64 = 0;
const NETLINK_GENERIC: u64 = 16;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETNSID: u16 = 90;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_EXT_MASK: u16 = 29;
/// The device that a netdev is of, as a PCI function (include/uapi/linux/if_link.h, Linux 5.14).
const IFLA_PARENT_DEV_NAME: u16 = 56;
/// `IFLA_TARGET_NETNSID`.
const IFLA_NETNSID: u16 = 46;

pub fn probes() -> Vec<Probe> {
    let mut probes = vec![
        Probe::new("route.links", links),
        Probe::new("route.not_own", not_own),
        Probe::new("route.interfaces", interfaces),
        Probe::new("route.vf_info", vf_info),
        Probe::new("route.addresses", addresses),
        Probe::new("route.netns_ids", netns_ids),
        Probe::new("route.give_away", give_away),
        Probe::new("route.devlink", devlink),
    ];
    for id in 0..8_u32 {
        probes.push(Probe::new(format!("route.links_of_netns_id.{id}"), move |_| {
            let body = [header(0).to_vec(), attribute(IFLA_NETNSID, &id.to_ne_bytes())].concat();
            match ask(|socket| socket.dump(RTM_GETLINK, &body)) {
                Err(errno) => Finding::refused(&format!("links of namespace id {id}"), errno),
                Ok(links) if links.is_empty() => Finding::closed(format!("no link in namespace id {id}")),
                Ok(links) => Finding::open(format!("{} links of namespace id {id}", links.len())),
            }
        }));
    }
    probes
}

/// `struct ifinfomsg`.
fn header(index: i32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

fn ask<T>(request: impl FnOnce(&Socket) -> Result<T, Errno>) -> Result<T, Errno> {
    request(&Socket::open(NETLINK_ROUTE)?)
}

fn names(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .filter(|message| message.kind == RTM_NEWLINK)
        .filter_map(|message| text_of(&attributes(&message.body, 16), IFLA_IFNAME))
        .collect()
}

fn links(context: &Context) -> Finding {
    match ask(|socket| socket.dump(RTM_GETLINK, &header(0))) {
        Err(errno) => Finding::refused("list of links", errno),
        Ok(messages) => {
            let foreign = context.target.foreign_among(&names(&messages));
            if foreign.is_empty() {
                Finding::closed(format!("{} links, none foreign", messages.len()))
            } else {
                Finding::open(format!("links: {}", foreign.join(", ")))
            }
        }
    }
}

/// A netdev of a device is a NIC, and one that came in later is in no list of foreign names: it is on the host no more.
fn not_own(context: &Context) -> Finding {
    let Some(given) = &context.target.given else {
        return Finding::not_applicable("no lease tells which NICs were given");
    };
    match ask(|socket| socket.dump(RTM_GETLINK, &header(0))) {
        Err(errno) => Finding::refused("list of links", errno),
        Ok(messages) => {
            let of_devices =
                messages.iter().filter(|message| message.kind == RTM_NEWLINK).filter_map(|message| {
                    let attributes = attributes(&message.body, 16);
                    Some((text_of(&attributes, IFLA_IFNAME)?, text_of(&attributes, IFLA_PARENT_DEV_NAME)?))
                });
            let mut others = of_devices.filter(|(name, _)| !given.contains(name));
            others.next().map_or_else(
                || Finding::closed(format!("{} links, none a NIC that was not given", messages.len())),
                |(name, device)| {
                    Finding::open(format!("{name} of {device} is here, and nicdock did not give it"))
                },
            )
        }
    }
}

/// By ioctl, one number after the other: a packet socket could be bound to each.
fn interfaces(context: &Context) -> Finding {
    let names = crate::target::interfaces_by_index();
    let foreign = context.target.foreign_among(&names);
    if foreign.is_empty() {
        Finding::closed(format!("{} interfaces by index, none foreign", names.len()))
    } else {
        Finding::open(format!("interfaces by index: {}", foreign.join(", ")))
    }
}

/// A PF shows its VFs' addresses (`RTEXT_FILTER_VF`).
fn vf_info(_: &Context) -> Finding {
    let body = [header(0).to_vec(), attribute(IFLA_EXT_MASK, &1_u32.to_ne_bytes())].concat();
    match ask(|socket| socket.dump(RTM_GETLINK, &body)) {
        Err(errno) => Finding::refused("list of links with VFs", errno),
        Ok(messages) => {
            let has_vfs = |message: &&Message| {
                attributes(&message.body, 16)
                    .iter()
                    .any(|(kind, value)| *kind == IFLA_VFINFO_LIST && !value.is_empty())
            };
            messages.iter().find(has_vfs).map_or_else(
                || Finding::closed("no link shows VFs"),
                |pf| {
                    Finding::open(format!(
                        "{:?} shows its VFs",
                        text_of(&attributes(&pf.body, 16), IFLA_IFNAME)
                    ))
                },
            )
        }
    }
}

fn addresses(context: &Context) -> Finding {
    let messages = match ask(|socket| socket.dump(RTM_GETADDR, &[0; 8])) {
        Ok(messages) => messages,
        Err(errno) => return Finding::refused("list of addresses", errno),
    };
    let text = |(kind, value): (u16, Vec<u8>)| match (kind, value.len()) {
        (1 | 2, 4) => Some(std::net::Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).to_string()),
        (1 | 2, 16) => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string()),
        _ => None,
    };
    let found = messages.iter().flat_map(|message| attributes(&message.body, 8)).filter_map(text);
    let (foreign, own) = (&context.target.foreign.addresses, &context.target.own.addresses);
    let mut foreign = found.filter(|address| foreign.contains(address) && !own.contains(address));
    foreign.next().map_or_else(
        || Finding::closed("no foreign address is listed"),
        |address| Finding::open(format!("the list of addresses has {address}")),
    )
}

/// Whether a namespace knows others by number, by which their links could be listed.
fn netns_ids(_: &Context) -> Finding {
    match ask(|socket| socket.dump(RTM_GETNSID, &[0; 4])) {
        Err(errno) => Finding::refused("namespace ids", errno),
        Ok(ids) if ids.is_empty() => Finding::closed("no other namespace is known by id"),
        Ok(ids) => Finding::open(format!("{} namespaces are known by id", ids.len())),
    }
}

/// Moving a link to where process 1 is; there is no link of that index.
fn give_away(_: &Context) -> Finding {
    let body = [header(0x00ff_ffff).to_vec(), attribute(IFLA_NET_NS_PID, &1_u32.to_ne_bytes())].concat();
    match ask(|socket| socket.ask(RTM_NEWLINK, &body)) {
        Err(errno @ Errno(libc::ENODEV)) if other_netns() => Finding::open(format!(
            "RTM_NEWLINK into the namespace of process 1: {errno}, which is said only after permission was given"
        )),
        Err(errno) => Finding::refused("RTM_NEWLINK into the namespace of process 1", errno),
        Ok(_) => Finding::open("RTM_NEWLINK into the namespace of process 1: succeeded"),
    }
}

fn other_netns() -> bool {
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    link("1").is_some_and(|first| link("self") != Some(first))
}

/// devlink lists PCI functions by address (include/uapi/linux/devlink.h), of this network namespace only.
fn devlink(context: &Context) -> Finding {
    let result = Socket::open(NETLINK_GENERIC).and_then(|socket| {
        // CTRL_CMD_GETFAMILY of "devlink"; its number is attribute 1.
        let body = [vec![3, 1, 0, 0], text_attribute(2, "devlink")].concat();
        let family = socket.ask(16, &body)?;
        let number = family.first().and_then(|message| {
            let attributes = attributes(&message.body, 4);
            let (_, value) = attributes.into_iter().find(|(kind, _)| *kind == 1)?;
            Some(u16::from_ne_bytes(value.try_into().ok()?))
        });
        socket.dump(number.ok_or(Errno(libc::ENOENT))?, &[1, 1, 0, 0])
    });
    match result {
        Err(Errno(libc::ENOENT)) => {
            Finding::not_applicable("ENOENT: the kernel has no devlink family loaded")
        }
        Err(errno) => Finding::refused("devlink", errno),
        Ok(messages) => {
            let names = messages.iter().filter_map(|message| text_of(&attributes(&message.body, 4), 2));
            let names: Vec<String> = names.collect();
            let foreign = context.target.foreign_among(&names);
            if foreign.is_empty() {
                Finding::closed(format!("devlink lists {} devices, none foreign", names.len()))
            } else {
                Finding::open(format!("devlink lists {}", foreign.join(", ")))
            }
        }
    }
}
