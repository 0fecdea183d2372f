//! How much of its RDMA devices a container may have (Documentation/admin-guide/cgroup-v2.rst, "RDMA").

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Doing, PhaseError, cgroup};
use crate::plan::Plan;
use crate::request::RdmaLimits;

/// The controller's only file that is written.
const FILE: &str = "rdma.max";

/// Limits the container whose first process is `init`, before its program runs. Nothing to do without limits.
pub fn set(plan: &Plan, init: u32) -> Result<(), PhaseError> {
    let limits = plan.container.rdma_limits;
    if limits.is_none() {
        return Ok(());
    }
    let folder = if cgroup::is_unified() { unified(&plan.name)? } else { version_1(&plan.name, init)? };
    let path = folder.join(FILE);
    for rdma in plan.grants.iter().flat_map(|grant| &grant.rdma) {
        let line = line(&rdma.device.name, limits);
        let what = || format!("writing '{line}' to {}", path.display());
        fs::write(&path, &line).doing(what).map_err(PhaseError::without_rdma_controller)?;
        let set = fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
        if !set.lines().any(|found| found.trim() == line) {
            return Err(PhaseError::new(what(), io::Error::other(format!("the kernel made of it: {set}"))));
        }
    }
    Ok(())
}

/// `usnic_0 hca_handle=2 hca_object=max`, as the kernel prints it.
fn line(device: &str, limits: RdmaLimits) -> String {
    let text = |limit: Option<u32>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
    format!("{device} hca_handle={} hca_object={}", text(limits.handles), text(limits.objects))
}

/// The controller is handed down from the root, folder by folder.
fn unified(name: &str) -> Result<PathBuf, PhaseError> {
    let root = Path::new("/sys/fs/cgroup");
    let own = cgroup::below(root, name);
    for parent in [root, own.parent().unwrap_or(root)] {
        let control = parent.join("cgroup.subtree_control");
        fs::write(&control, "+rdma")
            .doing(|| format!("writing '+rdma' to {}", control.display()))
            .map_err(PhaseError::without_rdma_controller)?;
    }
    Ok(own)
}

/// libcontainer puts no process into this hierarchy.
fn version_1(name: &str, init: u32) -> Result<PathBuf, PhaseError> {
    let folder = cgroup::below(Path::new("/sys/fs/cgroup/rdma"), name);
    fs::create_dir_all(&folder)
        .doing(|| format!("making {}", folder.display()))
        .map_err(PhaseError::without_rdma_controller)?;
    let procs = folder.join("cgroup.procs");
    fs::write(&procs, init.to_string()).doing(|| format!("writing {init} to {}", procs.display()))?;
    Ok(folder)
}

impl PhaseError {
    /// No such file: the kernel or the host's set-up lacks the controller.
    fn without_rdma_controller(self) -> Self {
        if self.error.kind() != io::ErrorKind::NotFound {
            return self;
        }
        self.with_advice(
            "the limits need the cgroup controller rdma (CONFIG_CGROUP_RDMA): without it leave --hca-handles and \
             --hca-objects out",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_limited_is_max() {
        let limits = RdmaLimits { handles: Some(2), objects: None };
        assert_eq!(line("usnic_0", limits), "usnic_0 hca_handle=2 hca_object=max");
    }
}
