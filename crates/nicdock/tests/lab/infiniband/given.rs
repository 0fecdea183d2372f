//! A container has its HCA and no other, and the host has it back as it was.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::{any, run};
use crate::nicdock::{Running, expect, fail, nicdock, succeed};
use crate::shell::{Shell, forget_bundle, of_runtime};
use crate::{Lab, Test, audit, engine, host};

pub const TESTS: &[Test] = &[
    ("an_infiniband_nic_has_its_ipoib_inside_and_comes_back_as_it_was", as_it_was, any),
    ("an_infiniband_nic_has_another_name_and_address_inside", renamed, any),
    ("an_ipoib_netdev_in_connected_mode_keeps_its_mode_and_mtu", connected, any),
    ("what_a_program_changes_of_ipoib_is_put_back", changed, any),
    ("two_containers_have_an_hca_each_and_neither_sees_the_other", two, any),
    ("attached_to_a_container_of_crun_an_infiniband_nic_is_there_and_detached_it_is_back", attached, any),
    ("a_port_that_no_subnet_manager_has_set_up_is_told_so", no_subnet_manager, any),
    ("the_audit_finds_nothing_foreign_in_a_container_with_one_hca_of_two", audited, any),
];

/// What is seen of HCAs.
const LOOK: &str = "ls /sys/class/infiniband /dev/infiniband /sys/class/net | tr '\\n' ' '";

/// Nothing waits for what will not come.
const SOON: Duration = Duration::from_secs(12);

fn as_it_was(_: &Lab) -> Result<(), Failed> {
    let begin = Instant::now();
    let (said, told) =
        run(&["--nic", "hca0"], &format!("{LOOK}; ip -o -4 address show ib0; cat /sys/class/net/ib0/mtu"))?;
    let took = begin.elapsed();
    expect(
        said.starts_with("/dev/infiniband: uverbs0  /sys/class/infiniband: hca0  /sys/class/net: ib0 lo "),
        &said,
    )?;
    expect(said.contains("10.99.0.1/24") && said.ends_with("2044\n"), &said)?;
    expect(told.is_empty(), told)?;
    expect(took < SOON, format!("it took {took:.1?}"))
}

fn renamed(_: &Lab) -> Result<(), Failed> {
    let options = ["--nic", "ib0", "--as", "fabric0", "--ip", "10.55.0.1/24"];
    let (said, told) = run(&options, &format!("{LOOK}; ip -o -4 address"))?;
    expect(
        said.contains("/sys/class/net: fabric0 lo ") && said.contains("fabric0    inet 10.55.0.1/24"),
        &said,
    )?;
    expect(!said.contains("10.99.0.1") && told.is_empty(), format!("{said}{told}"))
}

fn connected(_: &Lab) -> Result<(), Failed> {
    let (said, told) = run(&["--nic", "hca1"], "ip -d link show ib1")?;
    expect(said.contains("mtu 16384") && said.contains("mode connected"), &said)?;
    expect(told.is_empty(), told)
}

/// Its mode, and with that its MTU, umcast, and the part of its address that is the port's.
fn changed(_: &Lab) -> Result<(), Failed> {
    let script = "ip link set ib0 type ipoib mode connected; ip link set ib0 type ipoib umcast 1; ip link set ib0 mtu 9000; \
                  ip link set ib0 down; a=$(cat /sys/class/net/ib0/address); ip link set ib0 address ${a%:*}:77; ip -d link show ib0";
    let (said, told) = run(&["--nic", "hca0", "--cap-add", "NET_ADMIN", "--weaken"], script)?;
    expect(
        said.contains("mode connected") && said.contains("umcast 0001") && said.contains(":4e:49:77 "),
        &said,
    )?;
    expect(!told.contains("ib0 is back") && !told.contains("error"), told)
}

fn two(_: &Lab) -> Result<(), Failed> {
    let running = Running::start("hca0", &[], "sleep 90401; true")?;
    let (said, _) = run(&["--nic", "hca1"], LOOK)?;
    expect(
        said.starts_with("/dev/infiniband: uverbs1  /sys/class/infiniband: hca1  /sys/class/net: ib1 lo "),
        &said,
    )?;
    let refused = fail(125, &["run", "--host-root", "--nic", "hca0", "--", "true"])?;
    expect(refused.contains("held by container"), refused)?;
    drop(running);
    Ok(())
}

fn attached(_: &Lab) -> Result<(), Failed> {
    let result = of_runtime("crun").and_then(attach_and_detach);
    forget_bundle();
    result
}

fn attach_and_detach(mut shell: Shell) -> Result<(), Failed> {
    let pid = shell.pid()?;
    let before = host::settled();
    for _ in 0..2 {
        succeed(&["attach", "--nic", "hca0", "--pid", &pid, "--name", "hpc"])?;
        let said = shell
            .ask(&format!("{LOOK}; ip -o -4 address show ib0; exec 9<>/dev/infiniband/uverbs0; exec 9>&-"))?;
        expect(said.contains("/sys/class/infiniband: hca0 ") && said.contains("10.99.0.1/24"), &said)?;
        let begin = Instant::now();
        succeed(&["detach", "hca0"])?;
        expect(begin.elapsed() < SOON, format!("detach took {:.1?}", begin.elapsed()))?;
        host::stays(&before)?;
        let said = shell.ask("ls /sys/class/net")?;
        expect(!said.contains("ib0"), said)?;
    }
    Ok(())
}

fn no_subnet_manager(_: &Lab) -> Result<(), Failed> {
    // The test device's knob (lab/README.md).
    let knob = |word: &str| host::shell(&format!("ip -n hidden-eth0 link set eth0 allmulticast {word}"));
    knob("on")?;
    let waited = fail(125, &["run", "--host-root", "--nic", "hca0", "--link-timeout", "1", "--", "true"]);
    let at_once = run(&["--nic", "hca0", "--no-link-wait"], "true");
    knob("off")?;
    let waited = waited?;
    expect(
        waited.contains("port 1 of hca0 is INIT") && waited.contains("no subnet manager has set the port up"),
        &waited,
    )?;
    let (_, told) = at_once?;
    expect(told.contains("its link is not waited for"), told)
}

fn audited(_: &Lab) -> Result<(), Failed> {
    let output = nicdock(&["run", "--audit", "--host-root", "--nic", "hca0", "--", "--json"]);
    engine::nothing_open(&audit::report(&output)?)
}
