//! Checks for NICs that did not come back.

use crate::check::Check;
use crate::finding::Finding;
#[cfg(test)]
use crate::subject::LeaseState;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const STATES: Check = Check {
    id: "leases.state",
    asks: "whether a lease is abandoned, stuck, draining, quarantined or unreadable",
    why: "a NIC whose lease is in such a state is given to nobody until it is back as it was",
    judge: states,
    #[cfg(test)]
    cases: || Cases {
        fires: leases(Ok(vec![lease("usnic_0", "stuck", "its network namespace is held by process 42")])),
        ok: leases(Ok(vec![
            lease("usnic_0", "held", "container a"),
            lease("usnic_1", "reserved", "reservation claim of kube"),
        ])),
        unknown: leases(Err("a capture has no leases".to_owned())),
    },
};

fn states(subject: &Subject) -> Vec<Finding> {
    let leases = match subject.leases {
        Ok(leases) => leases,
        Err(why) => {
            let fix = "nicdock leases, as root on the machine";
            return vec![Finding::unknown(why.clone()).fix(fix)];
        }
    };
    let mut found: Vec<Finding> = leases
        .iter()
        .map(|lease| {
            let evidence = format!("{}: {}", lease.state, lease.what);
            let finding = match lease.state.as_str() {
                "reserved" | "starting" | "held" | "returning" => Finding::ok(evidence),
                "abandoned" => Finding::hint(evidence, "nicdock reconcile"),
                "draining" => Finding::hint(
                    evidence,
                    "end the process that still has the node open; nicdock leases names it",
                ),
                "unreadable" => {
                    Finding::problem(evidence, "nicdock reconcile puts it aside and takes the NIC home")
                }
                _ => Finding::problem(
                    evidence,
                    "nicdock leases says what keeps it; then nicdock reconcile (docs/recovery.md)",
                ),
            };
            Finding { nic: Some(lease.nic.clone()), ..finding }
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok("no container has a NIC"));
    }
    found
}

#[cfg(test)]
fn lease(nic: &str, state: &str, what: &str) -> LeaseState {
    LeaseState { nic: nic.to_owned(), state: state.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
fn leases(leases: Result<Vec<LeaseState>, String>) -> Case {
    Case { leases, ..Case::usnic() }
}
