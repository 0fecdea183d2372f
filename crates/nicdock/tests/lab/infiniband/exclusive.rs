//! Where RDMA network namespaces are exclusive, the kernel destroys a moving HCA's netdevs and makes new ones.

use libtest_mimic::Failed;

use super::run;
use crate::nicdock::{expect, fail, succeed};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    ("an_hca_that_moves_has_a_new_ipoib_netdev_inside_with_what_the_host_has_set", new_netdev, exclusive),
    ("an_hca_that_moves_does_not_leave_its_netdev_to_the_host", keep, exclusive),
];

fn exclusive(lab: &Lab) -> bool {
    lab.exclusive
}

fn new_netdev(_: &Lab) -> Result<(), Failed> {
    let queue_pair = |text: &str| text.trim().get(..11).map(str::to_owned);
    let there = "cat /sys/class/net/ib0/address";
    let before = host::shell(there)?;
    let (said, _) =
        run(&["--nic", "hca0"], &format!("{there}; ip -o -4 address show ib0; ls /sys/class/infiniband"))?;
    expect(said.contains("10.99.0.1/24") && said.contains("hca0") && !said.contains("hca1"), &said)?;
    let after = host::shell(there)?;
    // The port's part is the same. The queue pair's may be, should the driver give the same number out again.
    expect(
        said.get(11..59) == before.get(11..59) && after.get(11..59) == before.get(11..59),
        format!("{before}{said}{after}"),
    )?;
    println!(
        "queue pairs: {:?}, inside {:?}, then {:?}",
        queue_pair(&before),
        queue_pair(&said),
        queue_pair(&after)
    );
    Ok(())
}

fn keep(_: &Lab) -> Result<(), Failed> {
    let before = host::settled();
    let asked = ["--nic", "hca0", "--netdev", "keep", "--host-root", "--", "true"];
    let told = fail(125, &[&["run"], &asked[..]].concat())?;
    expect(told.contains("destroys ib0 and its children") && told.contains("leave it out"), &told)?;
    let planned =
        fail(7, &[&["plan"], &asked[..]].concat()).or_else(|_| fail(1, &[&["plan"], &asked[..]].concat()))?;
    expect(planned.contains("destroys ib0"), planned)?;
    expect(succeed(&["leases"])?.contains("No NIC is leased"), "a lease stays")?;
    host::stays(&before)
}
