//! How a container can be kept from the other NICs' RDMA devices, and why so.

use crate::model::{Isolation, IsolationMethod, Nic, RdmaNetnsMode};

/// Drivers without `disassociate_ucontext` (Linux 7.2): `ib_device_set_netns_put()` refuses to move their devices.
const IMMOVABLE: [&str; 4] = ["usnic_verbs", "efa", "rxe", "siw"];

pub fn of(nic: &Nic, mode: Option<RdmaNetnsMode>) -> Isolation {
    if nic.rdma_devices.is_empty() {
        return because(IsolationMethod::Netns, "no RDMA device: the network namespace isolates the netdev");
    }
    let drivers = nic.rdma_devices.iter().filter_map(|device| device.driver.as_deref());
    let immovable = drivers.into_iter().find(|driver| IMMOVABLE.contains(driver));
    match (mode, immovable) {
        (Some(RdmaNetnsMode::Exclusive), None) => because(
            IsolationMethod::RdmaNetns,
            "RDMA netns mode is exclusive: the RDMA device moves into the container's network namespace",
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

fn because(method: IsolationMethod, reason: impl Into<String>) -> Isolation {
    Isolation { method, reason: reason.into() }
}
