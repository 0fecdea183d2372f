//! nicdock is killed while an HCA is on its way, there or back.

use std::os::unix::process::ExitStatusExt;

use libtest_mimic::Failed;

use super::{any, settle};
use crate::host::{settled, stays};
use crate::killed::{at, points, told, traced};
use crate::nicdock::{Running, eventually, expect, succeed};
use crate::shell::{Shell, forget_bundle, of_runtime};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("an_infiniband_nic_is_back_after_kill_9_of_nicdock", kill_nicdock, any),
    ("an_attached_infiniband_nic_is_back_when_its_container_dies", container_dies, any),
    ("killed_at_any_step_with_an_infiniband_nic_the_next_command_undoes_it", every_step, any),
    (
        "killed_at_any_step_of_attach_and_detach_of_an_hca_that_moves_the_next_command_undoes_it",
        attach_and_detach,
        |lab| lab.exclusive,
    ),
];

/// How a container that runs is given the NIC.
fn attaching(pid: &str) -> [&str; 7] {
    ["attach", "--nic", "hca0", "--pid", pid, "--name", "hpc"]
}

const RUN: [&str; 6] = ["run", "--nic", "hca0", "--host-root", "--", "true"];

fn kill_nicdock(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("hca0", &[], "sleep 90421; true")?;
    running.kill_supervisor()?;
    let text = succeed(&["reconcile"])?;
    expect(text.contains("hca0"), text)
}

fn container_dies(_: &Lab) -> Result<(), Failed> {
    let result = of_runtime("crun").and_then(|mut shell| {
        let pid = shell.pid()?;
        succeed(&attaching(&pid))?;
        drop(shell);
        eventually("the container has ended", || !std::path::Path::new(&format!("/proc/{pid}")).exists())?;
        succeed(&["reconcile"])
    });
    forget_bundle();
    let text = result?;
    expect(text.contains("hca0"), text)
}

fn attach_and_detach(_: &Lab) -> Result<(), Failed> {
    let result = of_runtime("crun").and_then(|mut shell| killed_in(&mut shell));
    forget_bundle();
    result
}

fn killed_in(shell: &mut Shell) -> Result<(), Failed> {
    let pid = shell.pid()?;
    let (attach, detach) = (attaching(&pid), ["detach", "hca0"]);
    let way = points(|| traced(&attach))?;
    let back = points(|| traced(&detach))?;
    settle()?;
    let before = settled();
    let there = way.iter().map(|point| (&attach[..], point));
    for (args, point) in there.chain(back.iter().map(|point| (&detach[..], point))) {
        if args == detach {
            succeed(&attach)?;
        }
        let output = at(args, point, "kill")?;
        expect(output.status.signal() == Some(9), format!("not killed at {point}: {output:?}"))?;
        let result = succeed(&["reconcile"]).and_then(|_| {
            // Handed over, or not taken yet, it is the container's.
            if succeed(&["leases"])?.contains("hca0") {
                expect(point == "attach.begun" || point == "seize.before", "it is kept")?;
                shell.ask("ip -o -4 address show ib0 | grep 10.99.0.1 && ls /dev/infiniband/uverbs*")?;
                succeed(&detach)?;
            }
            expect(!shell.ask("ls /sys/class/net")?.contains("ib0"), "ib0 is inside still")?;
            stays(&before)
        });
        result.map_err(|error| told(point, &error))?;
    }
    println!("killed at {} points: {} {}", way.len() + back.len(), way.join(" "), back.join(" "));
    Ok(())
}

fn every_step(_: &Lab) -> Result<(), Failed> {
    let points = points(|| traced(&RUN))?;
    settle()?;
    let before = settled();
    for point in &points {
        let output = at(&RUN, point, "kill")?;
        expect(output.status.signal() == Some(9), format!("not killed at {point}: {output:?}"))?;
        let result = succeed(&["reconcile"]).and_then(|_| stays(&before));
        result.map_err(|error| told(point, &error))?;
    }
    println!("killed at {} points: {}", points.len(), points.join(" "));
    Ok(())
}
