//! usNIC queue pairs that exist when something happens to their NIC: whose, and in which state.

use std::time::{Duration, Instant};

use nicdock_host::inventory::usnic_pool;
use nicdock_host::model::UsnicQueuePair;
use nicdock_host::source::Live;

use crate::plan::Grant;

/// How long the kernel may take to destroy the queue pairs of processes that have ended.
const DESTRUCTION: Duration = Duration::from_secs(3);

/// The queue pairs that there are now, a sentence a device that has some.
pub fn now(grants: &[Grant]) -> Vec<String> {
    let with_some = grants.iter().flat_map(existing).filter(|(_, pairs)| !pairs.is_empty());
    with_some.map(|(device, pairs)| format!("{device} has {}: {}", count(&pairs), list(&pairs))).collect()
}

/// What nobody of the container can have any more, since it has ended: queue pairs of others, a sentence a device.
pub fn left(grant: &Grant) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let mut left = existing(grant);
        left.retain(|(_, pairs)| !pairs.is_empty());
        if left.is_empty() || begin.elapsed() > DESTRUCTION {
            let line = |(device, pairs): &(String, Vec<_>)| {
                format!(
                    "{device} goes back with {}: {}; a process outside of the container has its node open and loses the \
                     connection",
                    count(pairs),
                    list(pairs)
                )
            };
            return left.iter().map(line).collect();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The queue pairs of each usNIC device of a NIC.
fn existing(grant: &Grant) -> Vec<(String, Vec<UsnicQueuePair>)> {
    let usnic = grant.rdma.iter().map(|rdma| &rdma.device).filter(|device| device.usnic.is_some());
    usnic.map(|device| (device.name.clone(), usnic_pool(&Live, &device.sysfs).queue_pairs)).collect()
}

fn count(pairs: &[UsnicQueuePair]) -> String {
    if pairs.len() == 1 { "1 queue pair".to_owned() } else { format!("{} queue pairs", pairs.len()) }
}

fn list(pairs: &[UsnicQueuePair]) -> String {
    let text = |pair: &UsnicQueuePair| format!("{} ({}, process {})", pair.number, pair.state, pair.pid);
    pairs.iter().map(text).collect::<Vec<_>>().join(", ")
}
