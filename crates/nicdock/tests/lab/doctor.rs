//! Holds the doctor's answers against a real host.

use std::fs;
use std::process::{Command, Output};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::host;
use crate::links::Pulled;
use crate::nicdock::{Running, eventually, expect, nicdock, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("the_doctor_tells_of_soft_roce_what_the_host_itself_tells", healthy, Lab::is_first),
    ("the_doctor_finds_what_was_broken_and_its_fix_cures_it", broken, Lab::is_first),
    ("the_doctor_says_unknown_of_what_an_ordinary_user_may_not_read", ordinary, Lab::is_first),
    ("the_doctor_judges_a_container_by_what_it_has", container, Lab::is_first),
];

fn answers(output: &Output) -> Result<Vec<Value>, Failed> {
    let listing: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(listing["checks"].as_array().cloned().unwrap_or_default())
}

fn examined(options: &[&str]) -> Result<Vec<Value>, Failed> {
    answers(&nicdock(&[&["doctor", "--json"], options].concat()))
}

/// The answer of a check, of a NIC or of the machine.
fn of<'a>(answers: &'a [Value], id: &str, nic: Option<&str>) -> Result<&'a Value, Failed> {
    let is_it = |one: &&Value| one["id"] == id && one["nic"].as_str() == nic;
    Ok(answers.iter().find(is_it).ok_or_else(|| format!("no {id} of {nic:?}: {answers:#?}"))?)
}

fn is(answers: &[Value], id: &str, nic: Option<&str>, status: &str) -> Result<String, Failed> {
    let one = of(answers, id, nic)?;
    expect(one["status"] == status, format!("{id} is not {status}: {one}"))?;
    Ok(one["evidence"].as_str().unwrap_or_default().to_owned())
}

fn healthy(_: &Lab) -> Result<(), Failed> {
    let found = examined(&[])?;
    for nic in ["rxe0", "rxe1"] {
        for id in ["link.state", "rdma.node_guid", "nodes.uverbs"] {
            is(&found, id, Some(nic), "ok")?;
        }
        let evidence = is(&found, "kernel.faults", Some(nic), "hint")?;
        expect(evidence.contains("works in the host's network namespace only"), evidence)?;
    }
    // The recommended GID is the one that has the netdev's IPv4 address, as the kernel has it in that place.
    let evidence = is(&found, "rdma.gid_index", Some("rxe0"), "ok")?;
    let index = evidence.split("NCCL_IB_GID_INDEX=").nth(1).and_then(|rest| rest.split(' ').next());
    let path = format!("/sys/class/infiniband/rxe0/ports/1/gids/{}", index.unwrap_or_default());
    let gid = fs::read_to_string(&path)?;
    expect(gid.trim().ends_with("ffff:0a4d:0101"), format!("{path}: {gid}: {evidence}"))?;
    // Limits, modes and rooms are those that other programs see.
    let limit = host::shell("ulimit -l")?;
    let evidence = of(&found, "memlock.caller", None)?["evidence"].to_string();
    let bytes =
        limit.trim().parse::<u64>().map_or_else(|_| limit.trim().to_owned(), |kib| (kib << 10).to_string());
    expect(evidence.contains(&bytes), format!("ulimit -l is {limit}: {evidence}"))?;
    let evidence = of(&found, "nodes.uverbs", Some("rxe0"))?["evidence"].to_string();
    let mode = host::shell("stat -c '%a' /dev/infiniband/uverbs0")?;
    expect(evidence.contains(mode.trim()), format!("{mode} {evidence}"))?;
    is(&found, "leases.state", None, "ok")?;
    is(&found, "kernel.seccomp", None, "ok")?;
    // Root may read everything: what stays unknown is what nothing here tells.
    let open = ["image.provider", "image.abi", "link.speed", "numa.cpus", "numa.devices", "engines.versions"];
    for one in found.iter().filter(|one| one["status"] == "unknown") {
        expect(open.iter().any(|id| one["id"] == *id), format!("unknown for root: {one}"))?;
    }
    // A capture of it gets the same answers elsewhere.
    succeed(&["capture", "--redact", "-f", "-o", "/tmp/doctor.tar.gz"])?;
    let captured = examined(&["--host", "/tmp/doctor.tar.gz"])?;
    fs::remove_file("/tmp/doctor.tar.gz")?;
    let told = |answers: &[Value]| -> Vec<String> {
        let kept = answers.iter().filter(|one| one["id"] != "leases.state");
        kept.map(|one| format!("{} {} {}", one["id"], one["nic"], one["status"])).collect()
    };
    expect(told(&found) == told(&captured), format!("{:#?}\n{:#?}", told(&found), told(&captured)))
}

fn broken(_: &Lab) -> Result<(), Failed> {
    // A cable that is pulled. rxe1 is on eth1, the second NIC.
    let pulled = Pulled::new(2)?;
    let state = || fs::read_to_string("/sys/class/infiniband/rxe1/ports/1/state").unwrap_or_default();
    eventually("the port is down", || state().contains("DOWN"))?;
    let output = nicdock(&["doctor", "--json", "--nic", "rxe1"]);
    expect(output.status.code() == Some(1), format!("{} with a problem", output.status))?;
    let evidence = is(&answers(&output)?, "link.state", Some("rxe1"), "problem")?;
    expect(evidence.contains("rxe1/ports/1/state: DOWN"), evidence)?;
    drop(pulled);
    eventually("the port is up", || state().contains("ACTIVE"))?;

    // Two NICs of one subnet with different MTUs.
    host::shell("ip address add 10.77.1.99/24 dev eth1 noprefixroute && ip link set eth1 mtu 1400")?;
    let found = examined(&["--nic", "rxe0", "--nic", "rxe1"]);
    let cured = found.and_then(|found| {
        let evidence = is(&found, "link.mtu", Some("rxe1"), "problem")?;
        expect(evidence == "eth1 has an MTU of 1400, eth0 of the same subnet one of 1500", &evidence)?;
        let fix = of(&found, "link.mtu", Some("rxe1"))?["fix"].as_str().unwrap_or_default().to_owned();
        let (command, _) = fix.split_once(',').unwrap_or_default();
        host::shell(command)?;
        is(&examined(&["--nic", "rxe1"])?, "link.mtu", Some("rxe1"), "ok")
    });
    host::shell("ip link set eth1 mtu 1500; ip address del 10.77.1.99/24 dev eth1")?;
    cured?;

    // Too little memory to pin.
    let script = "ulimit -l 64; exec nicdock doctor --json --nic rxe0";
    let output = Command::new("sh").args(["-c", script]).output()?;
    expect(output.status.code() == Some(1), format!("{} with a problem", output.status))?;
    let evidence = is(&answers(&output)?, "memlock.caller", None, "problem")?;
    expect(evidence.contains("soft, 65536"), evidence)?;

    // A node that nobody but root may open, as a udev rule may leave it.
    host::shell("chmod 0600 /dev/infiniband/uverbs0")?;
    let found = examined(&["--nic", "rxe0"]);
    host::shell("chmod 0666 /dev/infiniband/uverbs0")?;
    is(&found?, "nodes.uverbs", Some("rxe0"), "hint").map(drop)
}

fn ordinary(_: &Lab) -> Result<(), Failed> {
    let script = "exec setpriv --reuid 1000 --regid 1000 --clear-groups nicdock doctor --json";
    let found = answers(&Command::new("sh").args(["-c", script]).output()?)?;
    // Other processes' namespaces, and what of PCI configuration space is not the header.
    for (id, nic) in [("rdma.netns_mode", None), ("pcie.relaxed_ordering", Some("rxe0"))] {
        let one = of(&found, id, nic)?;
        expect(one["status"] == "unknown" && one["fix"].is_string(), one)?;
    }
    Ok(())
}

fn container(_: &Lab) -> Result<(), Failed> {
    let options = ["--netdev", "keep", "--name", "patient", "--memlock", "64K", "--shm-size", "32M"];
    let running = Running::start("rxe1", &options, "sleep 1000")?;
    let found = examined(&["--container", "patient"])?;
    let evidence = is(&found, "memlock.caller", None, "problem")?;
    expect(evidence.contains("soft, 65536"), evidence)?;
    let evidence = is(&found, "host.shared_memory", None, "problem")?;
    expect(evidence.contains("/root/dev/shm: 32 MiB"), evidence)?;
    is(&found, "nodes.uverbs", Some("rxe1"), "ok")?;
    is(&found, "leases.state", Some("rxe1"), "ok")?;
    expect(found.iter().all(|one| one["nic"] != "rxe0"), "rxe0 is not the container's")?;
    let pid = of(&found, "memlock.caller", None)?["evidence"].as_str().unwrap_or_default().to_owned();
    let pid = pid.strip_prefix("/proc/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    is(&examined(&["--pid", pid])?, "memlock.caller", None, "problem")?;
    drop(running);
    Ok(())
}
