//! Numbers of devices: nodes that a container makes, keeps or is shown, and devices that come, go and change their names.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use libtest_mimic::Failed;

use super::{Attempt, all_is_free, python, say_each, try_each};
use crate::nicdock::{command, eventually, expect, fail, succeed};
use crate::numbers::{is_allowed, limit, rdma};
use crate::shell::Shell;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("no_node_that_a_container_makes_or_is_shown_opens_what_is_not_its_own", made, Lab::is_first),
    ("devices_that_come_go_and_change_their_names_are_told_apart", changed, Lab::is_first),
];

/// What a program says of opening this: `open`, or the error's number.
fn tries(path: &str) -> String {
    format!("\"$SUITE\" --probe open {path}")
}

fn container(name: &str, more: &[&str]) -> Result<Shell, Failed> {
    let suite = format!("SUITE={}", std::env::current_exe()?.display());
    let options = ["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--name", name, "-e", &suite];
    Shell::start(command(&[&options[..], more, &["--", "sh"]].concat()), Vec::new())
}

/// Another NIC's node is 231:192. `EPERM` is 1, `EIO` 5, `EACCES` 13, `ENODEV` 19.
fn made(_: &Lab) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path().display();
    crate::host::shell(&format!(
        "mknod -m 666 {at}/node c 231 192; mkdir {at}/dev; mount --bind /dev {at}/dev"
    ))?;
    let volume = format!("{at}:/shown");
    let result = made_in(&volume);
    crate::host::shell(&format!("umount {at}/dev"))?;
    result
}

fn made_in(volume: &str) -> Result<(), Failed> {
    let mut shell = container("maker", &["-v", volume, "--cap-add", "MKNOD", "--weaken"])?;
    let wide = python(
        "import ctypes; ctypes.CDLL(None).syscall(133, b\"/dev/wide\", 0o20666, ctypes.c_ulong(1 << 40 | 231 << 8 | 192))",
    );
    let scripts = [
        ("a number with high bits set", format!("{wide} 2>/dev/null; {}", tries("/dev/wide")), "1"),
        (
            "a terminal's number outside of devpts",
            format!("mknod /dev/away c 136 0; {}", tries("/dev/away")),
            "5",
        ),
        (
            "the multiplexer's number where no devpts is",
            format!("mkdir /dev/none; mknod /dev/none/ptmx c 5 2; {}", tries("/dev/none/ptmx")),
            "2",
        ),
        (
            "a disk of the number",
            "mknod /dev/disk b 231 192 2>&1 | grep -o \"not permitted\"".to_owned(),
            "not permitted",
        ),
        (
            "a node under two names, exchanged while it is opened",
            format!(
                "mknod /dev/other c 231 192; cp -a /dev/null /dev/mine; \
                 (for i in $(seq 40); do mv /dev/other /dev/x; mv /dev/mine /dev/other; mv /dev/x /dev/mine; done) & \
                 for i in 1 2 3 4 5 6 7 8; do {}; done | grep -v -e ^1$ -e ^2$ -e ^open$; wait; \
                 {{ {}; {}; }} | sort | tr \"\\n\" \" \"",
                tries("/dev/other"),
                tries("/dev/other"),
                tries("/dev/mine")
            ),
            "1 open",
        ),
        ("a node in a volume, made by the host", tries("/shown/node"), "13"),
        ("the host's /dev, mounted in a volume", "ls /shown/dev".to_owned(), ""),
    ];
    let table: Vec<_> = scripts.iter().map(|(name, script, says)| (*name, &**script, *says)).collect();
    say_each(&mut shell, &table)?;
    drop(shell);
    all_is_free()
}

fn changed(lab: &Lab) -> Result<(), Failed> {
    let attempts: &[Attempt<&Lab>] = &[
        ("nodes made before their device is plugged in", |lab| plugged(lab)),
        ("a copy of a node kept until its NIC is another container's", |_| kept()),
        ("a device takes the name that a container's own had", |lab| renamed(lab)),
        ("a folder of sysfs gets the inode number of one that went", |_| identities()),
    ];
    try_each(&mut &*lab, attempts)
}

/// Of numbers that no device has had yet.
fn plugged(lab: &Lab) -> Result<(), Failed> {
    let mut shell = container("early", &["--cap-add", "MKNOD", "--weaken"])?;
    shell.ask("for n in 194 195 196; do mknod -m 666 /dev/early$n c 231 $n; done")?;
    rdma("add rxe2 type rxe netdev eth2")?;
    let result = (|| {
        let number = std::fs::read_to_string("/sys/class/infiniband_verbs/uverbs2/dev")?;
        expect(number.trim() == "231:194", format!("the next number is {number}"))?;
        let said = shell.ask(&tries("/dev/early194"))?;
        expect(said.trim() == "1", format!("opening it says {said}"))?;
        eventually("its second layer", || limit_of(lab, "early", "rxe2") == NOTHING)
    })();
    rdma("delete rxe2")?;
    result?;
    // It goes on with its own.
    shell.ask("exec 9<>/dev/infiniband/uverbs1 && exec 9>&-").map(drop)
}

const NOTHING: &str = "hca_handle=0 hca_object=0";

/// What a container may have of a device.
fn limit_of(lab: &Lab, container: &str, device: &str) -> String {
    if container == "first" {
        return limit(lab, device);
    }
    let text = std::fs::read_to_string(format!("/sys/fs/cgroup/nicdock/container-{container}/rdma.max"));
    let text = text.unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(' '));
    lines.find(|(name, _)| *name == device).map_or_else(String::new, |(_, limit)| limit.to_owned())
}

/// A hard link, and a node of the same number that the container has made: detach finds neither, and need not.
fn kept() -> Result<(), Failed> {
    let options =
        ["run", "--host-root", "--nic", "eth3", "--name", "keeper", "--cap-add", "MKNOD", "--weaken"];
    let mut shell = Shell::start(command(&[&options[..], &["--", "sh"]].concat()), Vec::new())?;
    succeed(&["attach", "--container", "keeper", "--nic", "rxe1", "--netdev", "keep"])?;
    shell.ask("cd /dev/infiniband; ln uverbs1 linked; mknod -m 666 /dev/copied c 231 193; exec 8</dev/infiniband; exec 9<>/dev/copied; exec 9>&-")?;
    succeed(&["detach", "rxe1"])?;
    let second = container("second", &[])?;
    for path in ["/dev/copied", "/proc/self/fd/8/uverbs1", "/proc/self/fd/8/linked"] {
        let said = shell.ask(&format!("(exec 9<>{path}) 2>&1 && echo is open; true"))?;
        expect(!said.contains("is open"), format!("{path}: {said}"))?;
    }
    drop(second);
    drop(shell);
    all_is_free()
}

/// By another tenant, who may make and name devices: the container has the device, not the name.
fn renamed(lab: &Lab) -> Result<(), Failed> {
    let mut shell = container("first", &["--cap-add", "MKNOD", "--weaken"])?;
    let result = with_another_name(|| {
        rdma("add rxe1 type rxe netdev eth2")?;
        let result = (|| {
            shell.ask("mknod -m 666 /dev/newcomer c 231 194")?;
            let said = shell.ask(&tries("/dev/newcomer"))?;
            expect(said.trim() == "1", format!("opening the newcomer says {said}"))?;
            expect(!is_allowed(lab, "nicdock/container-first", "uverbs2")?, "a rule allows the newcomer")?;
            fail(125, &["run", "--nic", "rxe8", "--netdev", "keep", "--host-root", "--", "true"])?;
            Ok(())
        })();
        rdma("delete rxe1")?;
        result
    });
    drop(shell);
    result?;
    all_is_free()
}

/// While rxe1 is called rxe8.
pub fn with_another_name(work: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let name = |from: &str, to: &str| {
        let status = Command::new("rdma").args(["dev", "set", from, "name", to]).status();
        expect(status.is_ok_and(|status| status.success()), format!("{from} cannot be called {to}"))
    };
    name("rxe1", "rxe8")?;
    let result = work();
    name("rxe8", "rxe1")?;
    result
}

/// What a device is told by (`ino` of its folder in sysfs) must not come twice (fs/kernfs/dir.c counts a generation, too).
fn identities() -> Result<(), Failed> {
    let mut seen = BTreeSet::new();
    for round in 0..12 {
        rdma("add rxe2 type rxe netdev eth2")?;
        let inode = std::fs::metadata("/sys/class/infiniband_verbs/uverbs2").map(|folder| folder.ino());
        rdma("delete rxe2")?;
        expect(seen.insert(inode?), format!("the number comes again in round {round}: {seen:?}"))?;
    }
    Ok(())
}
