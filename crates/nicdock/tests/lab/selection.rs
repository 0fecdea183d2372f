//! `nicdock plan` says what will be, and changes nothing.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::nicdock::{expect, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("the_plan_tells_what_the_container_will_see", plan_json, Lab::is_first),
    ("a_dry_run_is_the_plan", dry_run, Lab::is_first),
];

fn plan_json(_: &Lab) -> Result<(), Failed> {
    let text = succeed(&["plan", "--json", "--nic", "eth3", "--as", "fabric0", "--host-root", "--", "true"])?;
    let plan: Value = serde_json::from_str(&text)?;
    let nic = &plan["container"]["nics"][0];
    expect(nic["netdev"] == "fabric0" && nic["rdma_device"].is_null(), nic)?;
    expect(nic["addresses"] == serde_json::json!(["10.77.4.1/24", "fd77:4::1/64"]), nic)?;
    let by_subnet = succeed(&[
        "plan",
        "--json",
        "--nic",
        "subnet=10.77.2.0/24",
        "--netdev",
        "keep",
        "--host-root",
        "--",
        "true",
    ])?;
    let plan: Value = serde_json::from_str(&by_subnet)?;
    expect(plan["container"]["nics"][0]["nodes"] == serde_json::json!(["/dev/infiniband/uverbs1"]), by_subnet)
}

fn dry_run(_: &Lab) -> Result<(), Failed> {
    let text = succeed(&["run", "--dry-run", "--nic", "eth3", "--host-root", "--", "true"])?;
    expect(["reserve", "prepare", "enter", "verify", "return"].iter().all(|phase| text.contains(phase)), text)
}
