//! Which nodes that a lease gave are no device's any more.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::lease::DeviceNode;
use crate::lease::{Lease, ProcessId, Step};

/// Nodes of one container whose devices have gone, and that it still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub container: String,
    /// Its first process.
    pub process: ProcessId,
    /// nicdock's launcher made it, and so its control group.
    pub is_launched: bool,
    /// The control group of a job's processes: the first may have ended before the others.
    pub group: Option<PathBuf>,
    pub nodes: Vec<DeviceNode>,
}

/// By the identities of the nodes that there are now.
pub fn gone(lease: &Lease, present: &BTreeSet<u64>) -> Vec<Gone> {
    let mut found = Vec::new();
    for step in lease.steps() {
        let Step::Give { container, process, nodes } = step else { continue };
        let Some(holder) = lease.holder(container) else { continue };
        let is_taken = |node: &DeviceNode| {
            lease.steps().any(|step| {
                matches!(step, Step::Revoke { container: of, nodes } if of == container && nodes.contains(&node.identity))
            })
        };
        let nodes: Vec<DeviceNode> = nodes
            .iter()
            .filter(|node| !present.contains(&node.identity) && !is_taken(node))
            .cloned()
            .collect();
        if !nodes.is_empty() {
            let (is_launched, group) = (holder.is_launched(), holder.group.clone());
            found.push(Gone { container: container.clone(), process: *process, is_launched, group, nodes });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, minor: u32, identity: u64) -> DeviceNode {
        let name = name.to_owned();
        DeviceNode { name, device: "rxe1".into(), major: 231, minor, mode: 0o666, identity }
    }

    /// The container `nic-1`, to which two nodes were given.
    fn lease() -> Lease {
        let mut lease: Lease =
            serde_json::from_str(include_str!("../../../fuzz/lease/move.json")).expect("a sample");
        lease.holders.truncate(1);
        let container = lease.holders[0].container.clone();
        let process = ProcessId { pid: 7, start: 8 };
        let nodes = vec![node("uverbs1", 193, 4001), node("umad1", 1, 4002)];
        lease.journal.push(Step::Give { container, process, nodes });
        lease
    }

    fn names(found: &[Gone]) -> Vec<&str> {
        found.iter().flat_map(|gone| &gone.nodes).map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn a_node_that_another_device_has_now_by_the_same_number_is_gone() {
        // uverbs1 and 231:193 are there, and are another device's.
        assert_eq!(names(&gone(&lease(), &BTreeSet::from([4002, 5001]))), ["uverbs1"]);
        assert!(gone(&lease(), &BTreeSet::from([4001, 4002])).is_empty());
    }

    #[test]
    fn what_was_taken_is_not_taken_again() {
        let mut lease = lease();
        let container = lease.holders[0].container.clone();
        lease.journal.push(Step::Revoke { container, nodes: vec![4001] });
        assert_eq!(names(&gone(&lease, &BTreeSet::new())), ["umad1"]);
    }

    #[test]
    fn what_was_taken_from_one_container_is_still_to_be_taken_from_the_one_that_joined_it() {
        let mut lease = lease();
        let mut joined = lease.holders[0].clone();
        joined.container = "joined".into();
        lease.holders.push(joined);
        let (first, process) = (lease.holders[0].container.clone(), ProcessId { pid: 9, start: 10 });
        let nodes = vec![node("uverbs1", 193, 4001)];
        lease.journal.push(Step::Give { container: "joined".into(), process, nodes });
        lease.journal.push(Step::Revoke { container: first, nodes: vec![4001, 4002] });
        let found = gone(&lease, &BTreeSet::new());
        assert_eq!((found.len(), found[0].container.as_str()), (1, "joined"));
    }

    #[test]
    fn a_container_that_has_ended_has_nothing_to_be_taken() {
        let mut lease = lease();
        lease.holders.clear();
        assert!(gone(&lease, &BTreeSet::new()).is_empty());
    }
}
