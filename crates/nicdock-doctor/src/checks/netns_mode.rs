//! How RDMA devices are shared among network namespaces (`rdma system show netns`; drivers/infiniband/core/device.c).

use nicdock_host::environment::Reading;
use nicdock_host::model::{NicKind, RdmaNetnsMode};
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const MODE: Check = Check {
    id: "rdma.netns_mode",
    asks: "the RDMA network namespace mode, and whether it can be changed now",
    why: "in exclusive mode a device that cannot move (usNIC, soft-RoCE, EFA) cannot be opened in any container: EPERM; the mode changes only \
          while there is one network namespace (rdma_compatdev_set(), EBUSY)",
    judge: mode,
    #[cfg(test)]
    cases: || Cases {
        fires: namespaces(
            Case::usnic().host(|host| host.rdma_netns_mode = Some(RdmaNetnsMode::Exclusive)),
            "3 all",
        ),
        ok: namespaces(Case::usnic(), "1 all"),
        unknown: Case::usnic(),
    },
};

/// Kinds whose drivers set no `.disassociate_ucontext` (usnic_verbs, rdma_rxe, siw, efa), without which ib_device_set_netns_put() refuses a move.
const UNMOVABLE: [NicKind; 4] = [NicKind::Usnic, NicKind::SoftRoce, NicKind::SoftIwarp, NicKind::Efa];

fn mode(subject: &Subject) -> Vec<Finding> {
    let with_rdma: Vec<_> = subject.nics.iter().filter(|nic| !nic.rdma_devices.is_empty()).collect();
    if with_rdma.is_empty() {
        return Vec::new();
    }
    let Some(mode) = subject.host.rdma_netns_mode else {
        return vec![Finding::unknown("the RDMA core does not tell its mode (rdma system show netns)")];
    };
    let lines = match subject.environment.fact(Fact::Namespaces) {
        Reading::Known(lines) => lines,
        Reading::Absent => return vec![Finding::unknown("no process tells its network namespace")],
        Reading::Unknown(why) => return vec![Finding::unknown(why)],
    };
    let mut words = lines.split_whitespace();
    let (count, all) = (words.next().and_then(|word| word.parse::<u32>().ok()), words.next() == Some("all"));
    let change = match count {
        Some(1) if all => {
            "it can be changed now, unless a namespace is held that no process is in".to_owned()
        }
        Some(1) => {
            let why = "whether there are other network namespaces, with which it cannot be changed, only root can tell";
            return vec![Finding::unknown(why)];
        }
        Some(count) => format!("it cannot be changed now: processes are in {count} network namespaces"),
        None => return vec![Finding::unknown(format!("'{}' is not understood", lines.trim()))],
    };
    let stays = with_rdma.iter().find(|nic| {
        UNMOVABLE.contains(&nic.kind) && nic.rdma_devices.iter().all(|device| device.moves != Some(true))
    });
    vec![match (mode, stays) {
        (RdmaNetnsMode::Shared, _) => Finding::ok(format!("rdma system: netns shared; {change}")),
        (RdmaNetnsMode::Exclusive, None) => Finding::ok(format!("rdma system: netns exclusive; {change}")),
        (RdmaNetnsMode::Exclusive, Some(nic)) => Finding::problem(
            format!("rdma system: netns exclusive, and {} ({}) cannot move; {change}", nic.name, nic.kind),
            "end every container, then: rdma system set netns shared (at each boot: options ib_core netns_mode=1 in /etc/modprobe.d)",
        ),
    }]
}

#[cfg(test)]
fn namespaces(case: Case, line: &str) -> Case {
    case.environment(|environment| environment.with_fact(Fact::Namespaces, line))
}
