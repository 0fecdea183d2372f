//! Finds other programs that configure a NIC's netdev.

use nicdock_host::environment::Reading;
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const MANAGERS: Check = Check {
    id: "host.managers",
    asks: "whether NetworkManager, systemd-networkd, ifupdown or FRR configures the netdev",
    why: "a manager that sees the netdev go and come back configures it anew, beside or against what nicdock puts back: other addresses, a renamed \
          interface, routes of a daemon that nobody announces any more",
    judge: managers,
    #[cfg(test)]
    cases: || Cases {
        fires: told("NetworkManager enp6s0 managed\n"),
        ok: told("NetworkManager enp6s0 unmanaged\nsystemd-networkd enp6s0 unmanaged\n"),
        unknown: Case::usnic(),
    },
};

/// `RTPROT_ZEBRA` and what FRR's daemons write (include/uapi/linux/rtnetlink.h).
const FRR: [u8; 7] = [11, 186, 187, 188, 189, 192, 193];

fn managers(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| {
        if nic.netdevs.is_empty() {
            return None;
        }
        let lines = match subject.environment.fact(Fact::Managers) {
            Reading::Known(lines) => lines,
            Reading::Absent => String::new(),
            Reading::Unknown(why) => return Some(Finding::unknown(why)),
        };
        for netdev in &nic.netdevs {
            let name = &netdev.name;
            // MANAGER NETDEV STATE
            let told = lines.lines().filter_map(|line| {
                let mut words = line.split(' ');
                Some((words.next()?, words.next()?, words.next()?))
            });
            let manages = |(_, netdev, state): &(&str, &str, &str)| netdev == name && !matches!(*state, "unmanaged" | "pending");
            if let Some((manager, _, state)) = { told }.find(manages) {
                let fix = match manager {
                    "NetworkManager" => format!("nmcli device set {name} managed no; for ever: unmanaged-devices=interface-name:{name} in /etc/NetworkManager/conf.d/90-rdma.conf"),
                    "systemd-networkd" => format!("printf '[Match]\\nName={name}\\n[Link]\\nUnmanaged=yes\\n' > /etc/systemd/network/05-{name}.network && networkctl reload"),
                    _ => format!("take {name} out of /etc/network/interfaces and interfaces.d, and configure it by ip(8)"),
                };
                return Some(Finding::hint(format!("{manager} has {name} as {state}"), fix));
            }
            if let Some(route) = netdev.routes.iter().find(|route| FRR.contains(&route.protocol)) {
                return Some(Finding::hint(
                    format!("{name} has a route of a routing daemon (protocol {}): {route}", route.protocol),
                    format!("vtysh -c 'configure terminal' -c 'interface {name}' -c 'shutdown' before the NIC is given"),
                ));
            }
        }
        Some(Finding::ok("no manager of networks configures its netdev"))
    })
}

#[cfg(test)]
fn told(lines: &str) -> Case {
    Case::usnic().environment(|environment| environment.with_fact(Fact::Managers, lines))
}
