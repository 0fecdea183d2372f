//! nicdock is killed while an HCA is on its way, there or back.

use std::os::unix::process::ExitStatusExt;

use libtest_mimic::Failed;

use super::{any, settle};
use crate::host::{settled, stays};
use crate::killed::{at, points, told, traced};
use crate::nicdock::{Running, expect, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("an_infiniband_nic_is_back_after_kill_9_of_nicdock", kill_nicdock, any),
    ("killed_at_any_step_with_an_infiniband_nic_the_next_command_undoes_it", every_step, any),
];

const RUN: [&str; 6] = ["run", "--nic", "hca0", "--host-root", "--", "true"];

fn kill_nicdock(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("hca0", &[], "sleep 90421; true")?;
    running.kill_supervisor()?;
    let text = succeed(&["reconcile"])?;
    expect(text.contains("hca0"), text)
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
