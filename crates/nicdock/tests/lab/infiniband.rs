//! InfiniBand, in labs with HCAs that pretend to be it (`cargo xtask lab --ib`): the netdevs are the kernel's own IPoIB.
//!
//! There is no subnet manager, so no netdev has a carrier, and nothing is sent.

pub mod children;
pub mod exclusive;
pub mod faults;
pub mod given;
pub mod rdma_cm;

use libtest_mimic::Failed;

use crate::host;
use crate::nicdock::{command, eventually, expect};
use crate::{Lab, Test};

/// Every test of these labs.
pub const TESTS: &[&[Test]] =
    &[given::TESTS, children::TESTS, exclusive::TESTS, rdma_cm::TESTS, faults::TESTS];

/// `hca0`'s netdev is in datagram mode with a smaller MTU and a second name, `hca1`'s in connected mode with a large one.
pub fn prepare() {
    let script = "set -e; grep -q 2044 /sys/class/net/ib0/mtu && exit 0
        ip link set ib0 mtu 2044; ip link property add dev ib0 altname fabric-a; ip link set ib0 up
        ip address add 10.99.0.1/24 dev ib0; ip route add 10.98.0.0/16 via 10.99.0.9
        echo connected >/sys/class/net/ib1/mode; ip link set ib1 mtu 16384; ip link set ib1 up
        echo 1 >/sys/class/net/ib1/umcast; ip address add 10.99.1.1/24 dev ib1";
    host::shell(script).expect("the tests need a lab with two HCAs");
    settle().expect("IPoIB is as always here");
}

/// A netdev that comes, or is moved, has a carrier until the driver looks for a subnet manager.
fn settle() -> Result<(), Failed> {
    let are_settled = || ["ib0", "ib1"].iter().all(|name| operstate(name) == "down");
    eventually("IPoIB has found no carrier", are_settled)
}

fn operstate(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/operstate")).unwrap_or_default();
    text.trim().to_owned()
}

fn any(_: &Lab) -> bool {
    true
}

fn shared(lab: &Lab) -> bool {
    !lab.exclusive
}

/// Runs a script in a container with the NIC; gives what it says, and what nicdock says, which ends with 0.
fn run(options: &[&str], script: &str) -> Result<(String, String), Failed> {
    let args = [&["run", "--host-root"], options, &["--", "sh", "-ec", script]].concat();
    let output = command(&args).stdin(std::process::Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    expect(output.status.success(), format!("{options:?}: {}\n{said}{told}", output.status))?;
    Ok((said, told))
}
