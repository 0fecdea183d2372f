//! `socket.*`: protocol families, and what raw and packet sockets reach.

use crate::kernel::entry;
use crate::kernel::errno::Errno;
use crate::kernel::socket;
use crate::probe::{Context, Finding, Probe};

/// `include/linux/socket.h`. Without 16, which is `netlink.*`.
const FAMILIES: [(u64, &str); 42] = [
    (3, "ax25"),
    (4, "ipx"),
    (5, "appletalk"),
    (6, "netrom"),
    (7, "bridge"),
    (8, "atmpvc"),
    (9, "x25"),
    (11, "rose"),
    (12, "decnet"),
    (13, "netbeui"),
    (14, "security"),
    (15, "key"),
    (18, "ash"),
    (19, "econet"),
    (20, "atmsvc"),
    (21, "rds"),
    (22, "sna"),
    (23, "irda"),
    (24, "pppox"),
    (25, "wanpipe"),
    (26, "llc"),
    (27, "ib"),
    (28, "mpls"),
    (29, "can"),
    (30, "tipc"),
    (31, "bluetooth"),
    (32, "iucv"),
    (33, "rxrpc"),
    (34, "isdn"),
    (35, "phonet"),
    (36, "ieee802154"),
    (37, "caif"),
    (38, "alg"),
    (39, "nfc"),
    (40, "vsock"),
    (41, "kcm"),
    (42, "qipcrtr"),
    (43, "smc"),
    (44, "xdp"),
    (45, "mctp"),
    (46, "46"),
    (47, "47"),
];

/// rdma_cm's programs may name AF_IB; the kernel makes no socket of it.
const ALWAYS_ALLOWED: [u64; 1] = [27];

pub fn probes(context: &Context) -> Vec<Probe> {
    let allowed = context.target.allowed_families.clone();
    let mut probes = Vec::new();
    for (family, name) in FAMILIES {
        if ALWAYS_ALLOWED.contains(&family) || allowed.contains(&family) {
            continue;
        }
        probes.push(Probe::new(format!("socket.family.{name}"), move |_| any_type(family)));
    }
    for (family, name) in [(21, "rds"), (38, "alg"), (40, "vsock"), (43, "smc"), (44, "xdp")] {
        probes.push(Probe::new(format!("socket.family.{name}.high"), move |_| any_type(family | 1 << 32)));
    }
    probes.push(Probe::new("socket.packet.foreign", packet));
    probes.push(Probe::new("socket.raw.foreign", raw));
    probes.push(Probe::new("socket.ethtool.foreign", ethtool));
    probes.push(Probe::new("socket.i386_socketcall", |_| i386_socketcall()));
    probes
}

/// Of whatever type the family has.
fn any_type(family: u64) -> Finding {
    let mut last = Errno(libc::EAFNOSUPPORT);
    for kind in [1, 2, 3, 5] {
        match socket::socket(family, kind, 0) {
            Ok(_) => return Finding::open(format!("socket({family:#x}, {kind}, 0): succeeded")),
            // Another type may do.
            Err(Errno(libc::ESOCKTNOSUPPORT | libc::EPROTONOSUPPORT | libc::EPROTOTYPE)) => {}
            // Each try at a family that is not there would have the kernel look for its module.
            Err(errno @ Errno(libc::EAFNOSUPPORT)) => {
                last = errno;
                break;
            }
            Err(errno) => last = errno,
        }
    }
    match last {
        Errno(libc::EAFNOSUPPORT) if asks_kernel(family) => {
            Finding::not_applicable("EAFNOSUPPORT: the kernel has no such family")
        }
        errno => Finding::refused(&format!("socket({family:#x}, 1|2|3|5, 0)"), errno),
    }
}

/// Whether nothing refuses the family before the kernel does, which looks at the type first (`__sock_create()`): there is none of that
/// number (`SOCK_MAX`).
fn asks_kernel(family: u64) -> bool {
    matches!(socket::socket(family, 15, 0), Err(Errno(libc::EINVAL)))
}

/// A packet socket of all interfaces sees those of its network namespace.
fn packet(context: &Context) -> Finding {
    if let Err(errno) = socket::socket(17, 3, u64::from(0x0003_u16.to_be())) {
        return Finding::refused("socket(AF_PACKET, SOCK_RAW, ETH_P_ALL)", errno);
    }
    reach(context, "a packet socket")
}

fn raw(context: &Context) -> Finding {
    if let Err(errno) = socket::socket(2, 3, 255) {
        return Finding::refused("socket(AF_INET, SOCK_RAW, IPPROTO_RAW)", errno);
    }
    reach(context, "a raw socket")
}

fn reach(context: &Context, what: &str) -> Finding {
    let foreign = context.target.foreign_among(&crate::target::interfaces_by_index());
    if foreign.is_empty() {
        Finding::closed(format!("{what} can be made, and there is no foreign interface to bind it to"))
    } else {
        Finding::open(format!("{what} can be bound to {}", foreign.join(", ")))
    }
}

/// Names and PCI addresses of drivers, by the ioctl of ethtool(8).
fn ethtool(context: &Context) -> Finding {
    for name in context.target.foreign_names() {
        if let Some(flags) = crate::kernel::interface::flags(name) {
            return Finding::open(format!("ioctl(SIOCGIFFLAGS, {name}): {flags:#x}"));
        }
    }
    Finding::closed("no foreign netdev answers an ioctl by its name")
}

/// A filter cannot see socketcall's arguments: allowing it allows every socket.
fn i386_socketcall() -> Finding {
    if let Err(reason) = socket::has_entry("i386") {
        return Finding::not_applicable(reason);
    }
    // No such operation: EINVAL comes from the call itself.
    Finding::unless_reached("i386 socketcall(0)", entry::i386(102, [0; 5]), &[libc::EINVAL, libc::EFAULT])
}
