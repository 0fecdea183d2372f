//! Checks that netdevs that talk to each other have the same MTU.

use nicdock_host::model::{Netdev, Nic, NicKind};

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const MTU: Check = Check {
    id: "link.mtu",
    asks: "that NICs of one subnet have one MTU, and Ethernet one for RDMA's largest packets",
    why: "RoCE takes the largest of 256, 512, 1024, 2048 and 4096 bytes that fits the netdev's MTU with headers (iboe_get_mtu()); where both \
          sides differ packets are dropped and connections hang, and with 1500 bytes RDMA packets have 1024",
    judge: mtu,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::infiniband().host(|host| rail(host).mtu = 2044),
        ok: Case::infiniband(),
        unknown: Case::usnic().host(|host| host.nics.iter_mut().for_each(|nic| nic.netdevs.clear())),
    },
};

/// 4096 bytes, and at most so many of headers: Ethernet's are not counted, IPv6's 40, UDP's 8, the transport's and the checksum's.
const FOR_4096: u32 = 4200;

fn mtu(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| {
        let Some(netdev) = nic.netdevs.first() else {
            return matches!(nic.kind, NicKind::Roce | NicKind::Usnic | NicKind::SoftRoce)
                .then(|| Finding::unknown("its netdev is not in this network namespace"));
        };
        let evidence = format!("{} has an MTU of {}", netdev.name, netdev.mtu);
        if let Some((other, theirs)) =
            subject.host.nics.iter().filter(|one| one.name != nic.name).find_map(|one| differs(netdev, one))
        {
            let larger = netdev.mtu.max(theirs);
            return Some(Finding::problem(
                format!("{evidence}, {other} of the same subnet one of {theirs}"),
                format!(
                    "ip link set {} mtu {larger}, and the switch's ports as large",
                    if netdev.mtu < theirs { &netdev.name } else { &other }
                ),
            ));
        }
        let is_small = matches!(nic.kind, NicKind::Roce | NicKind::Usnic) && netdev.mtu < FOR_4096;
        Some(if is_small {
            Finding::hint(
                evidence,
                format!("ip link set {} mtu 9000, where the switch and every peer have it, too", netdev.name),
            )
        } else {
            Finding::ok(evidence)
        })
    })
}

/// Another NIC's netdev in a subnet of this one's with another MTU.
fn differs(netdev: &Netdev, other: &Nic) -> Option<(String, u32)> {
    let shares = |one: &&Netdev| {
        one.addresses.iter().any(|theirs| {
            netdev
                .addresses
                .iter()
                .any(|own| theirs.scope == 0 && own.scope == 0 && is_one_subnet(own, theirs))
        })
    };
    let found = other
        .netdevs
        .iter()
        .filter(|one| one.mtu != netdev.mtu && one.link_type == netdev.link_type)
        .find(shares)?;
    Some((found.name.clone(), found.mtu))
}

fn is_one_subnet(a: &nicdock_host::model::Address, b: &nicdock_host::model::Address) -> bool {
    let bits = |address: &nicdock_host::model::Address| match address.ip {
        std::net::IpAddr::V4(ip) => (false, u128::from(ip.to_bits()) << 96),
        std::net::IpAddr::V6(ip) => (true, ip.to_bits()),
    };
    let ((a_is_six, a_bits), (b_is_six, b_bits)) = (bits(a), bits(b));
    let rest = 128_u32.saturating_sub(a.prefix_len.into());
    a_is_six == b_is_six
        && a.prefix_len == b.prefix_len
        && (a_bits ^ b_bits).checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
fn rail(host: &mut nicdock_host::model::Host) -> &mut Netdev {
    let nic = host.nics.iter_mut().find(|nic| nic.name == "mlx5_0").expect("a rail");
    // Rails of the described host are in subnets of their own.
    &mut nic.netdevs[0]
}
