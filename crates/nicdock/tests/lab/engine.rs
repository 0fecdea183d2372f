//! What the tests of engines that ask nicdock by themselves have in common.

use std::process::Command;

use libtest_mimic::Failed;
use nicdock_audit::Verdict;
use nicdock_audit::report::Report;

use crate::Lab;
use crate::host::stays;
use crate::killed::{kills, points, told};
use crate::nicdock::{expect, nicdock, succeed};

/// Where cgroups decide, and the kernel.
pub fn every(lab: &Lab) -> bool {
    !lab.exclusive && (kills(lab) || lab.cgroup == "v1" && lab.kernel == "6.1")
}

/// Where the netdev can move, once.
pub fn moving(lab: &Lab) -> bool {
    lab.moves_soft_roce() && kills(lab)
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
