//! Checks that links are up, and as fast as they can be.

use nicdock_host::environment::Reading;
use nicdock_host::model::{Link, LinkLayer, Nic, NicKind, Speed};
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const STATE: Check = Check {
    id: "link.state",
    asks: "that the RDMA port is ACTIVE, or the netdev up with a carrier",
    why: "a queue pair cannot be connected over a port that is not ACTIVE; nicdock waits for the link and then gives the NIC back",
    judge: state,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::infiniband()
            .host(|host| host.nics[0].rdma_devices[0].ports[0].state = "DOWN".to_owned()),
        ok: Case::infiniband(),
        unknown: Case::infiniband().host(|host| {
            host.nics[0].rdma_devices.clear();
            host.nics[0].netdevs.clear();
        }),
    },
};

pub const SPEED: Check = Check {
    id: "link.speed",
    asks: "that the link is as fast as the port can be",
    why: "a wrong cable, a bad lane or a switch port that is set to less makes a link slower, and every job on it",
    judge: speed,
    #[cfg(test)]
    cases: || Cases {
        fires: roce("ens1f0np0 100000\n"),
        ok: roce("ens1f0np0 25000\n"),
        unknown: Case::roce(),
    },
};

pub const WIDTH: Check = Check {
    id: "link.width",
    asks: "that an InfiniBand link has all its lanes",
    why: "a link of fewer lanes than four has lost some: a bad cable or connector makes it slower by as much (HDR100 and NDR200 have two by design)",
    judge: width,
    #[cfg(test)]
    cases: || Cases {
        fires: rate("100 Gb/sec (1X NDR)"),
        ok: rate("400 Gb/sec (4X NDR)"),
        unknown: Case::infiniband(),
    },
};

fn state(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| Some(of_nic(nic)))
}

fn of_nic(nic: &Nic) -> Finding {
    let link = Link::of(nic);
    let netdev = nic.netdevs.first();
    let port = nic.rdma_devices.iter().find_map(|device| Some((device, device.ports.first()?)));
    let evidence = match (port, netdev) {
        (Some((device, port)), _) => {
            format!("/sys/{}/ports/{}/state: {}", device.sysfs, port.number, port.state)
        }
        (None, Some(netdev)) => format!("{} is {}", netdev.name, link.state),
        (None, None) => {
            "it has no port and no netdev here: it is in another namespace, or no driver is bound".to_owned()
        }
    };
    let is_infiniband = port.is_some_and(|(_, port)| port.link_layer == LinkLayer::InfiniBand);
    match link.state.as_str() {
        "up" => Finding::ok(evidence),
        "unknown" => Finding::unknown(evidence),
        "init" if is_infiniband => Finding::problem(
            evidence,
            "start a subnet manager in the fabric: systemctl start opensm, or the switch's own",
        ),
        // usnic_ib_query_port(): without an IPv4 address on its netdev.
        "init" if nic.kind == NicKind::Usnic => {
            let name = netdev.map_or("NETDEV", |netdev| &netdev.name);
            Finding::problem(evidence, format!("ip address add ADDRESS/LENGTH dev {name}"))
        }
        _ => {
            let fix = match netdev {
                Some(netdev) if !netdev.up => format!("ip link set {} up", netdev.name),
                Some(netdev) => format!(
                    "look at cable, transceiver and the switch's port: ethtool {0}; ethtool -m {0}",
                    netdev.name
                ),
                None => "look at cable and the switch's port: rdma link".to_owned(),
            };
            Finding::problem(evidence, fix)
        }
    }
}

fn speed(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| {
        let netdev = nic.netdevs.first()?;
        // What IPoIB says is its port's.
        if netdev.is_ipoib() {
            return None;
        }
        let modes = match subject.environment.fact(Fact::LinkModes) {
            Reading::Known(modes) => modes,
            Reading::Absent => return Some(Finding::unknown("no netdev tells its link modes")),
            Reading::Unknown(why) => return Some(Finding::unknown(why)),
        };
        let of_netdev = |line: &str| line.strip_prefix(&format!("{} ", netdev.name))?.parse::<u32>().ok();
        let best = modes.lines().find_map(of_netdev);
        Some(match (netdev.speed_mbps, best) {
            (Some(now), Some(best)) if now < best => Finding::problem(
                format!(
                    "/sys/{}/speed: {}, of {} that the port can have",
                    netdev.sysfs,
                    Speed { mbps: now },
                    Speed { mbps: best }
                ),
                format!("ethtool {0} shows what the other side offers; then the cable, or: ethtool -s {0} autoneg on", netdev.name),
            ),
            (Some(now), Some(_)) => Finding::ok(format!("/sys/{}/speed: {}", netdev.sysfs, Speed { mbps: now })),
            (None, _) => Finding::unknown(format!("/sys/{}/speed: the driver tells none", netdev.sysfs))
                .fix("nothing: a virtual NIC has none, and a real one only with a link"),
            (_, None) => Finding::unknown(format!("the driver of {} does not tell its link modes", netdev.name))
                .fix(format!("ethtool {}", netdev.name)),
        })
    })
}

/// `rate_show()` of drivers/infiniband/core/sysfs.c: `100 Gb/sec (4X EDR)`.
fn width(subject: &Subject) -> Vec<Finding> {
    subject.each_device(|_, device| {
        let port = device.ports.iter().find(|port| port.link_layer == LinkLayer::InfiniBand)?;
        let path = format!("sys/{}/ports/{}/rate", device.sysfs, port.number);
        let text = match subject.environment.text(&path) {
            Reading::Known(text) => text,
            Reading::Absent => return Some(Finding::unknown(format!("/{path} is not there"))),
            Reading::Unknown(why) => return Some(Finding::unknown(why)),
        };
        let lanes = text.split_once('(').and_then(|(_, rest)| rest.split_once('X')?.0.parse::<u32>().ok());
        let evidence = format!("/{path}: {text}");
        let fix = format!(
            "ibportstate and perfquery show errors of the lane; exchange the cable of {}",
            device.name
        );
        Some(match lanes {
            None => Finding::unknown(format!("{evidence}: not understood")),
            Some(1) => Finding::problem(evidence, fix),
            Some(2) => Finding::hint(evidence, fix),
            Some(_) => Finding::ok(evidence),
        })
    })
}

/// The RoCE host with one NIC and these link modes.
#[cfg(test)]
fn roce(modes: &str) -> Case {
    let one = Case::roce().host(|host| host.nics.retain(|nic| nic.name == "mlx5_0"));
    one.environment(|environment| environment.with_fact(Fact::LinkModes, modes))
}

/// One rail whose port says this.
#[cfg(test)]
fn rate(text: &str) -> Case {
    let one = Case::infiniband().host(|host| host.nics.retain(|nic| nic.name == "mlx5_0"));
    let path = format!("sys/{}/ports/1/rate", one.host.nics[0].rdma_devices[0].sysfs);
    one.environment(|environment| environment.with_file(&path, text))
}
