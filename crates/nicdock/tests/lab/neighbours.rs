//! Attacks on `nicdock run`, tried again where a container comes to its NIC in another way: joined, attached, of LXC, of libvirt.
//!
//! Each attack is written once, over [`Entry`]; docs/security/attacks.md has it in the row of the attack that it is a neighbour of.

pub mod attach;
pub mod join;
pub mod libvirt;
pub mod lxc;
pub mod users;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::Lab;
use crate::attempts::{Attempt, all_is_free};
use crate::descriptors::{AGAIN, lease};
use crate::engine::{open, report};
use crate::holders::{self, Holder, reaches_it};
use crate::nicdock::{command, eventually, expect, fail, nicdock, succeed};
use crate::numbers::{has_first_number, rdma};
use crate::shell::Shell;

/// Where holders listen, by the same name on the host and in every container: all of them are over the host's root.
const FOLDER: &str = "/var/lib/nicdock-passing";

const ETH3: [&str; 2] = ["--nic", "eth3"];

/// All closings that [`in_one_life`] shows to be needed. The device cgroup and the rdma cgroup each close the next device.
const CLOSINGS: &str = "modes,thread-tables,device-numbers,rdma-cgroup";

/// A way to a container with a NIC.
trait Entry {
    /// Starts a container that is given a NIC. A shell executes `setting` before nicdock, or the engine that calls it, then and at the end.
    fn begin(&mut self, nic: &[&str], setting: &str) -> Result<(), Failed>;

    /// A process of the container, as the host numbers it.
    fn pid(&mut self) -> Result<String, Failed>;

    /// A script in the container, which must succeed.
    fn inside(&mut self, script: &str) -> Result<String, Failed>;

    /// Ends the container, and calls nicdock where nobody else does.
    fn end(&mut self) -> Result<(), Failed>;

    /// The same where nicdock waits for the container and is killed before.
    fn end_killed(&mut self) -> Result<(), Failed> {
        self.end()
    }
}

/// What a shell is told so that nicdock leaves these closings out.
fn leaving(left_open: &str) -> String {
    format!("export NICDOCK_LEAVE_OPEN={left_open}")
}

/// A command that a shell executes with a setting.
fn with(setting: &str, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{setting}\nexec \"$@\""), "sh"]).args(words).stdin(Stdio::null());
    command
}

/// Passes its node's descriptor, or a socket, to who listens.
fn pass(entry: &mut dyn Entry, what: &str, holder: &mut Holder) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    entry.inside(&format!("{this} --probe pass {what} {FOLDER}/socket"))?;
    holder.does("receive", "has")
}

/// What an attacker has come to.
#[derive(Debug, PartialEq)]
struct Reached {
    /// Attack 14: whoever called nicdock, or the engine, has a umask of 0, and a user of the host writes to a lease.
    lease: bool,
    /// Attack 1: the device went, and another container's got its number.
    number: bool,
    /// Attack 7: who was passed the node has it in a table of a thread's own, and the next container has the NIC.
    descriptor: bool,
}

/// A start and an end cost seconds, so several attacks share them: without what closes all succeed, with it none.
fn in_one_life(entry: &mut dyn Entry) -> Result<(), Failed> {
    for left_open in [CLOSINGS, ""] {
        let reached = lives(entry, left_open)?;
        let goal = !left_open.is_empty();
        let wanted = Reached { lease: goal, number: goal, descriptor: goal };
        expect(reached == wanted, format!("'{left_open}' left out: {reached:?}"))?;
    }
    succeed(&AGAIN).map(drop)
}

fn lives(entry: &mut dyn Entry, left_open: &str) -> Result<Reached, Failed> {
    let mut holder = Holder::start_in(FOLDER, "thread", "socket")?;
    let nics = ["--nic", "2xkind=soft-roce", "--netdev", "keep"];
    entry.begin(&nics, &format!("{}\numask 0", leaving(left_open)))?;
    let lease = is_written_to()?;
    pass(entry, "/dev/infiniband/uverbs1", &mut holder)?;
    let number = opens_the_next(entry, left_open);
    entry.end()?;
    rdma("delete rxe2")?;
    rdma("add rxe0 type rxe netdev eth0")?;
    let (number, descriptor) = (number?, is_unseen(&mut holder)?);
    drop(holder);
    eventually("nobody has it any more", || nicdock(&["reconcile"]).status.success())?;
    Ok(Reached { lease, number, descriptor })
}

/// A lease, by an ordinary user of the host.
fn is_written_to() -> Result<bool, Failed> {
    let script = "for lease in /run/nicdock/leases/*.json; do exec 3>>$lease; done";
    let mut user = Command::new("sh");
    Ok(user.args(["-c", script]).uid(1000).gid(1000).stderr(Stdio::null()).status()?.success())
}

/// Somebody else makes the next device, and nicdock gives it to another container.
fn opens_the_next(entry: &mut dyn Entry, left_open: &str) -> Result<bool, Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let script = format!("{this} --probe context /dev/infiniband/uverbs0");
    expect(entry.inside(&script)?.trim() == "context", "no context by its own device")?;
    rdma("delete rxe0")?;
    rdma("add rxe2 type rxe netdev eth2")?;
    has_first_number("rxe2")?;
    let other = ["run", "--nic", "rxe2", "--netdev", "keep", "--host-root", "--", "sh"];
    let mut command = command(&other);
    command.env("NICDOCK_LEAVE_OPEN", left_open);
    let other = Shell::start(command, Vec::new())?;
    let said = entry.inside(&script);
    drop(other);
    Ok(said?.trim() == "context")
}

/// Whether the next container has the NIC beside who was passed its node.
fn is_unseen(holder: &mut Holder) -> Result<bool, Failed> {
    let lease = lease()?;
    if lease.is_null() {
        return reaches_it(holder).map(|()| true);
    }
    expect(lease["draining"][0]["process"]["pid"] == holder.pid(), &lease)?;
    let said = fail(125, &AGAIN)?;
    expect(said.contains(&format!("process {} ", holder.pid())), said)?;
    Ok(false)
}

/// Attack 6: who was passed the node of a soft device that moves with its netdev has it open at the end, and the host's device is gone for good.
fn remade(entry: &mut dyn Entry, left_open: &[&str]) -> Result<(), Failed> {
    for left_open in left_open {
        let mut holder = Holder::start_in(FOLDER, "process", "socket")?;
        entry.begin(&["--nic", "rxe1"], &leaving(left_open))?;
        pass(entry, "node", &mut holder)?;
        entry.end()?;
        expect(!holders::rdma("link show rxe1/1"), "it is there although its old one is open")?;
        let lease = lease()?;
        if left_open.is_empty() {
            let is_named = lease.to_string().contains(&format!("process {} ", holder.pid()));
            expect(lease["state"] == "stuck" && is_named, &lease)?;
            fail(125, &["run", "--nic", "rxe1", "--host-root", "--", "true"])?;
            drop(holder);
            eventually("it is made again", || nicdock(&["reconcile"]).status.success())?;
        } else {
            expect(lease.is_null(), format!("the attack failed although nothing closes: {lease}"))?;
            drop(holder);
            succeed(&["reconcile"])?;
            expect(!holders::rdma("link show rxe1/1"), "it is there although nothing makes it")?;
            eventually("the old one has gone", || holders::rdma("link add rxe1 type rxe netdev eth1"))?;
        }
    }
    all_is_free()
}

/// Attack 8: an ordinary socket of the container's keeps its network namespace, and the NIC in it. Before, attacks 11 and 16.
fn in_another_life(entry: &mut dyn Entry) -> Result<(), Failed> {
    let mut holder = Holder::start_in(FOLDER, "process", "socket")?;
    entry.begin(&ETH3, "")?;
    let (mounted, console) = (is_found(entry), opens_console(entry));
    pass(entry, "socket", &mut holder)?;
    let begin = Instant::now();
    entry.end_killed()?;
    succeed(&["reconcile"])?;
    println!("taken back in {:.1?}", begin.elapsed());
    // The kernel alone would not give it back, and was waited for so long.
    expect(begin.elapsed() < Duration::from_secs(15), "it waited for the kernel")?;
    all_is_free()?;
    succeed(&["run", "--nic", "eth3", "--host-root", "--", "true"])?;
    mounted?;
    expect(!console?, "it opens the host's console")
}

/// Attack 11: somebody on the host mounts a sysfs in the container, and the audit does not see it.
fn is_found(entry: &mut dyn Entry) -> Result<(), Failed> {
    let pid = entry.pid()?;
    let found = || {
        let report = report(&["audit", "--pid", &pid, "--only", "mounted", "--json"])?;
        Ok::<_, Failed>(open(&report).join(", "))
    };
    let before = found()?;
    crate::host::shell(&format!("nsenter -t {pid} -m mount -t sysfs none /mnt"))?;
    let after = found()?;
    crate::host::shell(&format!("nsenter -t {pid} -m umount /mnt"))?;
    expect(before.is_empty() && after.contains("mounted.sysfs"), format!("before: {before}; after: {after}"))
}

/// Attack 16: a node of the host's console is made, where that is allowed, and opened.
fn opens_console(entry: &mut dyn Entry) -> Result<bool, Failed> {
    let this = std::env::current_exe()?.display().to_string();
    // Volumes and roots may be mounted nodev.
    let node = "/dev/neighbour";
    let script = format!("{this} --probe mknod {node} 5 1; {this} --probe open {node}; rm -f {node}");
    let said = entry.inside(&script)?;
    Ok(said.lines().last() == Some("open"))
}

/// Attack 18: the driver of the device of virtio in a NIC's function is unbound while a container has the NIC.
fn unbound(entry: &mut dyn Entry) -> Result<(), Failed> {
    let device = std::fs::canonicalize("/sys/class/net/eth3/device")?;
    let driver = std::fs::canonicalize(device.join("driver"))?;
    let name = device.file_name().ok_or("a device")?.to_string_lossy().into_owned();
    entry.begin(&ETH3, "")?;
    std::fs::write(driver.join("unbind"), &name)?;
    let ended = entry.end();
    let leases = succeed(&["leases"])?;
    std::fs::write(driver.join("bind"), &name)?;
    eventually("its netdev is there again", || std::path::Path::new("/sys/class/net/eth3").exists())?;
    crate::upsets::run("ip link set eth3 mtu 1400")?;
    crate::engine::restore_eth3();
    ended?;
    expect(leases == "No NIC is leased.\n", leases)
}

/// What is tried everywhere, and takes twenty seconds of an engine.
fn every<E: Entry>() -> Vec<Attempt<E>> {
    vec![
        ("a lease, a number that is used again, a descriptor in a thread's table", |entry| {
            in_one_life(entry)
        }),
        ("a socket, a mount from outside, a console", |entry| in_another_life(entry)),
        ("the driver of the device of virtio is unbound", |entry| unbound(entry)),
    ]
}

/// Where the netdev of a soft device moves.
fn moved<E: Entry>() -> Attempt<E> {
    ("the node of a soft device that moves is passed out", |entry| remade(entry, &["remade-device", ""]))
}

/// Where the device moves that alone; else all of them, or the first, which control groups decide about. A lab has no time for all of everything.
fn each<E: Entry>(lab: &Lab, all: bool) -> Vec<Attempt<E>> {
    if lab.moves_soft_roce() {
        return vec![moved()];
    }
    let mut attempts = every();
    attempts.truncate(if all { attempts.len() } else { 1 });
    attempts
}
