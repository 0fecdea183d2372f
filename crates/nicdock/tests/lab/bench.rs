//! Measures on the host and in containers in turn, and has the host back as it was.

use std::fs;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::nicdock::{Running, command, eventually, expect, fail, nicdock, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("bench_compares_container_and_host_in_one_run", compares, moves),
    ("bench_that_is_interrupted_prints_what_there_is_and_gives_the_nics_back", interrupted, moves),
    ("bench_refuses_what_it_cannot_measure_and_changes_nothing", refuses, moves),
    ("bench_says_that_a_netdev_has_to_move_where_it_cannot", cannot_move, |lab| {
        lab.is_first() && !lab.moves_soft_roce()
    }),
];

const NICS: [&str; 5] = ["bench", "--nic", "rxe0", "--nic2", "rxe1"];

fn moves(lab: &Lab) -> bool {
    lab.is_first_of_its_kernel() && lab.moves_soft_roce()
}

fn compares(_: &Lab) -> Result<(), Failed> {
    let files = ["/tmp/bench.json", "/tmp/bench.html", "/tmp/bench.svg"];
    let options =
        ["--tests", "lat", "--rounds", "3", "--json", files[0], "--html", files[1], "--svg", files[2]];
    let table = succeed(&[&NICS[..], &options].concat())?;
    let [json, html, svg] = files.map(|file| fs::read_to_string(file).unwrap_or_default());
    files.iter().try_for_each(fs::remove_file)?;
    let report: Value = serde_json::from_str(&json)?;
    expect(report["schema"] == 1 && report["interrupted"] == false, &json)?;
    let tests = report["tests"].as_array().ok_or("no tests")?;
    let sizes: Vec<&Value> = tests.iter().map(|test| &test["size"]).collect();
    expect(sizes == [8, 4096], format!("{sizes:?}"))?;
    for test in tests {
        for profile in ["host", "container"] {
            let rounds = test[profile]["rounds"].as_array().map(Vec::len);
            expect(rounds == Some(3) && test[profile]["median"].as_f64() > Some(0.0), test)?;
        }
        let (ratio, low, high) = (&test["ratio"], &test["interval"][0], &test["interval"][1]);
        let [ratio, low, high] = [ratio, low, high].map(|number| number.as_f64().unwrap_or(f64::NAN));
        expect(0.0 < low && low <= ratio && ratio <= high, test)?;
        // Three rounds are too few to say anything.
        let verdict = test["verdict"].as_str().unwrap_or_default();
        expect(verdict.starts_with("not decided, ± ") && table.contains(verdict), verdict)?;
    }
    let disturbances = report["disturbances"].to_string();
    expect(
        disturbances.contains("rxe0 is software") && disturbances.contains("one processor"),
        &disturbances,
    )?;
    for shown in [&html, &svg] {
        expect(shown.contains("rxe0") && shown.contains("rxe1"), shown)?;
    }
    Ok(())
}

fn interrupted(_: &Lab) -> Result<(), Failed> {
    let options = ["--tests", "rate", "--rounds", "1000"];
    let bench =
        command(&[&NICS[..], &options].concat()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let holds = |nic: &str| {
        let leases: Value =
            serde_json::from_slice(&nicdock(&["leases", "--json"]).stdout).unwrap_or_default();
        leases["leases"].to_string().contains(&format!("\"{nic}\""))
    };
    eventually("both NICs are in containers", || holds("rxe0") && holds("rxe1"))?;
    let sent = Command::new("kill").args(["-INT", &bench.id().to_string()]).status()?;
    let output = bench.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    expect(sent.success() && output.status.code() == Some(130), format!("{}: {said}", output.status))?;
    expect(said.contains("It was interrupted"), &said)?;
    expect(!holds("rxe0") && !holds("rxe1"), "a NIC has not come back")
}

fn refuses(_: &Lab) -> Result<(), Failed> {
    let says = |status: i32, options: &[&str], word: &str| {
        let said = fail(status, options)?;
        expect(said.contains(word), said)
    };
    says(3, &["bench", "--nic", "rxe0"], "name the other one with --nic2")?;
    says(12, &["bench", "--nic", "rxe0", "--nic2", "rxe0"], "both rxe0: name two NICs")?;
    says(3, &["bench", "--nic", "rxe0", "--nic2", "rxe77"], "rxe77")?;
    says(2, &[&NICS[..], &["--tests", "speed"]].concat(), "expected lat, bw, rate")?;
    says(2, &[&NICS[..], &["--rounds", "0"]].concat(), "--rounds")?;
    says(125, &[&NICS[..], &["--json", "/nowhere/b"]].concat(), "cannot write /nowhere/b")?;
    let held = Running::start("rxe1", &[], "sleep 1000")?;
    says(5, &NICS, "rxe1")?;
    drop(held);
    // As where nobody has installed perftest.
    let script =
        "mkdir /tmp/few && ln -s $(command -v nicdock) /tmp/few && PATH=/tmp/few; exec nicdock \"$@\"";
    let output = Command::new("/bin/sh").args(["-c", script, "sh"]).args(NICS).output()?;
    fs::remove_dir_all("/tmp/few")?;
    let said = String::from_utf8_lossy(&output.stderr);
    expect(output.status.code() == Some(7) && said.contains("apt install ibverbs-utils"), said)
}

fn cannot_move(_: &Lab) -> Result<(), Failed> {
    let said = fail(7, &NICS)?;
    expect(said.contains("rxe0"), said)
}
