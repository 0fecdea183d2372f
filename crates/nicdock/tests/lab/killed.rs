//! nicdock is killed, or fails, at every step that it notes: a fresh command makes the host as it was.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use libtest_mimic::Failed;

use crate::host::{settled, stays};
use crate::nicdock::{command, expect, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    (
        "killed_at_any_step_nicdock_leaves_nothing_that_the_next_command_does_not_undo",
        once,
        Lab::is_oldest_or_newest,
    ),
    ("killed_again_at_any_step_of_the_recovery_it_is_the_same", twice, Lab::is_newest),
    ("failing_at_any_step_nicdock_undoes_what_it_did", failing, Lab::is_first),
];

/// Where points that are reached are written down.
pub const TRACE: &str = "/tmp/points";

/// A NIC whose netdev moves, with its RDMA device where that can be.
fn nic(lab: &Lab) -> &'static str {
    if lab.moves_soft_roce() { "rxe1" } else { "eth3" }
}

fn run_at(lab: &Lab, point: &str, what: &str) -> Result<Output, Failed> {
    at(&["run", "--nic", nic(lab), "--host-root", "--", "true"], point, what)
}

pub fn at(args: &[&str], point: &str, what: &str) -> Result<Output, Failed> {
    let mut command = command(args);
    command.env("NICDOCK_FAIL_AT", format!("{point}={what}")).stdin(Stdio::null());
    Ok(command.output()?)
}

/// Every point that `work` reaches, in order.
pub fn points(work: impl FnOnce() -> Result<(), Failed>) -> Result<Vec<String>, Failed> {
    let _ = std::fs::remove_file(TRACE);
    work()?;
    let text = std::fs::read_to_string(TRACE)?;
    std::fs::remove_file(TRACE)?;
    let mut seen = BTreeSet::new();
    Ok(text.lines().filter(|line| seen.insert(line.to_owned())).map(str::to_owned).collect())
}

/// A command that writes them down and succeeds.
pub fn traced(args: &[&str]) -> Result<(), Failed> {
    let mut command = command(args);
    command.env("NICDOCK_FAIL_AT", "nowhere=kill").env("NICDOCK_FAIL_TRACE", TRACE);
    let output = command.stdin(Stdio::null()).output()?;
    expect(output.status.success(), format!("{args:?}: {output:?}"))
}

fn points_of_a_run(lab: &Lab) -> Result<Vec<String>, Failed> {
    let points = points(|| traced(&["run", "--nic", nic(lab), "--host-root", "--", "true"]))?;
    for step in ["reserve", "stage", "take_netdev", "configure", "create", "restrict", "compose", "start"] {
        expect(points.contains(&format!("{step}.before")), format!("{step} is not in {points:?}"))?;
    }
    for step in ["fetch_netdev", "restore_netdev", "free"] {
        expect(points.contains(&format!("{step}.begun")), format!("{step} is not in {points:?}"))?;
    }
    Ok(points)
}

/// It must have been killed there, and the next command must put everything right.
fn recovered(output: &Output, before: &[String], point: &str) -> Result<(), Failed> {
    let told = |error: Failed| told(point, &error);
    expect(output.status.signal() == Some(9), format!("not killed at {point}: {output:?}"))?;
    succeed(&["reconcile"]).map_err(told)?;
    stays(before).map_err(told)
}

pub fn told(point: &str, error: &Failed) -> Failed {
    format!("killed at {point}: {}", error.message().unwrap_or_default()).into()
}

fn once(lab: &Lab) -> Result<(), Failed> {
    let points = points_of_a_run(lab)?;
    let before = settled();
    for point in &points {
        recovered(&run_at(lab, point, "kill")?, &before, point)?;
    }
    println!("killed at {} points: {}", points.len(), points.join(" "));
    Ok(())
}

fn twice(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    // With everything to undo.
    let first = "start.begun";
    run_at(lab, first, "kill")?;
    let points = points(|| traced(&["reconcile"]))?;
    stays(&before)?;
    expect(points.len() > 4, format!("{points:?}"))?;
    for point in &points {
        run_at(lab, first, "kill")?;
        let again = at(&["reconcile"], point, "kill")?;
        recovered(&again, &before, &format!("{first}, then {point}"))?;
    }
    println!("killed again at {} points: {}", points.len(), points.join(" "));
    Ok(())
}

fn failing(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let errors = [libc::ENOSPC, libc::EIO, libc::EMFILE, libc::ENOMEM, libc::EROFS];
    let points = points_of_a_run(lab)?;
    // From there on nothing that cannot be noted stops anything.
    let forward = points.iter().position(|point| point == "start.begun").ok_or("no start")?;
    for (point, errno) in points[..=forward].iter().zip(errors.iter().cycle()) {
        let output = run_at(lab, point, &errno.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(output.status.code() == Some(125), format!("{point}, error {errno}: {output:?}"))?;
        expect(said.contains("os error"), format!("{point}, error {errno}: {said}"))?;
        stays(&before).map_err(|e| format!("failed at {point}: {}", e.message().unwrap_or_default()))?;
    }
    for point in &points[forward + 1..] {
        let output = run_at(lab, point, "5")?;
        expect(output.status.code() == Some(0), format!("{point}, on the way back: {output:?}"))?;
        stays(&before).map_err(|e| format!("failed at {point}: {}", e.message().unwrap_or_default()))?;
    }
    Ok(())
}
