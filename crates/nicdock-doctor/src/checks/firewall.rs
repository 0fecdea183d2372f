//! Rules of the host's firewall that are about a NIC.

use nicdock_host::environment::Reading;
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const RULES: Check = Check {
    id: "host.firewall",
    asks: "whether a rule of the firewall names the netdev",
    why: "rules are a network namespace's: inside the container the NIC has none, and what they protected is open; a rule that drops its packets on \
          the host keeps rdma_cm and RoCE from connecting with --netdev keep",
    judge: rules,
    #[cfg(test)]
    cases: || Cases {
        fires: told("filter input enp6s0\n"),
        ok: told("filter input enp1s0f0\n"),
        unknown: told("iptables filter\n"),
    },
};

fn rules(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| {
        let first = nic.netdevs.first()?;
        let lines = match subject.environment.fact(Fact::Firewall) {
            Reading::Known(lines) => lines,
            Reading::Absent => String::new(),
            Reading::Unknown(why) => return Some(Finding::unknown(why)),
        };
        for netdev in &nic.netdevs {
            let name = &netdev.name;
            if let Some(line) = lines.lines().find(|line| line.ends_with(&format!(" {name}"))) {
                let place: Vec<&str> = line.split(' ').take(2).collect();
                return Some(Finding::hint(
                    format!("a rule in table {}, chain {} compares {name}", place[0], place[1]),
                    format!("nft list ruleset | grep '\"{name}\"' shows it; what it protects has to be said inside the container anew"),
                ));
            }
        }
        let older = lines.lines().find_map(|line| line.strip_prefix("iptables "));
        Some(match older {
            Some(table) => Finding::unknown(format!("/proc/net/ip_tables_names: {table}, into which is not looked"))
                .fix(format!("iptables-save | grep -w {}", first.name)),
            None => Finding::ok(format!("no rule of nftables compares {}", first.name)),
        })
    })
}

#[cfg(test)]
fn told(lines: &str) -> Case {
    Case::usnic().environment(|environment| environment.with_fact(Fact::Firewall, lines))
}
