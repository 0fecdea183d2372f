//! `rdma.*`: what NETLINK_RDMA lists and lets be done to foreign devices (include/uapi/rdma/rdma_netlink.h).
//!
//! In shared mode a container's root without a user namespace may rename and delete the host's devices. Harmless here: a device is renamed to
//! the name that it has, and what would delete or move one is given something that the kernel refuses afterwards.

use crate::kernel::errno::Errno;
use crate::kernel::netlink::{Socket, attribute, attributes, text_attribute, text_of};
use crate::probe::{Context, Finding, Probe};

const NETLINK_RDMA: u64 = 20;

/// `RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command)`.
const fn kind(command: u16) -> u16 {
    (5 << 10) + command
}

const GET: u16 = 1;
const SET: u16 = 2;
const NEWLINK: u16 = 3;
const DELLINK: u16 = 4;
const PORT_GET: u16 = 5;
const SYS_GET: u16 = 6;
const SYS_SET: u16 = 7;
const RES_GET: u16 = 9;
const RES_QP_GET: u16 = 10;
const GET_CHARDEV: u16 = 15;
const STAT_GET: u16 = 17;
const NEWDEV: u16 = 25;

const DEV_INDEX: u16 = 1;
const DEV_NAME: u16 = 2;
const PORT_INDEX: u16 = 3;
const NDEV_NAME: u16 = 51;
const LINK_TYPE: u16 = 65;
const SYS_NETNS_MODE: u16 = 66;
const NET_NS_FD: u16 = 68;
const CHARDEV_TYPE: u16 = 69;

pub fn probes(_: &Context) -> Vec<Probe> {
    let probe = |name: &str, attempt: fn(&Socket, &Context) -> Finding| {
        Probe::new(format!("rdma.{name}"), move |context| match Socket::open(NETLINK_RDMA) {
            Ok(socket) => attempt(&socket, context),
            Err(Errno(libc::EPROTONOSUPPORT)) => {
                Finding::not_applicable("EPROTONOSUPPORT: the kernel has no RDMA core loaded")
            }
            Err(errno) => Finding::refused("socket(AF_NETLINK, SOCK_RAW, NETLINK_RDMA)", errno),
        })
    };
    vec![
        probe("list", |socket, context| list(socket, context, GET)),
        probe("port_list", ports),
        probe("resources", |socket, context| list(socket, context, RES_GET)),
        probe("get", |socket, context| on_foreign(socket, context, GET, |_, _| Vec::new())),
        probe("queue_pairs", |socket, context| {
            on_foreign(socket, context, RES_QP_GET, |_, _| attribute(PORT_INDEX, &1_u32.to_ne_bytes()))
        }),
        probe("counters", |socket, context| {
            on_foreign(socket, context, STAT_GET, |_, _| attribute(PORT_INDEX, &1_u32.to_ne_bytes()))
        }),
        probe("chardev", |socket, context| {
            on_foreign(socket, context, GET_CHARDEV, |_, _| text_attribute(CHARDEV_TYPE, "uverbs"))
        }),
        probe("rename", |socket, context| {
            on_foreign(socket, context, SET, |_, name| text_attribute(DEV_NAME, name))
        }),
        probe("netns_set", |socket, context| {
            // No descriptor: looked up after permission was checked (nldev_set_doit).
            on_foreign(socket, context, SET, |_, _| attribute(NET_NS_FD, &u32::MAX.to_ne_bytes()))
        }),
        // No device has that index: ENODEV or EINVAL come after permission (rdma_nl_rcv_msg: RDMA_NL_ADMIN_PERM).
        probe("delete", |socket, _| admin(socket, DELLINK, &attribute(DEV_INDEX, &0xffff_u32.to_ne_bytes()))),
        probe("add", |socket, _| {
            let body = [
                text_attribute(DEV_NAME, "nicdock-none"),
                text_attribute(LINK_TYPE, "none"),
                text_attribute(NDEV_NAME, "none"),
            ];
            admin(socket, NEWLINK, &body.concat())
        }),
        probe("sub_device", |socket, _| {
            admin(socket, NEWDEV, &attribute(DEV_INDEX, &0xffff_u32.to_ne_bytes()))
        }),
        probe("netns_mode_get", |socket, _| {
            Finding::of("asking for the mode", socket.ask(kind(SYS_GET), &[]))
        }),
        probe("netns_mode_set", |socket, _| set_mode_as_it_is(socket)),
    ]
}

/// To what it is; `EBUSY` comes after permission.
fn set_mode_as_it_is(socket: &Socket) -> Finding {
    let mode = socket.ask(kind(SYS_GET), &[]).ok().and_then(|messages| {
        let attributes = attributes(&messages.first()?.body, 0);
        let (_, mode) = attributes.into_iter().find(|(kind, _)| *kind == SYS_NETNS_MODE)?;
        Some(mode)
    });
    match mode {
        Some(mode) => admin(socket, SYS_SET, &attribute(SYS_NETNS_MODE, &mode)),
        None => Finding::closed("the mode is not told, so it is not set"),
    }
}

/// What only an administrator may: anything but `EPERM` says that we may.
fn admin(socket: &Socket, command: u16, body: &[u8]) -> Finding {
    match socket.ask(kind(command), body) {
        Err(errno @ Errno(libc::EPERM | libc::EACCES)) => {
            Finding::refused(&format!("command {command}"), errno)
        }
        Err(errno @ Errno(libc::EOPNOTSUPP)) if command == NEWDEV => {
            Finding::not_applicable(format!("command {command}: {errno}: the kernel does not know it"))
        }
        Err(errno) => Finding::open(format!(
            "command {command}: {errno}, which is said only after permission was given"
        )),
        Ok(_) => Finding::open(format!("command {command}: succeeded")),
    }
}

/// The devices that the kernel lists: index and name.
fn devices(socket: &Socket) -> Result<Vec<(u32, String)>, Errno> {
    let found = socket.dump(kind(GET), &[])?;
    let read = |body: &[u8]| {
        let attributes = attributes(body, 0);
        let (_, index) = attributes.iter().find(|(kind, _)| *kind == DEV_INDEX)?;
        Some((u32::from_ne_bytes(index.as_slice().try_into().ok()?), text_of(&attributes, DEV_NAME)?))
    };
    Ok(found.iter().filter_map(|message| read(&message.body)).collect())
}

fn foreign(socket: &Socket, context: &Context) -> Result<Vec<(u32, String)>, Errno> {
    let own = &context.target.own.rdma_devices;
    Ok(devices(socket)?.into_iter().filter(|(_, name)| !own.contains(name)).collect())
}

fn list(socket: &Socket, context: &Context, command: u16) -> Finding {
    let messages = match socket.dump(kind(command), &[]) {
        Ok(messages) => messages,
        Err(errno) => return Finding::refused(&format!("list by command {command}"), errno),
    };
    let names = messages.iter().filter_map(|message| text_of(&attributes(&message.body, 0), DEV_NAME));
    let foreign: Vec<String> = names.filter(|name| !context.target.own.rdma_devices.contains(name)).collect();
    if foreign.is_empty() {
        Finding::closed(format!("the list by command {command} has nothing foreign"))
    } else {
        Finding::open(format!("the list by command {command} has {}", foreign.join(", ")))
    }
}

fn ports(socket: &Socket, context: &Context) -> Finding {
    match foreign(socket, context) {
        Err(errno) => Finding::refused("list", errno),
        Ok(devices) => devices.first().map_or_else(
            || Finding::closed("no foreign device is listed"),
            |(index, name)| {
                let ports = socket.dump(kind(PORT_GET), &attribute(DEV_INDEX, &index.to_ne_bytes()));
                Finding::of(&format!("the ports of {name}"), ports)
            },
        ),
    }
}

/// A request about the first foreign device. `ENOENT` and the like are said of devices that may be looked at.
fn on_foreign(
    socket: &Socket,
    context: &Context,
    command: u16,
    more: impl Fn(u32, &str) -> Vec<u8>,
) -> Finding {
    let devices = match foreign(socket, context) {
        Ok(devices) => devices,
        // The list may be refused and a number guessed.
        Err(errno) => return Finding::refused("list", errno),
    };
    let Some((index, name)) = devices.first() else {
        return Finding::closed("no foreign device is listed");
    };
    let body = [attribute(DEV_INDEX, &index.to_ne_bytes()), more(*index, name)].concat();
    match socket.ask(kind(command), &body) {
        Ok(_) => Finding::open(format!("command {command} on {name}: succeeded")),
        Err(errno @ Errno(libc::EPERM | libc::EACCES | libc::ENODEV)) => {
            Finding::refused(&format!("command {command} on {name}"), errno)
        }
        Err(errno) => Finding::open(format!(
            "command {command} on {name}: {errno}, which is said only after permission was given"
        )),
    }
}
