//! NICs that are given to a container that runs and taken back, while that works against it.

use std::fs;
use std::process::{Output, Stdio};

use libtest_mimic::Failed;

use super::{Attempt, all_is_free, try_each};
use crate::lifecycle::kill;
use crate::nicdock::{command, eventually, expect, nicdock, sleeping, succeed};
use crate::shell::{Shell, accepting, unshared};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_container_that_works_against_attach_and_detach_keeps_nothing", own, Lab::is_first),
    ("a_control_group_that_goes_while_a_nic_is_attached_keeps_nothing", regrouped, Lab::is_first),
];

const ATTACH: [&str; 7] = ["attach", "--container", "hot", "--nic", "rxe1", "--netdev", "keep"];
/// On the host; containers have a /tmp of their own.
const AWAY: &str = "/tmp/attempts-away";

fn own(_: &Lab) -> Result<(), Failed> {
    let options = ["run", "--host-root", "--nic", "eth3", "--name", "hot", "--cap-add", "SYS_ADMIN"];
    let more = ["--cap-add", "NET_ADMIN", "--weaken", "--", "sh"];
    let mut shell = Shell::start(command(&[&options[..], &more].concat()), Vec::new())?;
    let attempts: &[Attempt<Shell>] = &[
        ("a link where the folder of the nodes belongs", linked),
        ("a pipe where the folder of the nodes belongs", piped),
        ("the folder of the nodes is exchanged all the time", exchanged),
        ("a program is in the folders that are taken away", busy),
        ("a program has mounted over what was shown", covered),
        ("a NIC is detached by two commands at once", twice),
        ("a NIC is attached by two commands at once", attached_twice),
        ("the container has as many processes as it may", crowded),
        ("every process of the container stands still", stopped),
        ("a process that has ended is named", ended),
        ("the netdev has another name, and another one its name", renamed),
    ];
    try_each(&mut shell, attempts)?;
    drop(shell);
    all_is_free()
}

/// It has the NIC, or is refused, and nothing of it is left then. Gives whether it has it.
fn attaches() -> Result<bool, Failed> {
    let output = nicdock(&ATTACH);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let known = matches!(output.status.code(), Some(0 | 3..=12 | 125));
    expect(known, format!("attach: {}: {text}", output.status))?;
    let leases = succeed(&["leases"])?;
    expect(leases.contains("rxe1") == output.status.success(), format!("{leases}{text}"))?;
    println!("attach: {} {}", output.status, text.trim());
    Ok(output.status.success())
}

/// The NIC is taken back, and nothing of it is left.
fn comes_back(shell: &mut Shell) -> Result<(), Failed> {
    succeed(&["detach", "rxe1"])?;
    has_nothing(shell)
}

fn has_nothing(shell: &mut Shell) -> Result<(), Failed> {
    let leases = succeed(&["leases"])?;
    expect(!leases.contains("rxe1"), leases)?;
    let said = shell.ask("find /dev -name '*uverbs*'; ls /sys/class/infiniband 2>/dev/null; true")?;
    expect(said.is_empty(), said)
}

/// In the container it leads to one folder, and on the host, by the same name, to another.
fn linked(shell: &mut Shell) -> Result<(), Failed> {
    fs::create_dir_all(AWAY)?;
    shell.ask(&format!("rm -rf /dev/infiniband; mkdir -p {AWAY}; ln -s {AWAY} /dev/infiniband"))?;
    let has = attaches()?;
    expect(fs::read_dir(AWAY)?.next().is_none(), "something was made on the host")?;
    fs::remove_dir(AWAY)?;
    if has {
        succeed(&["detach", "rxe1"])?;
    }
    shell.ask("rm -rf /dev/infiniband")?;
    has_nothing(shell)
}

fn piped(shell: &mut Shell) -> Result<(), Failed> {
    shell.ask("mkfifo /dev/infiniband")?;
    if attaches()? {
        succeed(&["detach", "rxe1"])?;
    }
    shell.ask("rm -rf /dev/infiniband")?;
    has_nothing(shell)
}

fn exchanged(shell: &mut Shell) -> Result<(), Failed> {
    // It is not killed: what it has just started would go on without it.
    let script = "(until test -e /tmp/enough; do rm -rf /dev/infiniband; ln -s /etc /dev/infiniband; rm -f /dev/infiniband; mkdir /dev/infiniband; done) >/dev/null 2>&1 & true";
    shell.ask(script)?;
    for _ in 0..2 {
        if attaches()? {
            succeed(&["detach", "rxe1"])?;
        }
    }
    shell.ask("touch /tmp/enough; wait; rm -rf /tmp/enough /dev/infiniband; true")?;
    expect(!std::path::Path::new("/etc/uverbs1").exists(), "a node was made elsewhere")?;
    has_nothing(shell)
}

fn busy(shell: &mut Shell) -> Result<(), Failed> {
    expect(attaches()?, "it is refused")?;
    shell.ask("cd /dev/infiniband; exec 7</sys/class/infiniband 8</dev/infiniband")?;
    succeed(&["detach", "rxe1"])?;
    let said = shell.ask(
        "for f in uverbs1 /proc/self/fd/8/uverbs1; do (exec 9<>$f) 2>/dev/null && echo $f is open; done; cd /; exec 7<&- 8<&-",
    )?;
    expect(said.is_empty(), said)?;
    has_nothing(shell)
}

/// What is below its own mounts stays there, and opens nothing (docs/security/threat-model.md) when it takes those away.
fn covered(shell: &mut Shell) -> Result<(), Failed> {
    expect(attaches()?, "it is refused")?;
    shell.ask("mount -t tmpfs none /dev/infiniband; mount -t tmpfs none /dev/infiniband")?;
    let detached = succeed(&["detach", "rxe1"]);
    let said = shell.ask(
        "for i in 1 2 3; do test -c /dev/infiniband/uverbs1 && (exec 9<>/dev/infiniband/uverbs1) 2>/dev/null && echo is open; umount /dev/infiniband 2>/dev/null; done; true",
    )?;
    detached?;
    expect(said.is_empty(), said)?;
    has_nothing(shell)?;
    // And it can be given again.
    expect(attaches()?, "it is refused the second time")?;
    comes_back(shell)
}

fn both(args: [&[&str]; 2]) -> Result<[Output; 2], Failed> {
    let start = |args: &[&str]| {
        command(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let (one, other) = (start(args[0])?, start(args[1])?);
    Ok([one.wait_with_output()?, other.wait_with_output()?])
}

fn twice(shell: &mut Shell) -> Result<(), Failed> {
    expect(attaches()?, "it is refused")?;
    let outputs = both([&["detach", "rxe1"], &["detach", "hot"]])?;
    let took = |output: &&Output| String::from_utf8_lossy(&output.stdout).contains("took rxe1");
    expect(outputs.iter().filter(took).count() == 1, format!("{outputs:?}"))?;
    has_nothing(shell)
}

fn attached_twice(shell: &mut Shell) -> Result<(), Failed> {
    let outputs = both([&ATTACH, &ATTACH])?;
    let given = outputs.iter().filter(|output| output.status.success()).count();
    expect(given == 1, format!("{outputs:?}"))?;
    comes_back(shell)
}

/// nicdock's own processes come into its control group for a moment.
fn crowded(shell: &mut Shell) -> Result<(), Failed> {
    let file = |name: &str| format!("/sys/fs/cgroup/nicdock/container-hot/pids.{name}");
    let before = fs::read_to_string(file("max"))?;
    fs::write(file("max"), fs::read_to_string(file("current"))?.trim())?;
    let result = attaches().and_then(|has| if has { succeed(&["detach", "rxe1"]).map(drop) } else { Ok(()) });
    fs::write(file("max"), before.trim())?;
    result?;
    has_nothing(shell)
}

fn stopped(shell: &mut Shell) -> Result<(), Failed> {
    let pid = shell.pid()?.parse()?;
    kill(pid, "STOP")?;
    let result = attaches();
    let detached = nicdock(&["detach", "rxe1"]);
    kill(pid, "CONT")?;
    expect(result? == detached.status.success(), format!("{detached:?}"))?;
    has_nothing(shell)
}

fn ended(shell: &mut Shell) -> Result<(), Failed> {
    shell.ask("sh -c 'true & exec sleep 8331' >/dev/null & :")?;
    eventually("the parent runs", || sleeping("8331").is_some())?;
    let parent = sleeping("8331").ok_or("no parent")?;
    let children = format!("/proc/{parent}/task/{parent}/children");
    let over = || {
        let pid = fs::read_to_string(&children).ok()?.trim().to_owned();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.contains(") Z ").then_some(pid)
    };
    eventually("a process has ended", || over().is_some())?;
    let pid = over().ok_or("it is waited for")?;
    let output = nicdock(&["attach", "--pid", &pid, "--nic", "rxe1", "--netdev", "keep"]);
    kill(parent, "KILL")?;
    expect(output.status.code() == Some(3), format!("{output:?}"))?;
    has_nothing(shell)
}

/// It is told by its place on the bus, whatever it is called.
fn renamed(shell: &mut Shell) -> Result<(), Failed> {
    succeed(&["attach", "--container", "hot", "--nic", "eth2"])?;
    shell.ask(
        "ip link set eth2 down; ip link set eth2 name hidden; ip link add eth2 type dummy; ip link set eth2 address 52:54:00:4e:49:03",
    )?;
    succeed(&["detach", "eth2"])?;
    let links = shell.ask("ls /sys/class/net; ip link delete eth2")?;
    expect(!links.contains("hidden"), links)?;
    let driver = fs::read_link("/sys/class/net/eth2/device/driver")?;
    expect(driver.ends_with("e1000e"), format!("eth2 is {}", driver.display()))
}

/// An engine moves its container elsewhere, and removes the group in which rules were allowed: nothing holds up what takes them back.
fn regrouped(lab: &Lab) -> Result<(), Failed> {
    let mut shell = unshared(lab)?;
    let pid = shell.pid()?;
    let attach = ["attach", "--pid", &pid, "--name", "moved", "--nic", "rxe1", "--netdev", "keep"];
    succeed(&[&attach[..], accepting(lab)].concat())?;
    let (old, new) = ("/sys/fs/cgroup/plain", "/sys/fs/cgroup/plain-other");
    fs::create_dir_all(new)?;
    for pid in fs::read_to_string(format!("{old}/cgroup.procs"))?.lines() {
        fs::write(format!("{new}/cgroup.procs"), pid)?;
    }
    fs::remove_dir(old)?;
    let detached = succeed(&["detach", "moved"]);
    let runs = shell.ask("true");
    drop(shell);
    eventually("the other group is empty", || fs::remove_dir(new).is_ok())?;
    detached.map_err(|error| super::named("a control group is removed before the way back", &error))?;
    runs?;
    all_is_free()
}
