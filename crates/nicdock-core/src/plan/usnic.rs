//! What a usNIC needs, and what it means to have one.

use nicdock_host::model::NicKind;

use super::{Grant, NetdevGrant, PlanError};
use crate::request::{Memlock, Request};
use crate::usnic::{LIBFABRIC_MEMLOCK, memory_registration_is_broken};

/// The driver takes a queue pair only for a socket that has the netdev's IPv4 address
/// (`validate_filter_locked()` of `usnic_fwd.c`).
pub fn check_address(nic: &str, netdevs: &[NetdevGrant]) -> Result<(), PlanError> {
    let has_ipv4 = netdevs.iter().flat_map(NetdevGrant::ips).any(|ip| ip.is_ipv4());
    if has_ipv4 { Ok(()) } else { Err(PlanError::UsnicAddress { nic: nic.to_owned() }) }
}

/// What a user should know before a program uses the usNICs among `grants`.
pub fn warnings(kernel: &str, grants: &[Grant], request: &Request) -> Vec<String> {
    let mut warnings = Vec::new();
    for grant in grants.iter().filter(|grant| grant.nic.kind == NicKind::Usnic) {
        let name = &grant.nic.name;
        if memory_registration_is_broken(kernel) {
            warnings.push(format!(
                "{name}: usnic_verbs of this kernel ({kernel}) must be expected to crash when a program registers memory \
                 (usnic_uiom_reg_get dereferences NULL in Linux 7.2; 6.1 and 6.12 work): use an older kernel"
            ));
        }
        if matches!(request.memlock, Memlock::Bytes(bytes) if bytes < LIBFABRIC_MEMLOCK) {
            warnings.push(format!(
                "{name}: libfabric locks up to 8 MiB for its queues and fails with ENOMEM below: raise --memlock"
            ));
        }
        if let Some(other) = &request.join {
            let vfs = grant
                .rdma
                .iter()
                .filter_map(|rdma| rdma.device.usnic.as_ref())
                .map(|pool| pool.vfs)
                .sum::<u32>();
            warnings.push(format!(
                "{name} is shared with container {other}: each process takes one of its {vfs} VFs, and whoever can open the \
                 node can take flows of the NIC's address, the other container's too"
            ));
        }
    }
    warnings
}
