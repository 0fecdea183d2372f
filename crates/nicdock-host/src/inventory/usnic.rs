//! usNIC's VF pool (`drivers/infiniband/hw/usnic/usnic_ib_sysfs.c`).

use super::sysfs::Sysfs;
use crate::model::{Nic, PciFunction, UsnicPool, UsnicQueuePair};

/// The driver behind `usnic_N`. The PCI function's own is `enic`.
pub const DRIVER: &str = "usnic_verbs";

/// The pool of the device at `path`.
pub fn pool(sysfs: &Sysfs, path: &str) -> UsnicPool {
    let number = |file: &str| sysfs.number(&format!("{path}/{file}")).unwrap_or(0);
    let mut queue_pairs: Vec<UsnicQueuePair> = sysfs
        .list(&format!("{path}/qpn"))
        .iter()
        .filter_map(|id| sysfs.value(&format!("{path}/qpn/{id}/summary"), queue_pair))
        .collect();
    queue_pairs.sort_unstable_by_key(|pair| pair.number);
    UsnicPool {
        vfs: number("max_vf"),
        queue_pairs_per_vf: number("qp_per_vf"),
        completion_queues_per_vf: number("cq_per_vf"),
        queue_pairs,
    }
}

/// A VIC with usNIC VFs and no RDMA device: what is missing, in a sentence.
pub fn idle_pool(nic: &Nic, pci: &[PciFunction]) -> Option<String> {
    let vfs =
        pci.iter().filter(|function| function.is_usnic_vf() && function.pf == nic.pci && nic.pci.is_some());
    let vfs: Vec<&PciFunction> = vfs.collect();
    if vfs.is_empty() || !nic.rdma_devices.is_empty() {
        return None;
    }
    let missing = if vfs.iter().all(|vf| vf.iommu_group.is_none()) {
        "they are behind no IOMMU, so usnic_verbs takes none: boot with intel_iommu=on"
    } else {
        "usnic_verbs has none of them: modprobe usnic_verbs, and see the kernel's log if that does not help"
    };
    Some(format!("{} has {} usNIC VFs and no usNIC: {missing}", nic.name, vfs.len()))
}

/// `summary_show()`: `QPN: 1 State: (RTR) PID: 4711 VF Idx: 0 WQ[0] RQ[0] CQ[0] CQ[1]`. Linux before 5.17 has a blank
/// more before the resources.
fn queue_pair(text: &str) -> Option<UsnicQueuePair> {
    let rest = text.strip_prefix("QPN: ")?;
    let (number, rest) = rest.split_once(" State: (")?;
    let (state, rest) = rest.split_once(") PID: ")?;
    let (pid, rest) = rest.split_once(" VF Idx: ")?;
    let mut words = rest.split_whitespace();
    Some(UsnicQueuePair {
        number: number.parse().ok()?,
        state: state.to_owned(),
        pid: pid.parse().ok()?,
        vf: words.next()?.parse().ok()?,
        completion_queues: u32::try_from(words.filter(|word| word.starts_with("CQ[")).count()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_whose_the_queue_pair_is_and_what_it_takes() {
        let text = "QPN: 3 State: (RTR) PID: 4711 VF Idx: 2  WQ[0] RQ[0] CQ[0] CQ[1]";
        let pair = UsnicQueuePair { number: 3, state: "RTR".into(), pid: 4711, vf: 2, completion_queues: 2 };
        assert_eq!(queue_pair(text), Some(pair));
        for broken in
            ["", "QPN: 3", "QPN: x State: (RTR) PID: 1 VF Idx: 0", "QPN: 1 State: (RTR) PID: 1 VF Idx: "]
        {
            assert_eq!(queue_pair(broken), None, "{broken}");
        }
    }
}
