//! Links of every kind on the host: those beside a NIC are as before when it comes back, those on top of it keep it.

use libtest_mimic::Failed;

use super::on_a_host_with;
use crate::nicdock::{expect, nicdock};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    ("links_of_every_kind_beside_a_nic_are_as_before_when_it_is_back", beside, Lab::is_oldest_or_newest),
    ("a_nic_under_links_of_any_kind_is_refused_and_nothing_moves", on_top, Lab::is_oldest_or_newest),
];

/// Each for itself, as far as the kernel has it; on eth2, or on nothing.
const BESIDE: [&str; 31] = [
    "k1 type bond mode 802.3ad miimon 100",
    "k2 type bridge vlan_filtering 1 mcast_snooping 1",
    "k3 type vxlan id 9 external dstport 4790",
    "k4 type geneve id 9 remote 10.77.3.9",
    "k5 type gretap remote 10.77.3.9 local 10.77.3.1",
    "k6 type erspan seq key 30 local 10.77.3.1 remote 10.77.3.9 erspan_ver 1 erspan 123",
    "k7 type ip6gretap remote fd77:3::9 local fd77:3::1",
    "k8 type ip6tnl remote fd77:3::9 local fd77:3::1",
    "k9 type sit remote 10.77.3.9 local 10.77.3.1",
    "k10 type vti remote 10.77.3.9 local 10.77.3.1 key 5",
    "k11 type xfrm dev eth2 if_id 7",
    "k12 link eth2 type macsec encrypt on",
    "k13 type vrf table 77",
    "k14 type ifb",
    "k15 type nlmon",
    "k16 type wireguard",
    "k17 type netkit",
    "k18 type veth peer name k18b",
    "k19 type dummy",
    "k20 type amt mode gateway local 10.77.3.1 discovery 10.77.3.9 dev eth2 relay_port 2268",
    "k21 type bareudp dstport 6635 ethertype mpls_uc",
    "k22 type hsr slave1 k18 slave2 k18b supervision 45",
    "k23 type team",
    "k24 type batadv",
    "k25 link eth2 type vlan protocol 802.1ad id 7 egress-qos-map 1:2",
    "k26 link eth2 type vlan id 8",
    "k27 type ipip remote 10.77.3.9 local 10.77.3.1",
    "k28 type ip6gre remote fd77:3::9 local fd77:3::1",
    "k29 type gre remote 10.77.3.9 local 10.77.3.1 key 7",
    "k30 type vxlan id 10 dev eth2 group 239.1.1.1 dstport 4789",
    "k31 type gtp role sgsn",
];

/// What can be on one netdev together: only one has its receive handler (`netdev_rx_handler_register()`).
const ON_TOP: [&[&str]; 5] = [
    &[
        "k1 link eth3 type vlan id 8",
        "k2 link eth3 type vlan protocol 802.1ad id 7",
        "k3 link eth3 type macvlan",
        "k4 link eth3 type macvtap mode bridge",
        "k5 type vxlan id 9 dev eth3 dstport 4790",
        "k6 type gre remote 10.77.4.9 local 10.77.4.1 dev eth3",
        "k7 type ipip remote 10.77.4.9 local 10.77.4.1 dev eth3",
        "k8 type sit remote 10.77.4.9 local 10.77.4.1 dev eth3",
        "k9 type ip6tnl remote fd77:4::9 local fd77:4::1 dev eth3",
        "k10 type xfrm dev eth3 if_id 7",
    ],
    &["k1 link eth3 type ipvlan mode l3s", "k2 link eth3 type ipvtap"],
    &["k1 link eth3 type macsec encrypt on"],
    &["k1 type bridge; ip link set eth3 master k1"],
    &["k1 type vrf table 77; ip link set eth3 master k1"],
];

const REMEMBER_MODULES: &str = "cut -d' ' -f1 /proc/modules | sort > /tmp/modules";

/// A module of tunnels has a device of its own in each namespace as long as it is loaded; the first VRF makes rules that stay (`vrf_add_fib_rules()`).
const UNMAKE: &str = "ip link set eth3 nomaster
    for family in -4 -6; do while ip $family rule del pref 1000 2>/dev/null; do :; done; done
    for round in 1 2; do for link in $(ls /sys/class/net | grep '^k[0-9]'); do ip link del $link 2>/dev/null; done; done
    for round in 1 2 3 4; do
        for module in $(cut -d' ' -f1 /proc/modules | sort | comm -13 /tmp/modules -); do rmmod $module 2>/dev/null; done
    done; true";

/// Links, addresses, routes, rules and nexthops, an entry a line; lifetimes pass, and the kernel numbers an interface anew that comes from another namespace.
fn everything() -> Result<String, Failed> {
    let entries = "jq -S -c 'map(del(.expires, .txqlen, .ifindex, .link_index)) | sort_by(tostring) | .[]'";
    let lists = ["link", "route show table all", "-6 route show table all", "rule", "-6 rule", "nexthop"];
    let all: Result<String, Failed> =
        lists.iter().map(|what| host::shell(&format!("ip -d -j {what} | {entries}"))).collect();
    Ok(all? + &host::shell("ip -o address | sed 's/^[0-9]*: //; s/_lft [0-9a-z]*/_lft/g' | sort")?)
}

fn beside(lab: &Lab) -> Result<(), Failed> {
    let make: Vec<String> =
        BESIDE.iter().map(|words| format!("ip link add {words} 2>/dev/null || true")).collect();
    on_a_host_with(&format!("{REMEMBER_MODULES}\n{}", make.join("\n")), UNMAKE, || {
        let there = host::shell("ls /sys/class/net | grep -c '^k'")?;
        println!("{}: {} of {} kinds of links", lab.kernel, there.trim(), BESIDE.len());
        expect(there.trim().parse::<usize>()? > 20, format!("only {there} links are there"))?;
        let before = everything()?;
        let output = nicdock(&["run", "--host-root", "--nic", "eth3", "--", "true"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        expect(output.status.success() && !errors.contains("is back without"), &*errors)?;
        host::settle();
        let mut changes = host::difference(&before, &everything()?);
        for _ in 0..20 {
            if changes.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
            changes = host::difference(&before, &everything()?);
        }
        expect(changes.is_empty(), changes.join("\n"))
    })
}

fn on_top(_: &Lab) -> Result<(), Failed> {
    for links in ON_TOP {
        let make: Vec<String> = links.iter().map(|words| format!("ip link add {words}")).collect();
        on_a_host_with(&format!("{REMEMBER_MODULES}\n{}", make.join("\n")), UNMAKE, || {
            let before = everything()?;
            let output = nicdock(&["plan", "--nic", "eth3"]);
            let planned = String::from_utf8_lossy(&output.stderr).into_owned();
            let heard = host::shell(
                "ip monitor all > /tmp/heard & listener=$!; sleep 0.5; \
                 nicdock run --host-root --nic eth3 -- true 2> /tmp/said; echo $?; sleep 0.3; kill $listener; cat /tmp/heard",
            )?;
            let said = std::fs::read_to_string("/tmp/said")?;
            expect(heard.trim() == "125", format!("{links:?}: {heard}\n{said}"))?;
            for name in links.iter().filter_map(|words| words.split(' ').next()) {
                let is_named =
                    |text: &str| text.contains(&format!(" {name} ")) || text.contains(&format!(" {name}\n"));
                expect(
                    is_named(&said) && is_named(&planned),
                    format!("{name} is not named: {said}{planned}"),
                )?;
            }
            let changes = host::difference(&before, &everything()?);
            expect(changes.is_empty(), changes.join("\n"))
        })?;
        // A VRF takes the addresses and routes of what comes to it and what leaves it (`cycle_netdev()`, drivers/net/vrf.c).
        if links.iter().any(|words| words.contains("vrf")) {
            crate::engine::restore_eth3();
        }
    }
    Ok(())
}
