//! What the host has set on a NIC is as before when it returns, whatever a program did to it meanwhile.

use libtest_mimic::Failed;

use crate::host::{difference, settle, shell};
use crate::nicdock::{Running, eventually, expect, nicdock, sleeping, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("what_the_host_set_is_as_before_when_the_nic_returns", kept, Lab::is_oldest_or_newest),
    ("what_a_program_set_is_undone_when_the_nic_returns", undone, Lab::is_newest),
    ("what_was_set_is_as_before_after_kill_9_of_nicdock", killed, Lab::is_first),
    ("a_name_of_the_hosts_given_to_the_nic_does_not_keep_it_away", name, Lab::is_oldest_or_newest),
    ("a_nic_with_an_xdp_program_is_in_use", in_use, Lab::is_oldest_or_newest),
];

/// A virtio-net.
const NIC: &str = "eth3";
/// An e1000e, which has what ethtool(8) sets.
const INTEL: &str = "eth2";

const SET: &str = "
ip link set eth3 txqueuelen 512 alias 'the_uplink' group 7
ip link set eth3 promisc on allmulticast on
ip link property add dev eth3 altname enp4s0uplink
tc qdisc replace dev eth3 root handle 10: tbf rate 900mbit burst 128k latency 7ms
ip neigh add 10.77.4.77 lladdr 02:00:00:00:00:77 nud permanent dev eth3
ip neigh add fd77:4::77 lladdr 02:00:00:00:00:77 nud permanent dev eth3
ip neigh add proxy 10.77.4.78 dev eth3
bridge fdb add 02:00:00:00:00:99 dev eth3 self
ip rule add iif eth3 lookup 100 pref 1000
ip rule add oif eth3 lookup 100 pref 1001
sysctl -qw net.ipv4.conf.eth3.rp_filter=2 net.ipv4.conf.eth3.arp_ignore=1 net.ipv4.conf.eth3.forwarding=1
sysctl -qw net.ipv6.conf.eth3.accept_ra=0 net.ipv6.conf.eth3.hop_limit=33 net.ipv6.conf.eth3.mtu=1300
sysctl -qw net.ipv4.neigh.eth3.base_reachable_time_ms=12345 net.ipv6.neigh.eth3.ucast_solicit=5
ethtool -K eth3 gso off gro off
ip link set eth2 group 8 txqueuelen 700
tc qdisc replace dev eth2 root handle 11: pfifo limit 77
ethtool -K eth2 tso off
ethtool -G eth2 rx 512 tx 1024
ethtool -A eth2 autoneg off rx off tx off
ethtool -C eth2 rx-usecs 20
ethtool -s eth2 msglvl 3
";

const UNSET: &str = "
ip link set eth3 txqueuelen 1000 alias '' group default
ip link set eth3 promisc off allmulticast off
ip link property del dev eth3 altname enp4s0uplink
tc qdisc del dev eth3 root
ip neigh del 10.77.4.77 dev eth3
ip neigh del fd77:4::77 dev eth3
ip neigh del proxy 10.77.4.78 dev eth3
bridge fdb del 02:00:00:00:00:99 dev eth3 self
ip rule del pref 1000
ip rule del pref 1001
sysctl -qw net.ipv4.conf.eth3.rp_filter=0 net.ipv4.conf.eth3.arp_ignore=0 net.ipv4.conf.eth3.forwarding=0
sysctl -qw net.ipv6.conf.eth3.accept_ra=1 net.ipv6.conf.eth3.hop_limit=64 net.ipv6.conf.eth3.mtu=1400
sysctl -qw net.ipv4.neigh.eth3.base_reachable_time_ms=30000 net.ipv6.neigh.eth3.ucast_solicit=3
ethtool -K eth3 gso on gro on
ip link set eth2 group default txqueuelen 1000
tc qdisc del dev eth2 root
ethtool -K eth2 tso on
ethtool -G eth2 rx 256 tx 256
ethtool -A eth2 autoneg on rx on tx on
ethtool -C eth2 rx-usecs 3
ethtool -s eth2 msglvl 7
";

/// All that a program with NET_ADMIN can reach; `/proc/sys` is read-only to it.
const HARM: &str = "
ip link set eth3 txqueuelen 3 alias mine group 99
ip link set eth3 arp off promisc off multicast off
ip link set eth3 mode dormant
ip link set eth3 gso_max_size 10000 gso_max_segs 7
ip link set eth3 address 02:66:66:66:66:66
ip link set eth3 mtu 900
ip link property add dev eth3 altname intruder
tc qdisc replace dev eth3 root handle 66: pfifo limit 2
ip neigh add 10.77.4.66 lladdr 02:00:00:00:00:66 nud permanent dev eth3
bridge fdb add 02:00:00:00:00:66 dev eth3 self
ip route add 10.66.0.0/16 dev eth3
ethtool -K eth3 tx off sg off
ethtool -s eth3 speed 10 duplex half
ip link set eth2 group 66
ethtool -K eth2 rx off sg off rxvlan off
ethtool -G eth2 rx 80 tx 80
ethtool -A eth2 autoneg off rx on tx on
ethtool -C eth2 rx-usecs 1000
ethtool -s eth2 msglvl 0xff
ethtool -s eth2 advertise 0x1
";

fn kept(_: &Lab) -> Result<(), Failed> {
    with_settings(|| {
        let errors = run(&["--nic", NIC, "--nic", INTEL], "true")?;
        expect(!errors.contains("is back without") && !errors.contains("is not as"), errors)
    })
}

fn undone(lab: &Lab) -> Result<(), Failed> {
    with_settings(|| {
        let mut running = start(lab, 90201)?;
        crate::lifecycle::kill(sleeping("90201").ok_or("no program")?, "KILL")?;
        let mut errors = String::new();
        if let Some(mut pipe) = running.0.stderr.take() {
            std::io::Read::read_to_string(&mut pipe, &mut errors)?;
        }
        running.wait()?;
        expect(!errors.contains("is back without") && !errors.contains("is not as"), errors)
    })
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    with_settings(|| {
        let mut running = start(lab, 90202)?;
        running.kill_supervisor()?;
        let output = nicdock(&["reconcile"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        expect(output.status.success() && !errors.contains("is not as"), errors)
    })
}

/// A program that has set all that it can, and an XDP program on its netdev.
fn start(lab: &Lab, seconds: u32) -> Result<Running, Failed> {
    let script = format!("{{ {HARM} }} >&2; exec sleep {seconds}");
    let options = ["--nic", NIC, "--nic", INTEL, "--cap-add", "NET_ADMIN", "--weaken"];
    let running = Running::with_errors(&options, &script)?;
    let seconds = seconds.to_string();
    eventually("the program runs", || sleeping(&seconds).is_some())?;
    let pid = sleeping(&seconds).ok_or("no program")?;
    let before =
        within(pid, "ip -d link show dev eth3; ip -d link show dev eth2; ethtool -k eth3; ethtool -g eth2")?;
    for word in
        ["alias mine", "intruder", "NOARP", "mtu 900", "02:66:66:66:66:66", "group 66", "mode DORMANT"]
    {
        expect(before.contains(word), format!("the program could not set {word}:\n{before}"))?;
    }
    // BPF programs it can load none, but another in its namespace may.
    within(pid, "$SUITE --probe xdp eth3")?;
    within(pid, "$SUITE --probe xdp eth2")?;
    if lab.moves_soft_roce() {
        within(pid, "$SUITE --probe tcx eth3")?;
    }
    Ok(running)
}

fn name(_: &Lab) -> Result<(), Failed> {
    // In the container nobody else is called so.
    let options = ["--nic", NIC, "--cap-add", "NET_ADMIN", "--weaken"];
    let errors = run(
        &options,
        "ip link property add dev eth3 altname eth0; ip link property add dev eth3 altname eth1",
    )?;
    expect(!errors.contains("is back as") && !errors.contains("is not as"), errors)?;
    let mut running =
        Running::with(&options, "ip link property add dev eth3 altname eth0; exec sleep 90203")?;
    eventually("the program runs", || sleeping("90203").is_some())?;
    running.kill_supervisor()?;
    succeed(&["reconcile"])?;
    let names = shell("ip -d link show dev eth3")?;
    expect(!names.contains("altname"), names)
}

fn in_use(_: &Lab) -> Result<(), Failed> {
    shell("$SUITE --probe xdp eth3")?;
    let output = nicdock(&["run", "--nic", NIC, "--host-root", "--", "true"]);
    // Taken all the same it comes back with it.
    let taken = run(&["--nic", NIC, "--take-in-use"], "true");
    let after = shell("ip link show dev eth3")?;
    shell("ip link set dev eth3 xdpgeneric off")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    expect(output.status.code() == Some(125) && errors.contains("XDP program"), errors)?;
    let taken = taken?;
    expect(after.contains("prog/xdp") && !taken.contains("is not as"), format!("{after}{taken}"))
}

/// Runs nicdock, which must succeed; gives its standard error.
fn run(options: &[&str], script: &str) -> Result<String, Failed> {
    let output = nicdock(&[&["run", "--host-root"], options, &["--", "sh", "-c", script]].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(errors) } else { Err(errors.into()) }
}

/// Sets on the host what can be set, runs a test, and compares; then all is as the harness had it.
fn with_settings(test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let result = (|| {
        shell(&format!("set -e\n{SET}"))?;
        let before = state()?;
        test()?;
        let after = state()?;
        let changed = difference(&before, &after);
        expect(changed.is_empty(), changed.join("\n"))
    })();
    shell(UNSET)?;
    result
}

/// What is set, read while both links are up throughout: a setting of `SET` makes the e1000e negotiate again, when it likes.
fn state() -> Result<String, Failed> {
    let links = || shell("cd /sys/class/net; grep . eth[23]/carrier eth[23]/carrier_changes");
    for _ in 0..20 {
        settle();
        let before = links()?;
        let state = settings()?;
        if before.starts_with("eth2/carrier:1\neth3/carrier:1\n") && links()? == before {
            return Ok(state);
        }
    }
    Err("the links of eth2 and eth3 did not stay up while the settings were read".into())
}

/// One setting a line, as the programs that set them show them.
fn settings() -> Result<String, Failed> {
    shell(
        "for nic in eth2 eth3; do
            ip -d link show dev $nic | sed 's/^[0-9]*: //'
            ip neigh show dev $nic nud permanent; ip neigh show proxy dev $nic; bridge fdb show dev $nic | grep -v 33:33
            tc -d qdisc show dev $nic
            for option in -k -g -c -a -l -x; do ethtool $option $nic 2>&1 | sed \"s/^/$nic $option /\"; done
            ethtool $nic | sed \"s/^/$nic /\"
            for folder in ipv4/conf ipv6/conf ipv4/neigh ipv6/neigh; do
                grep -rs . /proc/sys/net/$folder/$nic | sort
            done
        done
        ip rule",
    )
}

fn within(pid: i32, script: &str) -> Result<String, Failed> {
    shell(&format!("nsenter -t {pid} -n sh -ec '{script}'"))
}
