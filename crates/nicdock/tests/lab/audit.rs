//! `nicdock audit`: it finds nothing in nicdock's containers and much in others, and says when it cannot tell.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use libtest_mimic::Failed;
use nicdock_audit::Verdict;
use nicdock_audit::report::Report;
use nicdock_audit::uncontrolled;

use crate::engine;
use crate::host::shell;
use crate::nicdock::{Running, expect, nicdock, sleeping, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("the_audit_finds_nothing_foreign_in_a_container_with_one_rdma_device_of_four_nics", rdma_device, |_| {
        true
    }),
    ("the_audit_finds_nothing_foreign_in_a_container_with_one_netdev_of_four_nics", netdev, |_| true),
    (
        "the_audit_in_a_running_containers_place_finds_what_the_containers_own_audit_finds",
        in_place,
        Lab::is_first_of_its_kernel,
    ),
    ("the_audit_tries_the_escapes_that_have_a_cve", escapes, Lab::is_first_of_its_kernel),
    ("the_audit_tries_what_the_running_kernel_offers", offered, Lab::is_first_of_its_kernel),
    ("an_audit_for_want_of_descriptors_calls_nothing_closed", few, Lab::is_first),
    ("the_audit_finds_what_was_put_into_a_container_from_outside", put_in, Lab::is_first_of_its_kernel),
    ("the_audit_finds_leaks_in_plain_and_privileged_containers", controls, Lab::is_first_of_its_kernel),
    (
        "every_probe_of_the_audit_finds_something_in_a_control_or_is_listed_with_the_reason",
        every_probe,
        Lab::is_first_of_its_kernel,
    ),
    (
        "an_audit_that_cannot_take_the_processs_place_fails_and_calls_nothing_closed",
        not_reproducible,
        Lab::is_first,
    ),
    ("a_program_that_is_not_static_is_refused_as_the_audit", not_static, Lab::is_first),
];

/// What a probe may call missing, each having checked it: the beginnings of its evidence.
const PRECONDITIONS: [&str; 16] = [
    "no hierarchy of cgroup version 1 has this controller",
    "the controllers are in hierarchies of cgroup version 1",
    "no hierarchy of cgroup version 1 is in use",
    "EPROTONOSUPPORT: the kernel has no",
    "EAFNOSUPPORT: the kernel has no",
    "ENODEV: the kernel has no",
    "ENODEV: the device cgroup lets it pass",
    "ENXIO: the device cgroup lets it pass",
    "EOPNOTSUPP: the file system gives no handles",
    "ENOENT: the kernel has no",
    "x32 getpid(): ENOSYS",
    "int 0x80 faults",
    "no foreign IP address is known",
    "no foreign InfiniBand port is known",
    "no such mount below",
    "command 25: EOPNOTSUPP",
];

pub fn report(output: &std::process::Output) -> Result<Report, Failed> {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).map_err(|error| {
        format!(
            "{error} in the audit's answer ({}): {text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into()
    })
}

fn audited(options: &[&str]) -> Result<Report, Failed> {
    let output = nicdock(&[&["run", "--audit", "--host-root"], options, &["--", "--json"]].concat());
    let report = report(&output)?;
    let status = i32::from(report.exit_status());
    expect(output.status.code() == Some(status), format!("exit status {}, not {status}", output.status))?;
    Ok(report)
}

fn nothing_open(report: &Report) -> Result<(), Failed> {
    engine::nothing_open(report)?;
    let absent: Vec<&str> = report
        .probes
        .iter()
        .filter(|probe| probe.result == Verdict::NotApplicable)
        .map(|probe| probe.id.as_str())
        .collect();
    // Whatever the kernel lacks, the container is refused it first; but handles of its root's file system, and addresses
    // of foreign NICs, are its own to ask for.
    let beginnings = ["escape.open_by_handle_at", "route.devlink", "rdma_cm.", "cgroup.write."];
    let may_be_absent = |id: &str| beginnings.iter().any(|begin| id.starts_with(begin));
    let undue: Vec<&str> = absent.iter().copied().filter(|id| !may_be_absent(id)).collect();
    expect(undue.is_empty(), format!("not applicable: {undue:?}"))
}

const RXE1: [&str; 4] = ["--nic", "rxe1", "--netdev", "keep"];

/// The audit in a container with one RDMA device: made once.
fn of_rdma_device() -> Result<&'static Report, Failed> {
    static REPORT: OnceLock<Result<Report, String>> = OnceLock::new();
    once(&REPORT, || audited(&RXE1))
}

fn once<T>(
    kept: &'static OnceLock<Result<T, String>>,
    make: impl FnOnce() -> Result<T, Failed>,
) -> Result<&'static T, Failed> {
    kept.get_or_init(|| make().map_err(|failed| failed.message().unwrap_or("failed").to_owned()))
        .as_ref()
        .map_err(|message| message.clone().into())
}

fn rdma_device(_: &Lab) -> Result<(), Failed> {
    nothing_open(of_rdma_device()?)
}

fn netdev(_: &Lab) -> Result<(), Failed> {
    nothing_open(&audited(&["--nic", "eth3"])?)
}

fn results(report: &Report) -> BTreeMap<&str, Verdict> {
    report.probes.iter().map(|probe| (probe.id.as_str(), probe.result)).collect()
}

fn in_place(_: &Lab) -> Result<(), Failed> {
    let own = of_rdma_device()?;
    let junit = "/tmp/audit.xml";
    let _container = Running::with(&RXE1, "exec sleep 4713")?;
    let pid = wait_for("4713")?;
    let output = nicdock(&["audit", "--pid", &pid, "--json", "--junit", junit, "--max-pause", "300"]);
    let from_outside = report(&output)?;
    let (own, mut theirs) = (results(own), results(&from_outside));
    let cases = std::fs::read_to_string(junit)?.matches("<testcase ").count();
    expect(cases == theirs.len(), format!("{cases} test cases of {} probes", theirs.len()))?;
    // What its control group leaves it can be seen from outside alone.
    let limits = theirs.remove("limits.rdma");
    expect(limits == Some(Verdict::Closed), format!("limits.rdma: {limits:?}"))?;
    let differences: Vec<_> = own.iter().filter(|(id, result)| theirs.get(*id) != Some(result)).collect();
    expect(differences.is_empty() && own.len() == theirs.len(), format!("{differences:?}"))
}

/// The probes that docs/security/attacks.md names for each CVE, by the beginnings of their ids.
fn escapes(_: &Lab) -> Result<(), Failed> {
    let page = include_str!("../../../../docs/security/attacks.md");
    let report = of_rdma_device()?;
    let mut count = 0;
    for row in page.lines().filter(|line| line.starts_with("| CVE-")) {
        let probes = row.split('|').nth(4).ok_or("a row without probes")?;
        let ids: Vec<&str> = probes.split('`').skip(1).step_by(2).collect();
        let mut closed = ids.is_empty();
        for id in ids {
            let found: Vec<_> = report.probes.iter().filter(|probe| probe.id.starts_with(id)).collect();
            expect(!found.is_empty(), format!("no probe is called {id}: {row}"))?;
            let open = found.iter().find(|probe| probe.result == Verdict::Open);
            expect(open.is_none(), format!("open: {open:?}"))?;
            closed |= found.iter().any(|probe| probe.result == Verdict::Closed);
            count += 1;
        }
        expect(closed, format!("nothing is closed, all is not applicable: {row}"))?;
    }
    expect(count > 15, format!("only {count} probes are named"))
}

/// Told by the host: its list of file systems, and its system calls that no program of a container may make.
fn offered(lab: &Lab) -> Result<(), Failed> {
    let results = results(of_rdma_device()?);
    let list = std::fs::read_to_string("/proc/filesystems")?;
    let names = list.lines().filter_map(|line| line.strip_prefix("nodev\t")).filter(|name| *name != "cgroup");
    for id in names.map(|name| format!("filesystem.{name}.mount.mounts")) {
        expect(
            results.get(id.as_str()) == Some(&Verdict::Closed),
            format!("{id}: {:?}", results.get(id.as_str())),
        )?;
    }
    let calls = results.iter().filter(|(id, _)| id.starts_with("syscall.")).count();
    println!("{}: {} file systems, {calls} system calls", lab.kernel, list.lines().count());
    expect(
        ["setns", "kcmp", "vhangup"].iter().all(|name| results.contains_key(&*format!("syscall.{name}"))),
        "no setns",
    )?;
    // listmount(2), by its name or its number, came with Linux 6.8.
    let is_there = results.keys().any(|id| ["syscall.listmount", "syscall.number_458"].contains(id));
    expect(is_there == (lab.kernel != "6.1"), format!("listmount is tried: {is_there}"))
}

/// Limits are the audited process's own, and it may have lowered them: what the audit then could not read is not closed.
fn few(_: &Lab) -> Result<(), Failed> {
    for most in ["8", "12"] {
        let _running = Running::with(&RXE1, &format!("ulimit -n {most}; exec sleep 90402"))?;
        let pid = wait_for("90402")?;
        let output = nicdock(&["audit", "--pid", &pid, "--only", "sys,proc", "--json"]);
        expect(!output.status.success(), format!("with {most} descriptors: {output:?}"))?;
    }
    Ok(())
}

/// By whoever is root on the host, while it runs: the host's file systems, a NIC that was not given, and the limits of a device that is another's.
fn put_in(lab: &Lab) -> Result<(), Failed> {
    let running = Running::with(&[&RXE1[..], &["--name", "changed"]].concat(), "sleep 90401; true")?;
    let pid = wait_for("90401")?;
    let audit = || {
        let only = "mounted,route,limits";
        report(&nicdock(&["audit", "--pid", &pid, "--only", only, "--json"]))
    };
    let opened = |report: &Report| -> Vec<String> {
        let open = report.probes.iter().filter(|probe| probe.result == Verdict::Open);
        open.map(|probe| probe.id.clone()).collect()
    };
    let before = opened(&audit()?);
    let rdma = if lab.cgroup == "v1" { "rdma/" } else { "" };
    let script = format!(
        "set -e
        nsenter -t {pid} -m sh -ec ': >/srv/file; mount --bind /proc/sys/kernel/pid_max /srv/file; for kind in sysfs proc debugfs; do mkdir /srv/$kind; mount -t $kind none /srv/$kind; done'
        ip link set eth3 netns {pid}
        echo rxe0 hca_handle=max hca_object=max >/sys/fs/cgroup/{rdma}nicdock/container-changed/rdma.max"
    );
    let put = shell(&script);
    let after = audit().map(|report| opened(&report));
    Command::new("nsenter").args(["-t", &pid, "-n", "ip", "link", "set", "eth3", "netns", "1"]).status()?;
    engine::restore_eth3();
    drop(running);
    put?;
    let wanted = ["mounted.sysfs", "mounted.proc", "mounted.debugfs", "route.not_own", "limits.rdma"];
    let after = after?;
    expect(before.is_empty(), format!("open before: {before:?}"))?;
    expect(wanted.iter().all(|id| after.iter().any(|found| found == id)), format!("found is {after:?}"))
}

fn wait_for(argument: &str) -> Result<String, Failed> {
    crate::nicdock::eventually("the container's program", || sleeping(argument).is_some())?;
    Ok(sleeping(argument).ok_or("it has ended")?.to_string())
}

/// The audit in containers that close nothing, or little: made once.
struct Controls {
    plain: Report,
    privileged: Report,
}

/// A machine on which there is something to find by every probe that can: other namespaces, control groups, file systems,
/// read-only mounts to make writable.
const PREPARATION: &str = "
    for kind in debugfs:/sys/kernel/debug tracefs:/sys/kernel/tracing bpf:/sys/fs/bpf pstore:/sys/fs/pstore; do
        mount -t ${kind%%:*} none ${kind#*:} 2>/dev/null
    done
    for kind in sysfs proc devtmpfs securityfs configfs 'cgroup2 -o nsdelegate'; do
        mkdir -p /tmp/mounted/${kind%% *}; mount -t $kind none /tmp/mounted/${kind%% *} 2>/dev/null
    done
    mkdir -p /tmp/mounted/state; mount --bind /run/nicdock /tmp/mounted/state
    for path in /proc/irq /sys/class/infiniband; do mount --bind $path $path && mount -o remount,bind,ro $path; done
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        for one in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$one > /sys/fs/cgroup/cgroup.subtree_control; done
        mkdir -p /sys/fs/cgroup/audit-control
    fi
    unshare -r -p -f -u -i -n -C -T -m --kill-child sleep 3000 >/dev/null 2>&1 &
    ip netns add audit-control && ip link add audit0 type veth peer name audit1 netns audit-control
    sleep 1
    nicdock-audit --target $1 --json
    kill $!; ip link delete audit0; ip netns delete audit-control; rmdir /sys/fs/cgroup/audit-control 2>/dev/null
    ";

fn make_controls() -> Result<Controls, Failed> {
    let (planned, target) = ("/tmp/audit-plan.json", "/tmp/audit-target.json");
    let request = ["plan", "--nic", "rxe1", "--netdev", "keep", "--host-root", "--json", "--", "true"];
    std::fs::write(planned, succeed(&request)?)?;
    std::fs::write(target, succeed(&["audit", "--plan", planned, "--show-target"])?)?;
    let run = |words: &[&str]| {
        let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?;
        report(&output)
    };
    let unshared = [
        "unshare",
        "-n",
        "-m",
        "-p",
        "-f",
        "-u",
        "-i",
        "--mount-proc",
        "nicdock-audit",
        "--target",
        target,
        "--json",
    ];
    // The host's network, nodes, processes and mounts, and every capability.
    let privileged = ["unshare", "-m", "sh", "-c", PREPARATION, "sh", target];
    Ok(Controls { plain: run(&unshared)?, privileged: run(&privileged)? })
}

fn cached_controls() -> Result<&'static Controls, Failed> {
    static CONTROLS: OnceLock<Result<Controls, String>> = OnceLock::new();
    once(&CONTROLS, make_controls)
}

fn controls(lab: &Lab) -> Result<(), Failed> {
    let controls = cached_controls()?;
    for (name, report, at_least) in
        [("plain", &controls.plain, 250), ("privileged", &controls.privileged, 300)]
    {
        let summary = &report.summary;
        println!(
            "{} {name}: {} closed, {} open, {} not applicable, {} s",
            lab.kernel, summary.closed, summary.open, summary.not_applicable, summary.seconds
        );
        expect(summary.open > at_least, format!("{name}: only {} open", summary.open))?;
        expect(report.exit_status() == 1, "the exit status")?;
        for id in [
            "sys.class.infiniband",
            "sys.bus.pci.devices",
            "rdma.list",
            "rdma.rename",
            "uevent.listen.kernel",
        ] {
            let result = results(report).get(id).copied();
            expect(result == Some(Verdict::Open), format!("{name}: {id} is {result:?}"))?;
        }
        for probe in report.probes.iter().filter(|probe| probe.result == Verdict::NotApplicable) {
            let is_known = PRECONDITIONS.iter().any(|begin| probe.evidence.starts_with(begin));
            expect(is_known, format!("{}: '{}' is no checked precondition", probe.id, probe.evidence))?;
        }
    }
    Ok(())
}

/// A probe that is not applicable in the controls cannot be shown to find anything on this kernel.
fn every_probe(_: &Lab) -> Result<(), Failed> {
    let controls = cached_controls()?;
    let (plain, privileged) = (results(&controls.plain), results(&controls.privileged));
    let mut silent = Vec::new();
    let mut found_with = std::collections::BTreeMap::<&str, bool>::new();
    for (id, result) in &plain {
        let both = [Some(*result), privileged.get(id).copied()];
        let is_open = both.contains(&Some(Verdict::Open));
        let is_absent = both.contains(&Some(Verdict::NotApplicable));
        match uncontrolled::reason(id) {
            None if !is_open && !is_absent => silent.push(*id),
            // A line may stand for several: it is wrong if all of them find something.
            Some(reason) => *found_with.entry(reason).or_insert(true) &= is_open,
            None => {}
        }
    }
    let stale: Vec<&str> =
        found_with.into_iter().filter_map(|(reason, found)| found.then_some(reason)).collect();
    expect(stale.is_empty(), format!("reasons for finding nothing, where all find something: {stale:?}"))?;
    expect(silent.is_empty(), format!("{} probes find nothing in any control: {silent:?}", silent.len()))
}

/// A thread of the kernel's cannot be traced, so nobody can tell which filters it has.
fn not_reproducible(_: &Lab) -> Result<(), Failed> {
    let output = nicdock(&["audit", "--json", "--pid", "2"]);
    expect(output.status.code() == Some(125), format!("{}", output.status))?;
    let report = report(&output)?;
    expect(!report.reproducible && report.probes.is_empty(), "nothing may be called closed")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(text.contains("not reproducible: reading the seccomp filters"), text)
}

fn not_static(_: &Lab) -> Result<(), Failed> {
    let script = "mkdir /tmp/other && cp $(command -v nicdock) /tmp/other/ && cp /bin/true /tmp/other/nicdock-audit && \
                  /tmp/other/nicdock audit";
    let output = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(output.status.code() == Some(125) && text.contains("is not static"), text)
}
