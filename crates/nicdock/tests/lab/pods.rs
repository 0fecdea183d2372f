//! Containers that share a network namespace, as a pod's do: further ones join those that have the NIC.

use std::os::unix::process::ExitStatusExt;

use libtest_mimic::Failed;

use crate::attach::works;
use crate::engine::rxe1;
use crate::host::{settled, stays};
use crate::killed::{at, points, told, traced};
use crate::nicdock::{eventually, expect, succeed};
use crate::shell::{accepting, beside, unshared};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[(
    "killed_at_any_step_of_joining_the_others_keep_the_nic_and_the_next_command_undoes_the_rest",
    killed,
    Lab::is_oldest_or_newest,
)];

/// The containers that have the NIC, in the order in which they came.
pub fn is_held_by(names: &[&str]) -> Result<(), Failed> {
    eventually(&format!("the NIC is held by {names:?}"), || {
        succeed(&["leases", "--json"]).is_ok_and(|list| holders(&list) == names)
    })
}

fn holders(list: &str) -> Vec<String> {
    let leases: serde_json::Value = serde_json::from_str(list).unwrap_or_default();
    let holders = leases["leases"][0]["holders"].as_array().cloned().unwrap_or_default();
    holders.iter().filter_map(|holder| holder["container"].as_str().map(str::to_owned)).collect()
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let mut first = unshared(lab)?;
    let pid = first.pid()?;
    let nic = [rxe1(lab), accepting(lab).to_vec()].concat();
    succeed(&[&["attach", "--pid", &pid, "--name", "first"], &nic[..]].concat())?;
    works(&mut first)?;
    let programs = || std::fs::read_dir("/run/nicdock/bpf").map_or(0, Iterator::count);
    let had = programs();

    let mut second = beside(lab, &pid)?;
    let its = second.pid()?;
    let way = points(|| traced(&[&["attach", "--pid", &its, "--name", "second"], &nic[..]].concat()))?;
    is_held_by(&["first", "second"])?;
    works(&mut second)?;
    drop(second);
    for step in ["join", "give", "show", "attach"] {
        expect(way.contains(&format!("{step}.begun")), format!("{step} is not in {way:?}"))?;
    }
    for point in way.iter().filter(|point| point.ends_with("begun")) {
        let told = |error: Failed| told(point, &error);
        succeed(&["reconcile"]).map_err(told)?;
        let mut second = beside(lab, &pid)?;
        let its = second.pid()?;
        let args = [&["attach", "--pid", &its, "--name", "second"], &nic[..]].concat();
        let output = at(&args, point, "kill")?;
        expect(output.status.signal() == Some(9), format!("not killed at {point}: {output:?}"))?;
        succeed(&["reconcile"]).map_err(told)?;
        if point == "attach.begun" {
            is_held_by(&["first", "second"])?;
            works(&mut second).map_err(told)?;
        } else {
            is_held_by(&["first"]).map_err(told)?;
            expect(programs() == had, format!("{point}: programs of the second are kept"))?;
        }
        works(&mut first).map_err(told)?;
    }
    println!("killed at {}", way.join(" "));
    drop(first);
    succeed(&["reconcile"])?;
    stays(&before)
}
