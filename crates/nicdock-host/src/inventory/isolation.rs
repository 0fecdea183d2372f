//! How a container can be kept from the other NICs' RDMA devices, and why so.

use crate::model::{Host, Isolation, IsolationMethod, Nic, RdmaDevice, RdmaNetnsMode};

/// Drivers without `disassociate_ucontext` (Linux 7.2), whose devices `ib_device_set_netns_put()` refuses to move. This only
/// stands in for a trial where there was none: on a capture, in shared mode, and without privileges. A PCI function's
/// driver stands for the RDMA driver on top of it (qedr, ocrdma).
const PRESUMED_IMMOVABLE: [&str; 10] =
    ["usnic_verbs", "efa", "rxe", "siw", "qede", "cxgb4", "hfi1", "be2net", "ib_mthca", "vmw_pvrdma"];

/// Judges every NIC anew, after what was tried of its devices ([`RdmaDevice::moves`]).
pub fn judge(host: &mut Host) {
    for nic in &mut host.nics {
        nic.isolation = of(nic, host.rdma_netns_mode);
    }
}

pub fn of(nic: &Nic, mode: Option<RdmaNetnsMode>) -> Isolation {
    if nic.rdma_devices.is_empty() {
        return because(IsolationMethod::Netns, "no RDMA device: the network namespace isolates the netdev");
    }
    let immovable = nic.rdma_devices.iter().find(|device| !moves(device));
    let driver = immovable.map(|device| device.driver.as_deref().unwrap_or("its driver"));
    let untried = nic.rdma_devices.iter().any(|device| device.moves.is_none());
    match (mode, driver) {
        (Some(RdmaNetnsMode::Exclusive), None) => because(
            IsolationMethod::RdmaNetns,
            format!(
                "RDMA netns mode is exclusive: the RDMA device moves into the container's network namespace{}",
                if untried { " (presumed, not tried: that takes root, and the machine itself)" } else { "" }
            ),
        ),
        (Some(RdmaNetnsMode::Exclusive), Some(driver)) => because(
            IsolationMethod::View,
            format!(
                "{driver} cannot move its devices to another network namespace, and in exclusive RDMA netns mode \
                 they cannot be opened from one: 'rdma system set netns shared' is needed"
            ),
        ),
        (_, Some(driver)) => because(
            IsolationMethod::View,
            format!(
                "{driver} cannot move its devices to another network namespace; RDMA netns mode is shared, as it needs"
            ),
        ),
        (_, None) => because(
            IsolationMethod::View,
            "RDMA netns mode is shared; 'rdma system set netns exclusive' would let the RDMA device move",
        ),
    }
}

fn moves(device: &RdmaDevice) -> bool {
    let presumed = || !device.driver.as_deref().is_some_and(|driver| PRESUMED_IMMOVABLE.contains(&driver));
    device.moves.unwrap_or_else(presumed)
}

fn because(method: IsolationMethod, reason: impl Into<String>) -> Isolation {
    Isolation { method, reason: reason.into() }
}
