//! Every probe, one file a family.

mod capability;
mod cgroup;
mod device;
mod escape;
mod filesystem;
mod generic;
mod inet;
mod log;
mod mount;
mod mounted;
mod netlink;
mod pci;
mod proc;
mod process;
mod rdma_cm;
mod rdma_netlink;
mod refused;
mod route;
mod scene;
mod socket;
mod sys;
mod syscall;
mod sysctl;
mod uevent;

pub use syscall::calls;

use crate::probe::{Context, Probe};

/// All of them, in the order in which they run.
pub fn all(context: &Context) -> Vec<Probe> {
    [
        sys::probes(),
        proc::probes(),
        netlink::probes(),
        rdma_netlink::probes(context),
        route::probes(),
        generic::probes(),
        uevent::probes(),
        socket::probes(context),
        inet::probes(),
        device::probes(context),
        rdma_cm::probes(context),
        syscall::probes(),
        refused::probes(context),
        capability::probes(),
        mount::probes(),
        mounted::probes(),
        filesystem::probes(context),
        escape::probes(),
        process::probes(),
        cgroup::probes(),
        sysctl::probes(),
        pci::probes(context),
        log::probes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
