//! Interfaces on top of a NIC, which its move would destroy or cut off.

use libtest_mimic::Failed;

use super::on_a_host_with;
use crate::nicdock::{expect, fail, nicdock};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    ("a_nic_with_another_interface_on_top_of_it_is_in_use", in_use, Lab::is_oldest_or_newest),
    ("soft_roce_moves_also_where_modules_of_tunnels_are_loaded", tunnels, |lab| {
        lab.moves_soft_roce() && lab.is_first_of_its_kernel()
    }),
];

const UPPERS: [(&str, &str); 4] = [
    ("vxlan", "ip link add on3 type vxlan id 9 dev eth3 dstport 4790"),
    ("vlan", "ip link add link eth3 name on3 type vlan id 9"),
    ("macvlan", "ip link add link eth3 name on3 type macvlan"),
    ("gre", "ip link add on3 type gre remote 10.77.4.9 local 10.77.4.1 dev eth3"),
];

fn in_use(_: &Lab) -> Result<(), Failed> {
    for (kind, make) in UPPERS {
        on_a_host_with(make, "ip link del on3", || {
            let errors = fail(125, &["run", "--host-root", "--nic", "eth3", "--", "true"])?;
            expect(errors.contains(&format!("{kind} on3 is stacked on eth3")), errors)?;
            host::shell("ip link show on3").map(drop)
        })?;
    }
    host::shell("for module in vxlan ip_gre gre; do rmmod $module 2>/dev/null || true; done").map(drop)
}

fn tunnels(_: &Lab) -> Result<(), Failed> {
    let make = "modprobe ip_gre; modprobe ip6_tunnel; rm -f /run/nicdock/soft-roce-in-netns";
    on_a_host_with(make, "rmmod ip_gre ip6_tunnel; rmmod gre tunnel6 ip_tunnel 2>/dev/null || true", || {
        let output = nicdock(&["run", "--host-root", "--nic", "rxe0", "--", "true"]);
        expect(output.status.success(), String::from_utf8_lossy(&output.stderr))
    })
}
