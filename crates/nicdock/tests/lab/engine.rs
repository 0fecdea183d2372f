//! What the tests of engines that ask nicdock by themselves have in common.

use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Failed;
use nicdock_audit::Verdict;
use nicdock_audit::report::Report;

use crate::Lab;
use crate::host::stays;
use crate::killed::{points, told};
use crate::nicdock::{eventually, expect, nicdock, succeed};
use crate::probing::binary;

/// Where cgroups decide, and the kernel.
pub fn every(lab: &Lab) -> bool {
    lab.is_newest() || !lab.exclusive && lab.cgroup == "v1" && lab.kernel == "6.1"
}

/// `rxe1` as far as this kernel can give it.
pub fn rxe1(lab: &Lab) -> Vec<&'static str> {
    if lab.moves_soft_roce() { vec!["--nic", "rxe1"] } else { vec!["--nic", "rxe1", "--netdev", "keep"] }
}

pub fn free() -> Result<(), Failed> {
    let leases = succeed(&["leases"])?;
    expect(leases.contains("No NIC is leased"), leases)
}

/// Looks at a container in ways in which they differ; peer groups are numbered as they come.
pub const LOOK: &str = "grep -E 'Cap|Seccomp|NoNew' /proc/1/status; cat /proc/1/limits; cut -d' ' -f4- /proc/1/mountinfo | sed 's/shared:[0-9]*/shared/'; ls /dev /sys/class/net; \
                        ip -br address";

/// The NIC of a container of an OCI engine's works, and nothing else of the fabric is there. `inside` runs a script in it.
pub fn has_rxe1(pid: &str, inside: impl Fn(&str) -> Result<String, Failed>) -> Result<(), Failed> {
    let listed = inside("ls /dev/infiniband /sys/class/infiniband")?;
    expect(listed == "/dev/infiniband:\nuverbs1\n\n/sys/class/infiniband:\nrxe1\n", &listed)?;
    let probed = inside(&format!("{} probe", binary()?))?;
    expect(probed.contains("rxe1 /dev/infiniband/uverbs1: usable"), &probed)?;
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let memlock = limits.lines().find(|line| line.starts_with("Max locked memory")).unwrap_or_default();
    expect(memlock.contains("unlimited"), memlock)
}

/// What an engine's client that succeeded has printed. `called`: what it was called with.
pub fn printed(called: &[&str], output: &Output) -> Result<String, Failed> {
    expect(output.status.success(), format!("{called:?}: {output:?}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes the folders of a root, in the current one, into which the host's programs are mounted at /usr.
pub const FOLDERS: &str = "mkdir -p usr etc dev proc sys tmp run var && ln -sf usr/bin usr/sbin usr/lib usr/lib64 . && cp -r /etc/libibverbs.d /etc/passwd etc/";

/// Starts an engine's daemon, and waits until it is ready; what it says goes to a log, which is shown if it does not become so.
pub fn daemon(
    program: &str,
    args: &[&str],
    path: &str,
    is_ready: impl Fn() -> bool,
) -> Result<Child, Failed> {
    let log = format!("/tmp/{program}.log");
    let file = std::fs::File::create(&log)?;
    let mut command = Command::new(program);
    command.args(args).env("PATH", path).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn()?;
    // dockerd takes its time, emulated.
    eventually(program, &is_ready).or_else(|_| eventually(program, &is_ready)).map_err(|error| {
        let _ = child.kill().and_then(|()| child.wait());
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        Failed::from(format!("{}: {log}", error.message().unwrap_or_default()))
    })?;
    Ok(child)
}

/// Whether a command succeeds; what it says is not shown.
pub fn succeeds(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// An audit's report.
pub fn report(audit: &[&str]) -> Result<Report, Failed> {
    crate::audit::report(&nicdock(audit))
}

pub fn open(report: &Report) -> Vec<String> {
    let open = report.probes.iter().filter(|probe| probe.result == Verdict::Open);
    open.map(|probe| format!("{}: {}", probe.id, probe.evidence)).collect()
}

/// The ids of what was chosen to be open to a container, as its leases have them.
pub fn weaknesses(container: &str) -> Result<Vec<String>, Failed> {
    let listing: serde_json::Value = serde_json::from_str(&succeed(&["leases", "--json"])?)?;
    let holders = listing["leases"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|lease| lease["holders"].as_array().into_iter().flatten());
    let its = holders.filter(|holder| holder["container"] == container);
    let found = its.flat_map(|holder| holder["weaknesses"].as_array().into_iter().flatten());
    let mut ids: Vec<String> = found.filter_map(|one| one["id"].as_str().map(str::to_owned)).collect();
    ids.sort();
    Ok(ids)
}

/// Nothing was chosen to be open to it, but that a device whose netdev stays shows that one's GIDs.
pub fn has_no_weakness(lab: &Lab, container: &str) -> Result<(), Failed> {
    let found = weaknesses(container)?;
    let wanted: &[&str] = if lab.moves_soft_roce() { &[] } else { &["gids"] };
    expect(found == wanted, format!("the weaknesses of {container}: {found:?}"))
}

pub fn nothing_open(report: &Report) -> Result<(), Failed> {
    expect(report.summary.accepted == 0, format!("{} accepted", report.summary.accepted))?;
    let lines = open(report);
    expect(lines.is_empty(), format!("{} open:\n{}", lines.len(), lines.join("\n")))?;
    expect(report.probes.len() > 600, format!("only {} probes", report.probes.len()))
}

/// Nothing is in a container of an OCI engine's, whose mounts may name the engine's own folders, and no way to them: these probes find some.
pub fn nothing_open_but_paths(
    lab: &Lab,
    container: &str,
    pid: &str,
    found_by: &[&str],
) -> Result<(), Failed> {
    let report = report(&["audit", "--json", "--max-pause", "300", "--pid", pid])?;
    let found = weaknesses(container)?;
    let wanted: &[&str] = if lab.moves_soft_roce() { &["engine.paths"] } else { &["engine.paths", "gids"] };
    expect(found == wanted, format!("weaknesses {found:?}"))?;
    let lines = open(&report);
    expect(lines.is_empty(), format!("{} open:\n{}", lines.len(), lines.join("\n")))?;
    let accepted: Vec<&str> = report
        .probes
        .iter()
        .filter(|probe| probe.result == Verdict::Accepted)
        .map(|probe| &*probe.id)
        .collect();
    expect(accepted == found_by, format!("accepted: {accepted:?}"))?;
    expect(report.probes.len() > 600, format!("only {} probes", report.probes.len()))
}

/// The probe that finds the options of a root that is an overlay.
pub const OVERLAY: &str = "proc.self.mountinfo.engine";

/// In a container with a NIC by hand much is. `of`: which engine's.
pub fn much_open(of: &str, by_hand: &Report, ours: &Report) -> Result<(), Failed> {
    let lines = open(by_hand);
    println!(
        "audit: {} of {} open in a plain container of {of}, 0 of {} in nicdock's",
        lines.len(),
        by_hand.probes.len(),
        ours.probes.len()
    );
    expect(lines.len() > 100, format!("only {} open", lines.len()))
}

/// What the administrator accepts, until it is dropped.
pub struct Accepted;

impl Accepted {
    /// Where the netdev has to stay on the host: an engine's option for that could be an image's.
    pub fn of(keeps: bool) -> Result<Option<Self>, Failed> {
        if !keeps {
            return Ok(None);
        }
        std::fs::create_dir_all("/etc/nicdock")?;
        std::fs::write(ACCEPTED, "[accept]\nweaknesses = [\"gids\"]\n")?;
        Ok(Some(Self))
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(ACCEPTED);
    }
}

const ACCEPTED: &str = "/etc/nicdock/config.toml";

/// An engine that was given eth3 by hand gives it back bare.
pub fn restore_eth3() {
    for line in [
        "ip link set eth3 up",
        "ip address add 10.77.4.1/24 dev eth3",
        "ip address add fd77:4::1/64 dev eth3 nodad",
        "ip route add 10.99.0.0/16 via 10.77.4.9",
    ] {
        let _ = Command::new("sh").args(["-c", line]).status();
    }
}

/// nicdock is killed in a hook, in every step that it has noted from a start to the end that follows it. `run` is given variables for the hooks, and says whether it started.
pub fn killed_at_any_step(
    before: &[String],
    mut run: impl FnMut(&[(&str, &str)]) -> Result<bool, Failed>,
) -> Result<(), Failed> {
    let all = points(|| {
        let traced = [("NICDOCK_FAIL_AT", "nowhere=kill"), ("NICDOCK_FAIL_TRACE", crate::killed::TRACE)];
        expect(run(&traced)?, "it does not start")
    })?;
    let all: Vec<String> = all
        .into_iter()
        .filter(|point| point.split_once('.').is_some_and(|(_, moment)| moment == "begun"))
        .collect();
    for point in ["reserve.begun", "attach.begun", "restore_netdev.begun", "free.begun"] {
        expect(all.iter().any(|found| found == point), format!("{point} is not in {all:?}"))?;
    }
    let mut refused = 0;
    for point in &all {
        let started =
            run(&[("NICDOCK_FAIL_AT", &format!("{point}=kill"))]).map_err(|error| told(point, &error))?;
        refused += usize::from(!started);
        succeed(&["reconcile"]).map_err(|error| told(point, &error))?;
        stays(before).map_err(|error| told(point, &error))?;
    }
    println!("killed at {} points, {refused} of them in a start: {}", all.len(), all.join(" "));
    expect(refused > 4, format!("only {refused} starts ended"))
}
