//! What a container leaves open by its user's choice is named in its plan and its lease, and the audit tells it from what nobody has chosen.

use std::collections::BTreeSet;

use libtest_mimic::Failed;
use nicdock_audit::Verdict;
use nicdock_audit::report::Report;

use crate::engine::{open, rxe1, weaknesses};
use crate::nicdock::{expect, nicdock, succeed};
use crate::shell::{accepting, forget_bundle, of_runtime};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("an_audit_accepts_what_the_plan_names_and_nothing_else", chosen, Lab::is_oldest_or_newest),
    ("the_weaknesses_of_an_attached_container_are_in_its_lease", attached, Lab::is_first),
];

const CHOSEN: [&str; 14] = [
    "--nic",
    "rxe1",
    "--netdev",
    "keep",
    "--view",
    "off",
    "--allow-netlink",
    "generic",
    "--allow-family",
    "vsock",
    "--cap-add",
    "SYSLOG",
    "--weaken",
    "--host-root",
];
const IDS: [&str; 5] = ["capability.syslog", "family.vsock", "gids", "netlink.generic", "view.off"];

fn chosen(_: &Lab) -> Result<(), Failed> {
    let plan: serde_json::Value =
        serde_json::from_str(&succeed(&[&["plan", "--json"], &CHOSEN[..], &["--", "true"]].concat())?)?;
    let named: BTreeSet<&str> =
        plan["weaknesses"].as_array().ok_or("no list")?.iter().filter_map(|one| one["id"].as_str()).collect();
    expect(named == BTreeSet::from(IDS), format!("{named:?}"))?;
    let output = nicdock(&[&["run", "--audit"], &CHOSEN[..], &["--", "--json"]].concat());
    let report = crate::audit::report(&output)?;
    expect(output.status.success(), format!("{}: {}", output.status, open(&report).join("\n")))?;
    let by = explained(&report);
    // What the GIDs show is there only with another tenant's macvlan on the netdev.
    let wanted: BTreeSet<&str> = IDS.into_iter().filter(|id| *id != "gids").collect();
    expect(by == wanted, format!("accepted by {by:?}"))?;
    // By CAP_SYS_ADMIN the names of the host's NICs are seen in its file systems. Its /dev could also be changed, which nothing explains.
    let options = ["--nic", "rxe1", "--netdev", "keep", "--cap-add", "SYS_ADMIN", "--weaken", "--host-root"];
    let only = ["--", "--json", "--only", "filesystem.sysfs,filesystem.devtmpfs"];
    let report = crate::audit::report(&nicdock(&[&["run", "--audit"], &options[..], &only].concat()))?;
    let left = open(&report);
    let is_dev = |line: &String| line.starts_with("filesystem.devtmpfs.");
    expect(!left.is_empty() && left.iter().all(is_dev), left.join("\n"))?;
    expect(
        explained(&report) == BTreeSet::from(["capability.sys_admin"]),
        format!("{:?}", explained(&report)),
    )
}

/// By what accepted probes are explained.
fn explained(report: &Report) -> BTreeSet<&str> {
    let accepted = report.probes.iter().filter(|probe| probe.result == Verdict::Accepted);
    accepted.filter_map(|probe| probe.weakness.as_deref()).collect()
}

fn attached(lab: &Lab) -> Result<(), Failed> {
    let result = of_crun(lab);
    forget_bundle();
    result
}

/// Its specification has no seccomp.
fn of_crun(lab: &Lab) -> Result<(), Failed> {
    let mut shell = of_runtime("crun")?;
    let pid = shell.pid()?;
    succeed(&[&["attach", "--pid", &pid, "--name", "theirs"], &rxe1(lab)[..], accepting(lab)].concat())?;
    let named = weaknesses("theirs")?;
    expect(named == ["gids", "seccomp.none"], format!("{named:?}"))?;
    let report = crate::engine::report(&["audit", "--json", "--pid", &pid, "--only", "syscall"])?;
    expect(open(&report).is_empty(), open(&report).join("\n"))?;
    expect(explained(&report) == BTreeSet::from(["seccomp.none"]), format!("{:?}", explained(&report)))?;
    succeed(&["detach", "theirs"])?;
    // What nobody has chosen is open.
    let report = crate::engine::report(&["audit", "--json", "--pid", &pid, "--only", "syscall"])?;
    expect(report.summary.open > 0 && report.summary.accepted == 0, format!("{:?}", report.summary))
}
