//! Names that others have given: to control groups and RDMA devices.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::lxc::Container;
use crate::nicdock::{command, expect, succeed};
use crate::shell::Shell;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("what_another_tenant_calls_its_control_groups_is_nothing_to_nicdock", groups, Lab::is_first),
    (
        "a_control_group_of_nicdocks_name_that_nicdock_did_not_make_is_refused_and_stays",
        not_ours,
        Lab::is_first,
    ),
    ("an_rdma_device_with_blanks_in_its_name_keeps_nobody_from_starting", devices, Lab::is_oldest_or_newest),
];

const LEASES: &str = "/run/nicdock/leases";

/// As the root of its container, in its own control group: on the host that is /sys/fs/cgroup/lxc.payload.tenant.
const MAKE: &str = "cd /sys/fs/cgroup && mkdir -p nicdock/container-.. nicdock/container-victim && \
    { setsid sleep 90080 >/dev/null 2>&1 & } && echo $! >nicdock/container-victim/cgroup.procs";

const END: &str = "pkill -xf 'sleep 90080'; true";

fn with(left_open: &str, args: &[&str]) -> Result<Output, Failed> {
    Ok(command(args).env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).output()?)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// What the tenant comes to: it is named as a holder, nicdock's state is deleted, a NIC goes to two containers, a name cannot be used.
fn reached(tenant: &Container, left_open: &str) -> Result<[bool; 4], Failed> {
    tenant.inside(MAKE)?;
    let mut first =
        command(&["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--name", "first", "--", "sh"]);
    first.env("NICDOCK_LEAVE_OPEN", left_open);
    let first = Shell::start(first, Vec::new())?;
    let count = || fs::read_dir(LEASES).map_or(0, |listed| listed.flatten().filter(is_lease).count());
    // As an update of nicdock's, or a full /run, leaves one.
    fs::write(format!("{LEASES}/0000:7f:00.0.json"), "{")?;
    let is_named = said(&with(left_open, &["reconcile"])?).contains("container victim runs");
    tenant.inside(END)?;
    with(left_open, &["reconcile"])?;
    let is_deleted = count() == 0;
    let second = ["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--take-in-use", "--", "true"];
    let second = with(left_open, &second)?.status.success();
    drop(first);
    let _ = fs::remove_dir_all("/run/nicdock/broken");
    tenant.inside(MAKE)?;
    let is_blocked =
        !with(left_open, &["run", "--host-root", "--nic", "eth3", "--name", "victim", "--", "true"])?
            .status
            .success();
    tenant.inside(END)?;
    Ok([is_named, is_deleted, second, is_blocked])
}

fn is_lease(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|extension| extension == "json")
}

fn groups(_: &Lab) -> Result<(), Failed> {
    let tenant = Container::new("tenant", "")?;
    tenant.start()?;
    let got = reached(&tenant, "names")?;
    // What the deleted state knew nothing of any more.
    succeed(&["run", "--host-root", "--nic", "eth3", "--name", "first", "--", "true"])?;
    fs::set_permissions("/dev/infiniband/uverbs1", std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    expect(
        got == [true; 4],
        format!("named, deleted, given twice, blocked although nothing is checked: {got:?}"),
    )?;
    let got = reached(&tenant, "")?;
    expect(got == [false; 4], format!("named, deleted, given twice, blocked: {got:?}"))?;
    // What is the tenant's stays.
    tenant
        .inside("ls -d /sys/fs/cgroup/nicdock/container-.. /sys/fs/cgroup/nicdock/container-victim")
        .map(drop)
}

fn not_ours(_: &Lab) -> Result<(), Failed> {
    let group = "/sys/fs/cgroup/nicdock/container-byhand";
    fs::create_dir_all(group)?;
    let mut process = Command::new("sleep").arg("90081").spawn()?;
    fs::write(format!("{group}/cgroup.procs"), process.id().to_string())?;
    fs::create_dir_all(LEASES)?;
    fs::write(format!("{LEASES}/0000:7f:00.0.json"), "{")?;
    let repaired = succeed(&["reconcile"]);
    let refused = with("", &["run", "--host-root", "--nic", "eth3", "--name", "byhand", "--", "true"])?;
    let lives = process.try_wait()?.is_none();
    process.kill()?;
    process.wait()?;
    let text = said(&refused);
    let told = refused.status.code() == Some(125) && text.contains(group);
    expect(lives && told && Path::new(group).exists(), text)?;
    repaired?;
    fs::remove_dir_all("/run/nicdock/broken")?;
    // One that is empty is in nobody's way.
    succeed(&["run", "--host-root", "--nic", "eth3", "--name", "byhand", "--", "true"])?;
    expect(!Path::new(group).exists(), "the container's group is still there")?;
    // nicdock's own folder is root's alone.
    let folder = "/sys/fs/cgroup/nicdock";
    std::os::unix::fs::chown(folder, Some(1000), Some(1000))?;
    let refused = with("", &["run", "--host-root", "--nic", "eth3", "--", "true"]);
    std::os::unix::fs::chown(folder, Some(0), Some(0))?;
    let refused = refused?;
    expect(refused.status.code() == Some(125) && said(&refused).contains("user 1000"), said(&refused))?;
    // With nothing checked, what is in the group is ended with the container.
    fs::create_dir_all(group)?;
    let mut process = Command::new("sleep").arg("90081").spawn()?;
    fs::write(format!("{group}/cgroup.procs"), process.id().to_string())?;
    with("names", &["run", "--host-root", "--nic", "eth3", "--name", "byhand", "--", "true"])?;
    let lives = process.try_wait()?.is_none();
    process.kill()?;
    process.wait()?;
    succeed(&["reconcile"])?;
    expect(!lives, "the attack failed although nothing is checked")
}

/// A tenant makes a device; its name is written to the terminal of whoever starts a container, too.
fn devices(_: &Lab) -> Result<(), Failed> {
    let name = "rxe9 \u{1b}[31m";
    let add = ["link", "add", name, "type", "rxe", "netdev", "eth3"];
    let output = Command::new("rdma").args(add).output()?;
    expect(output.status.success(), format!("{output:?}"))?;
    let start = ["run", "--host-root", "--nic", "eth2", "--", "true"];
    let outputs = [with("names", &start), with("", &start)];
    let output = Command::new("rdma").args(["link", "delete", name]).output()?;
    expect(output.status.success(), format!("{output:?}"))?;
    let [open, closed] = outputs;
    let (open, closed) = (open?, closed?);
    expect(
        open.status.code() == Some(125),
        format!("the attack failed although nothing is checked: {open:?}"),
    )?;
    let text = said(&closed);
    let told = text.contains("cannot limit a device with blanks in its name: rxe9 \\x1b[31m");
    expect(closed.status.success() && told, format!("{}: {text}", closed.status))
}
