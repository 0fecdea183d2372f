//! Checks that RoCE's packets are protected against loss (PFC, ECN).

use nicdock_host::environment::Reading;
use nicdock_host::model::NicKind;
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const PFC: Check = Check {
    id: "roce.pfc",
    asks: "that a priority of the RoCE port has priority flow control",
    why: "RoCE goes back to the last packet that arrived when one is dropped: in a network that drops under load, bandwidth collapses. PFC pauses the \
          sender instead, where the switches have it, too",
    judge: pfc,
    #[cfg(test)]
    cases: || Cases { fires: flow("00"), ok: flow("08"), unknown: flow("-") },
};

pub const ECN: Check = Check {
    id: "roce.ecn",
    asks: "that the RoCE port reacts to congestion marks",
    why: "ECN slows down the senders that fill a queue before PFC has to pause all of them",
    judge: ecn,
    #[cfg(test)]
    cases: || Cases { fires: marks("0"), ok: marks("1"), unknown: Case::roce() },
};

const ROCE: [NicKind; 1] = [NicKind::Roce];

fn pfc(subject: &Subject) -> Vec<Finding> {
    subject.each_of(&ROCE, |nic| {
        let Some(netdev) = nic.netdevs.first() else {
            return Finding::unknown("its netdev is not in this network namespace");
        };
        let lines = match subject.environment.fact(Fact::FlowControl) {
            Reading::Known(lines) => lines,
            Reading::Absent => String::new(),
            Reading::Unknown(why) => return Finding::unknown(why),
        };
        let name = &netdev.name;
        let mask = lines.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        match mask.map(|mask| (mask, u8::from_str_radix(mask, 16))) {
            Some((_, Ok(0))) => Finding::hint(
                format!("dcb pfc show dev {name}: prio-pfc all off"),
                format!("dcb pfc set dev {name} prio-pfc all:off 3:on, with RoCE in priority 3, and the same on the switch"),
            ),
            Some((mask, Ok(_))) => Finding::ok(format!("dcb pfc show dev {name}: mask 0x{mask}")),
            _ => Finding::unknown(format!("the driver of {name} tells nothing by DCB (a VF has its PF's)"))
                .fix(format!("mlnx_qos -i {name}, or the switch's counters of paused and dropped packets")),
        }
    })
}

fn ecn(subject: &Subject) -> Vec<Finding> {
    subject.each_of(&ROCE, |nic| {
        let Some(netdev) = nic.netdevs.first() else {
            return Finding::unknown("its netdev is not in this network namespace");
        };
        for side in ["roce_np", "roce_rp"] {
            let path = format!("sys/{}/ecn/{side}/enable/3", netdev.sysfs);
            match subject.environment.text(&path) {
                Reading::Known(value) if value == "1" => {}
                Reading::Known(value) => {
                    return Finding::hint(format!("/{path}: {value}"), format!("echo 1 > /{path}"));
                }
                Reading::Absent => {
                    return Finding::unknown(format!(
                        "/{path} is not there: only NVIDIA's own driver tells it in sysfs"
                    ))
                    .fix("cat /sys/kernel/debug/mlx5/*/cc_params/np_cnp_prio, or the vendor's tool");
                }
                Reading::Unknown(why) => return Finding::unknown(why),
            }
        }
        Finding::ok(format!("/sys/{}/ecn: on at both sides for priority 3", netdev.sysfs))
    })
}

/// The first NIC of the RoCE host.
#[cfg(test)]
fn one() -> Case {
    Case::roce().host(|host| host.nics.retain(|nic| nic.name == "mlx5_0"))
}

#[cfg(test)]
fn flow(mask: &str) -> Case {
    one().environment(|environment| environment.with_fact(Fact::FlowControl, &format!("ens1f0np0 {mask}\n")))
}

#[cfg(test)]
fn marks(value: &str) -> Case {
    let case = one();
    let sysfs = case.host.nics[0].netdevs[0].sysfs.clone();
    ["roce_np", "roce_rp"].iter().fold(case, |case, side| {
        case.environment(|environment| {
            environment.with_file(&format!("sys/{sysfs}/ecn/{side}/enable/3"), value)
        })
    })
}
