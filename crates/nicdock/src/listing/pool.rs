//! What stands behind a usNIC device: board, firmware, IOMMU, and the pool of VFs that its programs share.

use nicdock_host::model::{Host, InUse, Nic, RdmaDevice, UsnicQueuePair};

use super::vfs_behind_iommu;

/// Lines of `nicdock ls --tree`; none for other drivers' devices.
pub fn lines(host: &Host, nic: &Nic, device: &RdmaDevice) -> Vec<String> {
    let Some(pool) = &device.usnic else { return Vec::new() };
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
    let iommu = if vfs_behind_iommu(host, nic) { "on" } else { "OFF (intel_iommu=on is needed)" };
    let memlock = match host.memlock {
        None => "not known".to_owned(),
        Some(u64::MAX) => "unlimited".to_owned(),
        Some(bytes) => format!("{} KiB", bytes >> 10),
    };
    let mut lines = vec![
        format!(
            "board {}, firmware {}, IOMMU {iommu}, memlock here {memlock}",
            or_unknown(&device.board_id),
            or_unknown(&device.firmware)
        ),
        format!(
            "pool of {} VFs, {} in use, each with {} queue pairs and {} completion queues",
            pool.vfs,
            pool.vfs_in_use(),
            pool.queue_pairs_per_vf,
            pool.completion_queues_per_vf
        ),
    ];
    lines.extend(pool.queue_pairs.iter().map(|pair| queue_pair(nic, pair)));
    lines
}

/// The process's name is known if it has the node open, as it must.
fn queue_pair(nic: &Nic, pair: &UsnicQueuePair) -> String {
    let command = nic.in_use.iter().find_map(|sign| match sign {
        InUse::OpenNode { pid, command, .. } if *pid == pair.pid => Some(format!(" ({command})")),
        _ => None,
    });
    format!(
        "queue pair {} {} on VF {}, {} completion queues, process {}{}",
        pair.number,
        pair.state,
        pair.vf,
        pair.completion_queues,
        pair.pid,
        command.unwrap_or_default()
    )
}
