//! How much of its RDMA devices a container may have (Documentation/admin-guide/cgroup-v2.rst, "RDMA").

mod late;

pub use late::{lack_foreign, left_to, refuse_foreign};

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nicdock_netlink::name;

use super::devices::{called_now, device_of};
use super::turn::Turn;
use super::{Doing, PhaseError, cgroup};
use crate::lease::DeviceNode;
use crate::plan::{Plan, RdmaGrant};
use crate::request::RdmaLimits;
use crate::say::notice;
use nicdock_sys::closing::Closing;

/// The controller's only file that is written.
const FILE: &str = "rdma.max";

/// Limits the container whose first process is `init`, before its program runs: its own devices, of which it was `given` nodes, to what was asked for, every
/// other one of the host to nothing. So a descriptor of another container's NIC that comes in by a socket is of no use.
///
/// Nothing to do without the controller, unless limits were asked for. For devices that come later there is [`refuse_foreign`].
pub fn set(plan: &Plan, given: &[DeviceNode], init: u32) -> Result<(), PhaseError> {
    let limits = plan.container.rdma_limits;
    if limits.is_none() && !cgroup::has_controller("rdma") {
        return Ok(());
    }
    let folder = if cgroup::is_unified() {
        cgroup::hand_down("rdma", &plan.name).map_err(PhaseError::without_rdma_controller)?
    } else {
        version_1(&plan.name, init)?
    };
    let own = names(&called_now()?, plan.grants.iter().flat_map(|grant| &grant.rdma), given);
    for name in devices()? {
        if !own.contains(&name) {
            if Closing::RdmaCgroup.is_left_open() {
                continue;
            }
            // Whoever makes a device names it, and must not keep others from starting containers by that.
            if !can_be_limited(&name) && !Closing::Names.is_left_open() {
                notice(format_args!(
                    "warning: the rdma cgroup cannot limit a device with blanks in its name: {name}"
                ));
                continue;
            }
            write(&folder, &line(&name, nothing()))?;
        } else if !limits.is_none() {
            write(&folder, &line(&name, limits))?;
        }
    }
    Ok(())
}

/// What a container's own devices are called now (`called`, by [`called_now`]), by the nodes that it was given; one without a node by the name that it had.
fn names<'a>(
    called: &BTreeMap<u64, String>,
    devices: impl Iterator<Item = &'a RdmaGrant>,
    given: &[DeviceNode],
) -> BTreeSet<String> {
    if Closing::RenamedDevices.is_left_open() {
        return devices.map(|rdma| rdma.device.name.clone()).collect();
    }
    let mut names: BTreeSet<String> =
        given.iter().filter_map(|node| called.get(&node.identity)).cloned().collect();
    let nodeless = devices.filter(|rdma| given.iter().all(|node| node.device != rdma.device.name));
    names.extend(nodeless.map(|rdma| rdma.device.name.clone()));
    names
}

/// A line begins with the device's name, which ends at the first blank (`rdmacg_resource_set_max()`), while `nldev_newlink()` takes any
/// name.
fn can_be_limited(device: &str) -> bool {
    // 0xa0 is a blank for the kernel (lib/ctype.c).
    let is_part = |byte: &u8| byte.is_ascii_graphic() || !byte.is_ascii() && *byte != 0xa0;
    !device.is_empty() && name::bytes(device).iter().all(is_part)
}

fn nothing() -> RdmaLimits {
    RdmaLimits { handles: Some(0), objects: Some(0) }
}

/// Held while a group gets limits that nobody waits for, and while one is removed: see [`lift`].
pub fn turn() -> Result<Turn, PhaseError> {
    Turn::wait("limits.lock")
}

/// What a container of nicdock's own may have of a device, if that is not everything: its group, and the line there.
///
/// Others' groups are left as they are: see [`lift`] for what limits do in a group that its engine removes.
pub fn limited(name: &str, device: &str) -> Option<(PathBuf, String)> {
    let folder = cgroup::folder("rdma", name);
    let text = content(folder.join(FILE)).ok()?;
    let is_limited = |(of, found): (&str, &str)| of == device && found != line(device, RdmaLimits::default());
    // As `set` and `refuse_foreign` have written it; what is read may be another device's name.
    lines(&text).any(is_limited).then(|| (folder, line(device, nothing())))
}

/// Each line that is one device's, by its name: some names look like lines themselves.
/// A file of limits, with names as the texts that stand for them.
fn content(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(bytes.split(|byte| *byte == b'\n').map(name::text).collect::<Vec<_>>().join("\n"))
}

fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_one = |found: &&str| found.split_whitespace().count() == 3;
    text.lines().map(str::trim).filter(is_one).filter_map(|found| Some((found.split_once(' ')?.0, found)))
}

/// Takes the limits of one device off.
pub fn free(folder: &Path, device: &str) -> Result<(), PhaseError> {
    write(folder, &line(device, RdmaLimits::default()))
}

/// Makes them as `before` says. A group, or a device, that has gone has taken them along.
pub fn put_back(folder: &Path, before: &str) -> Result<(), PhaseError> {
    let path = folder.join(FILE);
    match fs::write(&path, name::bytes(before)) {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => {
            Err(PhaseError::new(format!("writing '{before}' to {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Takes the limits of a cgroup off again, before it is removed.
///
/// A group that goes with limits leaves them in the device's list after it was freed (`rdmacg_css_offline()` does not free
/// them, kernel/cgroup/rdma.c), and the kernel crashes when the device goes: seen on Linux 6.1.
pub fn lift(folder: &Path) -> io::Result<()> {
    let path = folder.join(FILE);
    let lines = match content(&path) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for (device, _) in self::lines(&lines) {
        match fs::write(&path, name::bytes(&line(device, RdmaLimits::default()))) {
            // It has gone meanwhile, and its limits with it; or it is a part of another's name.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EINVAL)) => {}
            result => result?,
        }
    }
    Ok(())
}

/// Every RDMA device of the host. In exclusive mode the class `infiniband` has those of the caller's network namespace only,
/// while `infiniband_verbs` has them all, also those that have moved into containers.
fn devices() -> Result<BTreeSet<String>, PhaseError> {
    let here = listing("/sys/class/infiniband")?;
    let verbs = listing("/sys/class/infiniband_verbs")?;
    let everywhere = verbs.iter().filter_map(|node| device_of("infiniband_verbs", node));
    Ok(everywhere.chain(here).collect())
}

fn listing(folder: &str) -> Result<Vec<String>, PhaseError> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            Ok(entries.filter_map(Result::ok).map(|entry| name::text(entry.file_name().as_bytes())).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(PhaseError::new(format!("listing {folder}"), error)),
    }
}

fn write(folder: &Path, line: &str) -> Result<(), PhaseError> {
    let path = folder.join(FILE);
    let what = || format!("writing '{line}' to {}", path.display());
    fs::write(&path, name::bytes(line)).doing(what).map_err(PhaseError::without_rdma_controller)?;
    let set = content(&path).doing(|| format!("reading {}", path.display()))?;
    if set.lines().any(|found| found.trim() == line) {
        return Ok(());
    }
    Err(PhaseError::new(what(), io::Error::other(format!("the kernel made of it: {set}"))))
}

/// `usnic_0 hca_handle=2 hca_object=max`, as the kernel prints it.
fn line(device: &str, limits: RdmaLimits) -> String {
    let text = |limit: Option<u32>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
    format!("{device} hca_handle={} hca_object={}", text(limits.handles), text(limits.objects))
}

/// On version 1: while this is held, this process is in the container's group, and so is what it makes. libcontainer puts no
/// process into this hierarchy, and a process that joins after its cgroup namespace was made sees the group's path on the host.
pub struct Inside {
    home: PathBuf,
}

impl Inside {
    /// `None` where there is nothing to join.
    pub fn enter(name: &str) -> Result<Option<Self>, PhaseError> {
        let root = Path::new("/sys/fs/cgroup/rdma");
        if cgroup::is_unified() || !root.is_dir() {
            return Ok(None);
        }
        let lines = fs::read_to_string("/proc/self/cgroup").doing(|| "reading /proc/self/cgroup".into())?;
        let own = lines.lines().find_map(|line| line.split_once(":rdma:")).map_or("/", |(_, path)| path);
        let this = Self { home: root.join(own.trim_start_matches('/')) };
        let folder = cgroup::below(root, name);
        fs::create_dir_all(&folder).doing(|| format!("making {}", folder.display()))?;
        join(&folder, std::process::id())?;
        Ok(Some(this))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Err(error) = join(&self.home, std::process::id()) {
            crate::say::notice(error);
        }
    }
}

fn join(folder: &Path, pid: u32) -> Result<(), PhaseError> {
    let procs = folder.join("cgroup.procs");
    fs::write(&procs, pid.to_string()).doing(|| format!("writing {pid} to {}", procs.display()))
}

/// libcontainer puts no process into this hierarchy.
fn version_1(name: &str, init: u32) -> Result<PathBuf, PhaseError> {
    let folder = cgroup::folder("rdma", name);
    fs::create_dir_all(&folder)
        .doing(|| format!("making {}", folder.display()))
        .map_err(PhaseError::without_rdma_controller)?;
    join(&folder, init)?;
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
    fn a_name_with_blanks_is_no_other_devices_line() {
        let text = "rxe1 x hca_handle=max hca_object=max\nrxe1 hca_handle=0 hca_object=0 \n";
        let found: Vec<_> = lines(text).collect();
        assert_eq!(found, [("rxe1", "rxe1 hca_handle=0 hca_object=0")]);
        assert!(
            can_be_limited("mlx5_0")
                && !can_be_limited("rxe1 x")
                && !can_be_limited("a\\x0ab")
                && can_be_limited("a\\xe4b")
        );
    }

    #[test]
    fn what_is_not_limited_is_max() {
        let limits = RdmaLimits { handles: Some(2), objects: None };
        assert_eq!(line("usnic_0", limits), "usnic_0 hca_handle=2 hca_object=max");
    }
}
