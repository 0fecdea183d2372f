//! A NIC is given to a container that runs, of nicdock and of others, and taken back from it while it runs on.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::engine::rxe1;
use crate::host::{settled, stays};
use crate::killed::{at, points, told, traced};
use crate::nicdock::{command, eventually, expect, fail, succeed};
use crate::probing::binary;
use crate::shell::{Shell, accepting, forget_bundle, of_runtime, unshared};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("attached_to_a_container_of_its_own_a_nic_works_and_detached_it_is_gone", own, every),
    ("attached_nics_go_back_when_the_container_ends", own_ends, every),
    ("attached_to_a_container_of_unshare_a_nic_works_and_detached_it_is_gone", plain, every),
    ("attached_to_a_container_of_crun_a_nic_works_and_detached_it_is_gone", crun, every),
    ("attached_to_a_container_of_runc_a_nic_works_and_detached_it_is_gone", runc, every),
    ("two_attached_nics_are_detached_in_either_order", two, every),
    ("an_attached_nic_comes_back_when_a_foreign_container_dies", dies, every),
    ("detaching_an_open_nic_is_refused_waited_for_or_forced", open, every),
    ("what_cannot_be_attached_is_refused_and_nothing_changes", refused, Lab::is_oldest_or_newest),
    ("a_container_that_stands_still_is_refused_and_nobody_waits_for_it", paused, Lab::is_first),
    ("killed_at_any_step_of_attach_and_detach_the_next_command_undoes_it", killed, Lab::is_newest),
    ("failing_at_any_step_of_attach_it_undoes_what_it_did", failing, Lab::is_first),
];

/// cgroups decide, and the kernel.
fn every(lab: &Lab) -> bool {
    !lab.exclusive
}

/// What moves into a frozen group stands still itself; the ledger must not be locked then.
fn paused(lab: &Lab) -> Result<(), Failed> {
    let mut shell = unshared(lab)?;
    let pid = shell.pid()?;
    let freeze = |word: &str| std::fs::write("/sys/fs/cgroup/plain/cgroup.freeze", word);
    freeze("1")?;
    let attach = ["attach", "--nic", "rxe1", "--netdev", "keep", "--name", "still", "--pid", &pid];
    let attaching = command(&[&attach[..], accepting(lab)].concat()).stderr(Stdio::piped()).spawn()?;
    eventually("it tries to open the node there", || {
        std::fs::read_to_string("/sys/fs/cgroup/plain/cgroup.procs")
            .is_ok_and(|list| list.lines().count() > 2)
    })?;
    let begin = std::time::Instant::now();
    let reserved = succeed(&["run", "--host-root", "--nic", "eth3", "--", "true"]);
    let waited = begin.elapsed();
    let output = attaching.wait_with_output()?;
    freeze("0")?;
    reserved?;
    let text = String::from_utf8_lossy(&output.stderr);
    expect(
        output.status.code() == Some(10) && text.contains("frozen"),
        format!("{}: {text}", output.status),
    )?;
    expect(!succeed(&["leases"])?.contains("rxe1"), "a lease stays")?;
    println!("another container took {waited:.1?} meanwhile");
    shell.ask("true").map(drop)
}

/// A container of nicdock's with eth3.
fn launched(name: &str) -> Result<Shell, Failed> {
    let command = command(&["run", "--host-root", "--nic", "eth3", "--name", name, "--", "sh"]);
    Shell::start(command, Vec::new())
}

fn attach(who: &[&str], what: &[&str], more: &[&str]) -> Result<String, Failed> {
    succeed(&[&["attach"], who, what, more].concat())
}

const NODES: &str = "ls /dev/infiniband /sys/class/infiniband";
/// Opens the node as a library does.
const OPENS: &str = "exec 9<>/dev/infiniband/uverbs1 && exec 9>&-";

/// The NIC works inside, and nothing else of the fabric is there.
pub fn works(shell: &mut Shell) -> Result<(), Failed> {
    let listed = shell.ask(NODES)?;
    expect(listed == "/dev/infiniband:\nuverbs1\n\n/sys/class/infiniband:\nrxe1\n", &listed)?;
    shell.ask(OPENS)?;
    let devices = shell.ask("ibv_devices")?;
    expect(devices.contains("rxe1") && !devices.contains("rxe0"), devices)?;
    let probed = shell.ask(&format!("{} probe", binary()?))?;
    expect(probed.contains("rxe1 /dev/infiniband/uverbs1: usable"), probed)
}

/// It is not there any more, and a node made anew cannot be opened where the cgroup decides.
fn is_gone(shell: &mut Shell) -> Result<(), Failed> {
    let (_, devices) =
        shell.ask_for("ls /dev/infiniband 2>/dev/null; ls /sys/class/infiniband 2>/dev/null; true")?;
    expect(!devices.contains("uverbs1") && !devices.contains("rxe1"), devices)
}

fn own(lab: &Lab) -> Result<(), Failed> {
    let mut shell = launched("hot")?;
    is_gone(&mut shell)?;
    let before = settled();
    let text = attach(&["--container", "hot"], &rxe1(lab), &[])?;
    expect(text.contains("container hot") && text.contains("has rxe1"), text)?;
    works(&mut shell)?;
    let links = shell.ask("ls /sys/class/net")?;
    let moved = lab.moves_soft_roce();
    expect(links == if moved { "eth1\neth3\nlo\n" } else { "eth3\nlo\n" }, links)?;
    let leases = succeed(&["leases"])?;
    expect(leases.matches("hot").count() == 2 && leases.matches("held").count() == 2, leases)?;
    let text = succeed(&["detach", "rxe1"])?;
    expect(text.contains("which runs on"), text)?;
    is_gone(&mut shell)?;
    stays(&before)?;
    // And once more, by its process.
    let pid = shell.pid()?;
    attach(&["--pid", &pid], &rxe1(lab), &[])?;
    works(&mut shell)?;
    succeed(&["return", "rxe1"])?;
    shell.ask("true").map(drop)
}

fn own_ends(lab: &Lab) -> Result<(), Failed> {
    let mut shell = launched("ends")?;
    attach(&["--container", "ends"], &rxe1(lab), &[])?;
    works(&mut shell)?;
    drop(shell);
    let leases = succeed(&["leases"])?;
    expect(leases.contains("No NIC is leased"), leases)?;
    let mut shell = launched("killed")?;
    attach(&["--container", "killed"], &rxe1(lab), &[])?;
    shell.kill()?;
    let text = succeed(&["reconcile"])?;
    expect(text.contains("rxe1") && text.contains("eth3"), text)
}

fn foreign(lab: &Lab, mut shell: Shell) -> Result<(), Failed> {
    let before = settled();
    let pid = shell.pid()?;
    // What the container had before is what it has afterwards.
    let had = shell.ask("ls /sys/class/net /sys/class/infiniband 2>&1; wc -l </proc/self/mountinfo; true")?;
    if lab.cgroup == "v1" {
        let text = fail(8, &[&["attach", "--pid", &pid][..], &rxe1(lab)].concat())?;
        expect(text.contains("--accept-netlink") && text.contains("RDMA netlink"), text)?;
        stays(&before)?;
    }
    attach(&["--pid", &pid, "--name", "theirs"], &rxe1(lab), accepting(lab))?;
    works(&mut shell)?;
    let leases = succeed(&["leases"])?;
    expect(leases.contains("theirs") && leases.contains("held"), leases)?;
    if lab.cgroup != "v1" {
        let (status, said) = shell.ask_for("rdma link")?;
        expect(status != 0 || said.is_empty(), format!("RDMA netlink: {status} {said}"))?;
    }
    succeed(&["detach", "theirs"])?;
    let has = shell.ask("ls /sys/class/net /sys/class/infiniband 2>&1; wc -l </proc/self/mountinfo; true")?;
    expect(had == has, format!("before:\n{had}\nafter:\n{has}"))?;
    stays(&before)
}

fn plain(lab: &Lab) -> Result<(), Failed> {
    foreign(lab, unshared(lab)?)
}

fn crun(lab: &Lab) -> Result<(), Failed> {
    let result = of_runtime("crun").and_then(|shell| foreign_and_refused(lab, shell));
    forget_bundle();
    result
}

fn runc(lab: &Lab) -> Result<(), Failed> {
    let result = of_runtime("runc").and_then(|shell| foreign_and_refused(lab, shell));
    forget_bundle();
    result
}

/// The engine refuses the device before and afterwards.
fn foreign_and_refused(lab: &Lab, mut shell: Shell) -> Result<(), Failed> {
    let pid = shell.pid()?;
    let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    expect(group.contains("oci-attach"), &group)?;
    let refuses = |_: &mut Shell| {
        let path = if lab.cgroup == "v1" { "devices/oci-attach" } else { "oci-attach" };
        let script = format!(
            "echo $$ >/sys/fs/cgroup/{path}/cgroup.procs && ! (exec 9<>/dev/infiniband/uverbs1) 2>/dev/null"
        );
        let output = Command::new("sh").args(["-c", &script]).output()?;
        expect(output.status.success(), format!("the cgroup lets uverbs1 be opened: {output:?}"))
    };
    refuses(&mut shell)?;
    let copied = attach(&["--pid", &pid, "--name", "group"], &rxe1(lab), accepting(lab));
    copied?;
    shell.ask(OPENS)?;
    succeed(&["detach", "group"])?;
    refuses(&mut shell)?;
    foreign(lab, shell)
}

fn two(lab: &Lab) -> Result<(), Failed> {
    let mut shell = launched("two")?;
    let before = settled();
    for order in [["rxe1", "rxe0"], ["rxe0", "rxe1"]] {
        for nic in ["rxe0", "rxe1"] {
            attach(&["--container", "two"], &["--nic", nic, "--netdev", "keep", "--take-in-use"], &[])?;
        }
        let both = shell.ask(NODES)?;
        expect(both == "/dev/infiniband:\nuverbs0\nuverbs1\n\n/sys/class/infiniband:\nrxe0\nrxe1\n", both)?;
        shell.ask("exec 9<>/dev/infiniband/uverbs0; exec 9<>/dev/infiniband/uverbs1; exec 9>&-")?;
        succeed(&["detach", order[0]])?;
        let left = order[1].trim_start_matches("rxe");
        let one = shell.ask(NODES)?;
        expect(one == format!("/dev/infiniband:\nuverbs{left}\n\n/sys/class/infiniband:\nrxe{left}\n"), one)?;
        shell.ask(&format!("exec 9<>/dev/infiniband/uverbs{left} && exec 9>&-"))?;
        succeed(&["detach", order[1]])?;
        is_gone(&mut shell)?;
        stays(&before)?;
    }
    let _ = lab;
    Ok(())
}

fn dies(lab: &Lab) -> Result<(), Failed> {
    for nic in [vec!["--nic", "eth3"], rxe1(lab)] {
        let mut shell = unshared(lab)?;
        let pid = shell.pid()?;
        attach(&["--pid", &pid], &nic, accepting(lab))?;
        drop(shell);
        let text = succeed(&["reconcile"])?;
        expect(text.contains("which has ended"), text)?;
    }
    Ok(())
}

fn open(lab: &Lab) -> Result<(), Failed> {
    let keep: &[&str] = &["--nic", "rxe1", "--netdev", "keep"];
    let mut shell = launched("busy")?;
    let before = settled();
    attach(&["--container", "busy"], keep, &[])?;
    shell.ask("exec 9<>/dev/infiniband/uverbs1")?;
    let text = fail(6, &["detach", "rxe1"])?;
    expect(text.contains("/dev/infiniband/uverbs1 open") && text.contains("--wait"), text)?;
    let text = fail(6, &["detach", "rxe1", "--wait=1"])?;
    expect(text.contains("in use"), text)?;
    works_still(&mut shell)?;
    let mut waiting = command(&["detach", "rxe1", "--wait"]).stdin(Stdio::null()).spawn()?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    expect(waiting.try_wait()?.is_none(), "--wait did not wait")?;
    shell.ask("exec 9>&-")?;
    expect(waiting.wait()?.success(), "--wait failed")?;
    stays(&before)?;
    attach(&["--container", "busy"], keep, &[])?;
    shell.ask("exec 9<>/dev/infiniband/uverbs1")?;
    let text = succeed(&["detach", "rxe1", "--force"])?;
    expect(text.contains("leaves what is open as it is"), text)?;
    is_gone(&mut shell)?;
    let leases = succeed(&["leases"])?;
    expect(leases.contains("draining"), leases)?;
    shell.ask("exec 9>&-")?;
    succeed(&["reconcile"])?;
    stays(&before)?;
    if lab.moves_soft_roce() {
        attach(&["--container", "busy"], &["--nic", "rxe1"], &[])?;
        shell.ask("exec 9<>/dev/infiniband/uverbs1")?;
        let text = fail(6, &["detach", "rxe1", "--force"])?;
        expect(text.contains("--force does not help"), text)?;
        shell.ask("exec 9>&-")?;
        succeed(&["detach", "rxe1"])?;
    }
    Ok(())
}

fn works_still(shell: &mut Shell) -> Result<(), Failed> {
    shell.ask(OPENS.replace('9', "8").as_str()).map(drop)
}

fn refused(lab: &Lab) -> Result<(), Failed> {
    let text = fail(12, &["attach", "--nic", "eth3", "--pid", "1"])?;
    expect(text.contains("the host's first one"), text)?;
    let own = std::process::id().to_string();
    let text = fail(12, &["attach", "--nic", "eth3", "--pid", &own])?;
    expect(text.contains("the host's network namespace"), text)?;
    let text = fail(3, &["attach", "--nic", "eth3", "--pid", "4194000"])?;
    expect(text.contains("process 4194000"), text)?;
    let text = fail(3, &["attach", "--nic", "eth3", "--container", "nobody"])?;
    expect(text.contains("nobody"), text)?;
    let text = fail(3, &["detach", "eth3"])?;
    expect(text.contains("was not attached"), text)?;
    let mut shell = unshared(lab)?;
    let pid = shell.pid()?;
    shell.ask("ip link add eth3 type dummy")?;
    let more = [&["attach", "--nic", "eth3", "--pid", &pid][..], accepting(lab)].concat();
    let text = fail(12, &more)?;
    expect(text.contains("has an interface eth3 already"), text)?;
    attach(&["--pid", &pid], &["--nic", "eth3", "--as", "other"], accepting(lab))?;
    let links = shell.ask("ls /sys/class/net")?;
    expect(links == "eth3\nlo\nother\n", links)?;
    succeed(&["detach", "eth3"])?;
    if lab.cgroup == "v1" {
        std::fs::write("/sys/fs/cgroup/devices/plain/devices.allow", "a")?;
        std::fs::write("/sys/fs/cgroup/devices/plain/devices.deny", "c 231:* rw")?;
        let text = fail(7, &[&["attach", "--pid", &pid][..], &rxe1(lab), accepting(lab)].concat())?;
        expect(text.contains("it allows every device but those"), text)?;
    }
    Ok(())
}

/// The containers in which it is tried, by what names them.
fn containers(lab: &Lab) -> Result<Vec<(Shell, Vec<String>)>, Failed> {
    let own = launched("hot")?;
    let mut theirs = of_runtime("crun")?;
    let pid = theirs.pid()?;
    let mut named = vec!["--pid".to_owned(), pid];
    named.extend(accepting(lab).iter().map(|word| (*word).to_owned()));
    Ok(vec![(own, vec!["--container".to_owned(), "hot".to_owned()]), (theirs, named)])
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    // The steps are the same in both: in one each is only noted, in the other it is done.
    let result = containers(lab).and_then(|containers| {
        let mut each = containers.into_iter().zip(["begun", "before"]);
        each.try_for_each(|((mut shell, who), moment)| killed_in(lab, &mut shell, &who, moment))
    });
    forget_bundle();
    result
}

fn killed_in(lab: &Lab, shell: &mut Shell, who: &[String], moment: &str) -> Result<(), Failed> {
    let who: Vec<&str> = who.iter().map(String::as_str).collect();
    let attach = [&["attach"], &who[..], &rxe1(lab)].concat();
    let before = settled();
    let seen =
        "ls /dev/infiniband /sys/class/infiniband /sys/class/net 2>&1; wc -l </proc/self/mountinfo; true";
    // A folder that was made for the nodes stays.
    succeed(&attach)?;
    succeed(&["detach", "rxe1"])?;
    let had = shell.ask(seen)?;
    let way = points(|| traced(&attach))?;
    for step in ["reserve", "allow", "show", "attach"] {
        expect(way.contains(&format!("{step}.begun")), format!("{step} is not in {way:?}"))?;
    }
    let back = points(|| traced(&["detach", "rxe1"]))?;
    expect(back.contains(&"seize.begun".to_owned()), format!("{back:?}"))?;
    let every = way
        .iter()
        .map(|point| (&attach[..], point))
        .chain(back.iter().map(|point| (&["detach", "rxe1"][..], point)));
    let mut killed = Vec::new();
    for (args, point) in every.filter(|(_, point)| point.ends_with(moment)) {
        killed.push(point.as_str());
        if args[0] == "detach" {
            succeed(&attach)?;
        }
        let output = at(args, point, "kill")?;
        expect(output.status.signal() == Some(9), format!("not killed at {point}: {output:?}"))?;
        succeed(&["reconcile"]).map_err(|error| told(point, &error))?;
        // Handed over, or not taken yet, it is the container's.
        if succeed(&["leases"])?.contains("rxe1") {
            expect(point == "attach.begun" || point == "seize.before", format!("{point}: kept"))?;
            works(shell).map_err(|error| told(point, &error))?;
            succeed(&["detach", "rxe1"])?;
        }
        let has = shell.ask(seen).map_err(|error| told(point, &error))?;
        expect(has == had, format!("killed at {point}, before:\n{had}\nafter:\n{has}"))?;
        stays(&before).map_err(|error| told(point, &error))?;
    }
    println!("killed at {} points: {}", killed.len(), killed.join(" "));
    Ok(())
}

fn failing(lab: &Lab) -> Result<(), Failed> {
    let mut shell = launched("hot")?;
    let before = settled();
    let attach = [&["attach", "--container", "hot"][..], &rxe1(lab)].concat();
    let way = points(|| traced(&attach))?;
    succeed(&["detach", "rxe1"])?;
    for point in way.iter().filter(|point| *point != "attach.begun") {
        let output = at(&attach, point, "28")?;
        expect(output.status.code() == Some(125), format!("{point}: {output:?}"))?;
        is_gone(&mut shell)?;
        stays(&before).map_err(|e| format!("failed at {point}: {}", e.message().unwrap_or_default()))?;
    }
    eventually("it runs on", || true)?;
    shell.ask("true").map(drop)
}
