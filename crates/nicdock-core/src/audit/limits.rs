//! What a container's control group leaves it of others' RDMA devices. Nothing in the container can tell: the file is covered there, and no node is at hand by which a
//! context could be had.

use nicdock_audit::Verdict;
use nicdock_audit::report::Entry;

use crate::lease::Lease;
use crate::phases::{cgroup, rdma_limits};

/// As the audit's own probes are called.
const ID: &str = "limits.rdma";

/// The entry of a report about process `pid`, if it is in a container that nicdock's launcher made, on a host with the controller, and `only` (a list
/// with commas) has a part of its name.
pub fn limits(leases: &[Lease], pid: u32, only: Option<&str>) -> Option<Entry> {
    if only.is_some_and(|list| !list.split(',').any(|part| ID.contains(part))) {
        return None;
    }
    let left = rdma_limits::left_to(leases, &cgroup::container_of(pid)?)?;
    Some(entry(&left))
}

fn entry(left: &[String]) -> Entry {
    let (result, evidence) = if left.is_empty() {
        (Verdict::Closed, "rdma.max of its control group leaves it nothing of any foreign device".to_owned())
    } else {
        (
            Verdict::Open,
            format!(
                "rdma.max of its control group leaves it all of {}: a node that it is passed makes a context",
                left.join(", ")
            ),
        )
    };
    Entry { id: ID.to_owned(), result, evidence, weakness: None, milliseconds: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_foreign_device_is_open() {
        assert_eq!(entry(&[]).result, Verdict::Closed);
        let open = entry(&["rxe0".to_owned()]);
        assert!(open.result == Verdict::Open && open.evidence.contains("all of rxe0"));
    }
}
