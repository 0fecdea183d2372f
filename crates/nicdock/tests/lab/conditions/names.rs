//! Names that are not UTF-8, which the kernel takes for interfaces, their further names and aliases.

use libtest_mimic::Failed;

use super::on_a_host_with;
use crate::nicdock::{Running, eventually, expect, nicdock, shell, sleeping, succeed};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    (
        "a_name_that_is_not_utf_8_given_by_a_container_is_gone_with_it",
        by_a_container,
        Lab::is_oldest_or_newest,
    ),
    ("interfaces_of_the_host_may_have_names_that_are_not_utf_8", on_the_host, Lab::is_oldest_or_newest),
    (
        "a_nic_comes_back_and_is_free_if_another_interface_has_a_name_of_its_by_now",
        taken,
        Lab::is_oldest_or_newest,
    ),
    ("a_nic_whose_name_is_not_utf_8_is_given_and_comes_back_under_it", of_a_nic, Lab::is_oldest_or_newest),
];

const GIVE: &str = r#"ip link property add dev eth3 altname "$(printf 'netz\344')"; ip link set eth3 alias "$(printf 'Gro\337\\')""#;

fn is_as_before(errors: &str) -> Result<(), Failed> {
    expect(!errors.contains("is back without") && !errors.contains("is not as"), errors)
}

fn by_a_container(_: &Lab) -> Result<(), Failed> {
    let options = ["run", "--host-root", "--nic", "eth3", "--cap-add", "NET_ADMIN", "--weaken"];
    let output = nicdock(&[&options[..], &["--", "sh", "-ec", GIVE]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    expect(output.status.success(), &*errors)?;
    is_as_before(&errors)?;
    // Nobody takes it away inside: it comes to the host.
    let mut running = Running::start(
        "eth3",
        &["--cap-add", "NET_ADMIN", "--weaken"],
        &format!("{GIVE}; echo done; sleep 90701"),
    )?;
    running.says("done")?;
    running.kill_supervisor()?;
    let output = nicdock(&["reconcile"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    expect(output.status.success(), &*errors)?;
    is_as_before(&errors)?;
    expect(succeed(&["leases"])?.contains("No NIC is leased"), "a lease is left")
}

fn on_the_host(_: &Lab) -> Result<(), Failed> {
    let make = r#"
        ip link add "$(printf 'caf\351')" type dummy
        ip link property add dev eth3 altname "$(printf 'netz\344')"
        ip link property add dev eth3 altname 'a\b'
        ip link set eth3 alias "$(printf 'Gro\337')""#;
    let unmake = r#"
        ip link del "$(printf 'caf\351')"
        ip link property del dev eth3 altname "$(printf 'netz\344')"
        ip link property del dev eth3 altname 'a\b'
        ip link set eth3 alias ''"#;
    on_a_host_with(make, unmake, || {
        let listed = succeed(&["ls", "--json", "--all"])?;
        expect(listed.contains(r"netz\\xe4") && listed.contains(r"a\\x5cb"), &listed)?;
        let names = || host::shell("ip -o link show eth3 | cat -v; cat -v /sys/class/net/eth3/ifalias");
        let before = names()?;
        for name in ["netz\\xe4", "a\\x5cb", "a\\b"] {
            let output = nicdock(&["run", "--host-root", "--nic", name, "--", "true"]);
            let errors = String::from_utf8_lossy(&output.stderr);
            expect(output.status.success(), &*errors)?;
            is_as_before(&errors)?;
        }
        let after = names()?;
        let without_index = |text: &str| text.split_once(':').map(|(_, rest)| rest.to_owned());
        expect(without_index(&before) == without_index(&after), format!("{before}\n{after}"))
    })
}

fn of_a_nic(_: &Lab) -> Result<(), Failed> {
    let rename = |from: &str, to: &str| {
        format!(
            r#"sysctl -qw "net/ipv6/conf/{from}/keep_addr_on_down=1"
            ip link set "{from}" down; ip link set "{from}" name "{to}"; ip link set "{to}" up
            ip route replace 10.99.0.0/16 via 10.77.4.9 dev "{to}"
            sysctl -qw "net/ipv6/conf/{to}/keep_addr_on_down=0""#
        )
    };
    let name = r"$(printf 'n\374c')";
    on_a_host_with(&rename("eth3", name), &rename(name, "eth3"), || {
        let inside = shell(&["--nic", "n\\xfcc"], "ip -o link | cat -v; ls /sys/class/net | cat -v")?;
        expect(inside.matches("nM-|c").count() == 2, &inside)?;
        let mut running = Running::start("n\\xfcc", &["--as", "\\xe4", "--name", "bytes"], "sleep 90702")?;
        expect(succeed(&["leases", "--json"])?.contains("n\\\\xfcc"), "the lease has another name")?;
        running.kill_supervisor()?;
        let output = nicdock(&["return", "n\\xfcc"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        expect(output.status.success(), &*errors)?;
        is_as_before(&errors)?;
        let listed = host::shell("ip -o -4 address | cat -v")?;
        expect(listed.contains("nM-|c    inet 10.77.4.1/24"), listed)
    })
}

/// A further name, then the name itself.
fn taken(lab: &Lab) -> Result<(), Failed> {
    let returns = |make: &str, wanted: &[&str]| {
        let running = Running::with_errors(&["--nic", "eth3"], "sleep 90703; true")?;
        eventually("the program runs", || sleeping("90703").is_some())?;
        host::shell(make)?;
        running.signal("KILL", "90703")?;
        let errors = String::from_utf8_lossy(&running.output()?.stderr).into_owned();
        expect(succeed(&["leases"])?.contains("No NIC is leased"), &errors)?;
        wanted.iter().try_for_each(|part| expect(errors.contains(part), &errors))
    };
    on_a_host_with(
        "ip link property add dev eth3 altname uplink3",
        "ip link del taker 2>/dev/null; ip link property del dev eth3 altname uplink3 2>/dev/null || true",
        || {
            let make = "ip link add taker type dummy; ip link property add dev taker altname uplink3";
            returns(make, &["without its further name uplink3", "nicdock reconcile adds it once none is"])?;
            lacks("uplink3")?;
            // It waits while a container has the NIC, and is added once nobody else has the name.
            succeed(&["run", "--nic", "eth3", "--host-root", "--", "true"])?;
            lacks("uplink3")?;
            host::shell("ip link del taker")?;
            expect(
                succeed(&["reconcile"])?.contains("eth3 has its further name uplink3 again"),
                "it is not added",
            )?;
            host::shell("ip link show uplink3")?;
            lacks_none()
        },
    )?;
    // Under a spare name, until its own is free: while it is up, only Linux 6.2 and later rename it.
    let unmake = "[ -e /sys/bus/pci/devices/0000:04:00.0/virtio*/net/eth3 ] || ip link del eth3 2>/dev/null; n=$(ls /sys/bus/pci/devices/0000:04:00.0/virtio*/net)
        sysctl -qw net/ipv6/conf/$n/keep_addr_on_down=1
        ip link set $n down; ip link set $n name eth3; ip link set eth3 up
        ip route replace 10.99.0.0/16 via 10.77.4.9 dev eth3
        sysctl -qw net/ipv6/conf/eth3/keep_addr_on_down=0";
    on_a_host_with("true", unmake, || {
        returns("ip link add eth3 type dummy", &["another interface is called eth3 by now"])?;
        lacks("eth3")?;
        host::shell("ip link del eth3")?;
        let said = succeed(&["reconcile"])?;
        if lab.kernel == "6.1" {
            lacks("eth3")?;
            host::shell(
                "n=$(ls /sys/bus/pci/devices/0000:04:00.0/virtio*/net); sysctl -qw net/ipv6/conf/$n/keep_addr_on_down=1; ip link set $n down; ip link set $n name moved",
            )?;
            expect(succeed(&["reconcile"])?.contains("is gone or was renamed"), "it is not forgotten")?;
        } else {
            expect(said.contains("is called eth3 again"), said)?;
        }
        lacks_none()
    })
}

fn lacks(name: &str) -> Result<(), Failed> {
    expect(succeed(&["reconcile"])? == "nothing to give back\n", "reconcile has done something")?;
    let listed = succeed(&["leases", "--json"])?;
    expect(listed.contains(&format!("\"{name}\"")), &listed)?;
    let listed = succeed(&["leases"])?;
    expect(listed.contains(&format!("is without {name}, which another interface is called")), listed)
}

fn lacks_none() -> Result<(), Failed> {
    let listed = succeed(&["leases", "--json"])?;
    expect(listed.contains("\"pending\": []"), listed)
}
