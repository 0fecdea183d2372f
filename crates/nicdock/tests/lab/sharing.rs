//! Two containers with one NIC: the second joins the first one's network namespace.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::nicdock::{Running, expect, fail, nicdock, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_joined_container_has_the_same_nic_and_namespace", joined, Lab::is_first_of_its_kernel),
    ("the_nic_stays_until_the_last_of_its_containers_has_ended", last, Lab::is_first_of_its_kernel),
    ("kill_9_of_the_first_supervisor_leaves_the_second_container_alone", killed, Lab::is_first_of_its_kernel),
    ("a_killed_second_container_is_ended_with_the_first", second_killed, Lab::is_first_of_its_kernel),
    ("joining_what_does_not_run_is_refused", refused, Lab::is_first),
    ("the_rdma_cgroup_limits_contexts", limits, |_| true),
];

fn first(script: &str) -> Result<Running, Failed> {
    Running::start("eth3", &["--name", "first"], script)
}

/// A container that joins `first` and runs until its script ends.
fn second(script: &str) -> Result<Running, Failed> {
    Running::with(&["--join", "first", "--name", "second"], script)
}

fn joined(_: &Lab) -> Result<(), Failed> {
    std::fs::create_dir_all("/tmp/share")?;
    let _running = Running::start(
        "eth3",
        &["--name", "first", "-v", "/tmp/share:/share"],
        "readlink /proc/self/ns/net >/share/ns; echo ready; sleep 90020; true",
    )?;
    crate::nicdock::eventually("the first has told", || {
        std::fs::read_to_string("/tmp/share/ns").is_ok_and(|text| text.ends_with('\n'))
    })?;
    let of_first = std::fs::read_to_string("/tmp/share/ns")?;
    std::fs::remove_dir_all("/tmp/share")?;
    let text = succeed(&[
        "run",
        "--join",
        "first",
        "--host-root",
        "--",
        "sh",
        "-c",
        "readlink /proc/self/ns/net; ip -br address show eth3; ls /sys/class/net",
    ])?;
    expect(text.starts_with(&of_first), format!("{of_first} is not in\n{text}"))?;
    expect(text.contains("10.77.4.1/24") && text.ends_with("eth3\nlo\n"), text)
}

fn held_by() -> Result<Value, Failed> {
    let listing: Value = serde_json::from_str(&succeed(&["ls", "--json", "--all"])?)?;
    let nics = listing["nics"].as_array().ok_or("no list")?;
    let nic = nics.iter().find(|nic| nic["netdev"] == "eth3").ok_or("no eth3")?;
    let names = |value: &Value| value["container"].clone();
    let shared: Vec<Value> = nic["shared_with"].as_array().ok_or("no list")?.iter().map(names).collect();
    Ok(serde_json::json!([names(&nic["held_by"]), shared]))
}

fn last(_: &Lab) -> Result<(), Failed> {
    let first = first("sleep 90022; true")?;
    let second =
        second("while ip address show eth3 >/dev/null && ! [ -e /tmp/end ]; do sleep 0.1; done; exit 5")?;
    expect(held_by()? == serde_json::json!(["first", ["second"]]), held_by()?)?;
    first.signal("KILL", "90022")?;
    expect(first.wait()? == Some(137), "the first")?;
    expect(held_by()? == serde_json::json!(["second", []]), held_by()?)?;
    fail(125, &["run", "--nic", "eth3", "--host-root", "--", "true"])?;
    let third =
        succeed(&["run", "--join", "second", "--host-root", "--", "ip", "-br", "address", "show", "eth3"])?;
    expect(third.contains("10.77.4.1/24"), third)?;
    second.signal("KILL", "while ip address")?;
    expect(second.wait()? == Some(137), "the second")
}

fn killed(_: &Lab) -> Result<(), Failed> {
    let share = tempfile::tempdir()?;
    let volume = format!("{}:/share:ro", share.path().display());
    let mut first = first("sleep 90021; true")?;
    let script =
        "until [ -e /share/end ]; do sleep 0.1; done; ip -br address show eth3 | grep -q 10.77.4.1/24";
    let second = Running::with(&["--join", "first", "--name", "second", "-v", &volume], script)?;
    first.kill_supervisor()?;
    let text = succeed(&["reconcile"])?;
    expect(text.contains("eth3") && text.contains("first") && text.contains("others"), text)?;
    expect(held_by()? == serde_json::json!(["second", []]), held_by()?)?;
    std::fs::write(share.path().join("end"), "")?;
    expect(second.wait()? == Some(0), "the second lost the NIC")
}

fn second_killed(_: &Lab) -> Result<(), Failed> {
    let first = first("sleep 90023; true")?;
    let mut second = second("sleep 90024; true")?;
    second.kill_supervisor()?;
    first.signal("KILL", "90023")?;
    // No other nicdock command ran: the first one's end is the second's too.
    expect(first.wait()? == Some(137), "the first")?;
    succeed(&["run", "--nic", "eth3", "--name", "second", "--host-root", "--", "true"]).map(drop)
}

fn refused(_: &Lab) -> Result<(), Failed> {
    let text = fail(125, &["run", "--join", "nobody", "--host-root", "--", "true"])?;
    expect(text.contains("nobody"), text)?;
    fail(2, &["run", "--join", "nobody", "--nic", "eth3", "--host-root", "--", "true"]).map(drop)
}

fn limits(_: &Lab) -> Result<(), Failed> {
    let with = |limit: &str| {
        nicdock(&[
            "run",
            "--nic",
            "rxe1",
            "--netdev",
            "keep",
            "--hca-handles",
            limit,
            "--host-root",
            "--",
            "ibv_devinfo",
        ])
    };
    let none = with("0");
    expect(!none.status.success(), format!("{none:?}"))?;
    let some = with("4");
    expect(
        some.status.success() && String::from_utf8_lossy(&some.stdout).contains("rxe1"),
        format!("{some:?}"),
    )?;
    let text = fail(125, &["run", "--nic", "eth3", "--hca-handles", "1", "--host-root", "--", "true"])?;
    expect(text.contains("--hca-handles"), text)
}
