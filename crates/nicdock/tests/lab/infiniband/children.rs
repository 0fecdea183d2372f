//! Children of an IPoIB netdev, for other partitions: unlike a VLAN one comes to the host when its network namespace dies.

use libtest_mimic::Failed;

use super::{any, run, shared};
use crate::nicdock::{Running, expect, fail, nicdock};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    ("a_child_that_a_container_makes_on_its_ipoib_is_removed_with_it", made_inside, any),
    ("a_child_whose_nicdock_was_killed_is_told_when_it_comes_to_the_host", killed, shared),
    ("an_hca_whose_ipoib_has_children_on_the_host_is_not_moved", on_host, any),
];

const NET_ADMIN: [&str; 5] = ["--nic", "hca0", "--cap-add", "NET_ADMIN", "--weaken"];

/// It has the name of an interface of the host's.
fn made_inside(lab: &Lab) -> Result<(), Failed> {
    let script =
        "ip link add link ib0 name ib1 type ipoib pkey 0x8001; ip link set ib1 up; ip -o link show ib1";
    let (said, told) = run(&NET_ADMIN, script)?;
    expect(said.contains("ib1@ib0"), &said)?;
    // Where the RDMA device moves the kernel destroys it.
    let removed = "removed ib1, which was made inside as a child of ib0";
    expect(lab.exclusive || told.contains(removed), &told)?;
    expect(!host::shell("ip -o link")?.contains("@ib0"), "a child is on the host")
}

fn killed(_: &Lab) -> Result<(), Failed> {
    let script = "ip link add link ib0 name ib0.8001 type ipoib pkey 0x8001; echo made; sleep 90411; true";
    let mut running = Running::with(&NET_ADMIN, script)?;
    running.says("made")?;
    running.kill_supervisor()?;
    let output = nicdock(&["reconcile"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let there = host::shell("ip -o link")?.contains("ib0.8001@ib0");
    if there {
        host::shell("ip link delete ib0.8001")?;
    }
    expect(output.status.success(), format!("{output:?}"))?;
    expect(there == told.contains("ib0.8001 is there, a child of ib0"), format!("{there}: {told}"))
}

fn on_host(lab: &Lab) -> Result<(), Failed> {
    host::shell("ip link add link ib0 name ib0.8001 type ipoib pkey 0x8001")?;
    let before = host::settled();
    let asked = ["run", "--host-root", "--nic", "hca0", "--take-in-use"];
    let moved = fail(125, &[&asked[..], &["--", "true"]].concat());
    let kept = nicdock(&[&asked[..], &["--netdev", "keep", "--", "true"]].concat());
    let same = host::stays(&before);
    host::shell("ip link delete ib0.8001")?;
    let moved = moved?;
    expect(
        moved.contains("ib0.8001 is an IPoIB child of ib0") && moved.contains("ip link delete ib0.8001"),
        moved,
    )?;
    let status = if lab.exclusive { Some(125) } else { Some(0) };
    expect(kept.status.code() == status, format!("{kept:?}"))?;
    same
}
