//! `generic.*`: what the running kernel offers by generic netlink (include/uapi/linux/genetlink.h): each family that it lists, and those
//! that it loads when they are asked for by name (`ctrl_getfamily()`), which needs no capability. Each list that a family has is asked
//! for, and foreign words are looked for in it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::kernel::errno::Errno;
use crate::kernel::fork;
use crate::kernel::netlink::{Socket, attributes, text_attribute, text_of};
use crate::probe::{Context, Finding, Probe};

const NETLINK_GENERIC: u64 = 16;
/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_*`.
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const OPERATIONS: u16 = 6;
const OPERATION_ID: u16 = 1;
const OPERATION_FLAGS: u16 = 2;
/// `GENL_ADMIN_PERM`, `GENL_CMD_CAP_DUMP`, `GENL_UNS_ADMIN_PERM`.
const ADMIN: u32 = 0x11;
const DUMP: u32 = 0x4;

/// Families that show NICs, RDMA devices or the machine, or that a module brings: asked for by name wherever this runs.
const KNOWN: [&str; 20] = [
    "SMC_GEN_NETLINK",
    "SMC_PNETID",
    "devlink",
    "ethtool",
    "netdev",
    "dpll",
    "net-shaper",
    "psp",
    "nl80211",
    "team",
    "macsec",
    "wireguard",
    "ovpn",
    "l2tp",
    "fou",
    "IPVS",
    "TIPCv2",
    "TASKSTATS",
    "tcp_metrics",
    "mptcp_pm",
];

pub fn probes() -> Vec<Probe> {
    let mut probes = vec![Probe::new("generic.list", |_| {
        Finding::of("listing the families of generic netlink", families())
    })];
    // In a process of its own: a filter may end who asks.
    let listed = match fork::run(Duration::from_secs(5), || families().unwrap_or_default()) {
        Ok(fork::End::Said(names)) => names,
        _ => Vec::new(),
    };
    let names: BTreeSet<String> = KNOWN.into_iter().map(str::to_owned).chain(listed).collect();
    probes.extend(names.into_iter().map(|name| {
        Probe::new(format!("generic.family.{}", name.to_ascii_lowercase()), move |context| {
            family(context, &name)
        })
    }));
    probes
}

/// The names that the kernel lists.
fn families() -> Result<Vec<String>, Errno> {
    let messages = Socket::open(NETLINK_GENERIC)?.dump(CONTROL, &[GET_FAMILY, 1, 0, 0])?;
    let name = |body: &[u8]| text_of(&attributes(body, 4), FAMILY_NAME);
    Ok(messages.iter().filter_map(|message| name(&message.body)).collect())
}

struct Family {
    number: u16,
    /// Commands that give a list to anybody.
    lists: Vec<u8>,
}

fn find(socket: &Socket, name: &str) -> Result<Family, Errno> {
    let body = [vec![GET_FAMILY, 1, 0, 0], text_attribute(FAMILY_NAME, name)].concat();
    let messages = socket.ask(CONTROL, &body)?;
    let told = messages.first().map(|message| attributes(&message.body, 4)).unwrap_or_default();
    let value = |kind: u16| told.iter().find(|(found, _)| *found == kind).map(|(_, value)| value.as_slice());
    let number = value(FAMILY_ID).and_then(|value| Some(u16::from_ne_bytes(value.try_into().ok()?)));
    let operations = attributes(value(OPERATIONS).unwrap_or_default(), 0);
    let lists = operations.iter().filter_map(|(_, operation)| {
        let parts = attributes(operation, 0);
        let word = |kind: u16| {
            let (_, value) = parts.iter().find(|(found, _)| *found == kind)?;
            Some(u32::from_ne_bytes(value.as_slice().try_into().ok()?))
        };
        let flags = word(OPERATION_FLAGS)?;
        (flags & DUMP != 0 && flags & ADMIN == 0).then(|| u8::try_from(word(OPERATION_ID)?).ok())?
    });
    Ok(Family { number: number.ok_or(Errno(libc::ENOENT))?, lists: lists.collect() })
}

fn family(context: &Context, name: &str) -> Finding {
    let found = Socket::open(NETLINK_GENERIC).map(|socket| find(&socket, name));
    let family = match found {
        Err(errno) => {
            return Finding::refused("socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC)", errno);
        }
        Ok(Err(Errno(libc::ENOENT))) => {
            return Finding::not_applicable(format!(
                "ENOENT: the kernel has no family {name} of generic netlink, or none for this network namespace"
            ));
        }
        Ok(Err(errno)) => return Finding::refused(&format!("asking for the family {name}"), errno),
        Ok(Ok(family)) => family,
    };
    for command in &family.lists {
        // A socket of its own: what is left of one answer is not the next one's.
        let messages =
            Socket::open(NETLINK_GENERIC).and_then(|socket| socket.dump(family.number, &[*command, 1, 0, 0]));
        let foreign = messages.iter().flatten().find_map(|message| context.words.find(&message.body, &[]));
        if let Some((_, word)) = foreign {
            return Finding::open(format!("the list by command {command} of {name} has {word}"));
        }
    }
    Finding::open(format!("{name} can be used; nothing foreign is in its {} lists", family.lists.len()))
}
