//! A container has exactly its own NIC.

use libtest_mimic::Failed;

use crate::nicdock::{eventually, expect, shell, succeed, words};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    ("a_container_with_keep_has_the_rdma_device_and_no_netdev", keep, |_| true),
    ("a_container_with_move_has_its_netdev_rdma_device_and_node", move_all, Lab::moves_soft_roce),
    ("a_nic_without_rdma_moves_with_addresses_routes_and_mtu", ethernet, |_| true),
    ("the_gids_of_a_device_whose_netdev_stays_show_others_macvlans_as_the_plan_says", gids, Lab::is_first),
    ("an_ordinary_user_opens_the_device", ordinary_user, |_| true),
    ("a_foreign_node_can_be_made_and_not_opened", foreign_node, |_| true),
    ("rdma_netlink_and_uevents_are_refused_also_with_high_bits_set", netlink, |_| true),
    ("io_uring_is_refused", io_uring, Lab::is_first_of_its_kernel),
    ("memlock_is_unlimited_unless_bounded", memlock, Lab::is_first_of_its_kernel),
    ("rdma_ping_pong_between_host_and_container", ping_pong, Lab::moves_soft_roce),
];

const LOOK: &str = "cd /sys/class; ls infiniband; echo -; ls infiniband_verbs; echo -; ls net; echo -; ls /dev/infiniband; \
                    echo -; ls /sys/bus/pci/devices; echo -; ibv_devices | tail -n +3 | cut -f1-2; echo -; ip -br link | cut -d' ' -f1";

fn look(args: &[&str]) -> Result<Vec<Vec<String>>, Failed> {
    let text = shell(args, LOOK)?;
    Ok(text.split("-\n").map(|part| words(part).into_iter().map(str::to_owned).collect()).collect())
}

fn same(found: &[Vec<String>], expected: &[&[&str]]) -> Result<(), Failed> {
    for (i, wanted) in expected.iter().enumerate() {
        expect(
            found.get(i).is_some_and(|f| f == wanted),
            format!("part {i}: {:?}, expected {wanted:?}", found.get(i)),
        )?;
    }
    Ok(())
}

fn keep(_: &Lab) -> Result<(), Failed> {
    let found = look(&["--nic", "rxe1", "--netdev", "keep"])?;
    expect(found[4].len() == 2, format!("PCI functions: {:?}", found[4]))?;
    same(&found[..4], &[&["rxe1"], &["abi_version", "uverbs1"], &["lo"], &["uverbs1"]])?;
    expect(
        found[5].len() == 2 && found[5].iter().any(|d| d == "rxe1"),
        format!("ibv_devices: {:?}", found[5]),
    )?;
    same(&found[6..], &[&["lo"]])
}

/// What stays a limit: a tenant's macvlan over a netdev that stays on the host shows in the GIDs of whoever has its RDMA device. The plan says so.
fn gids(_: &Lab) -> Result<(), Failed> {
    host::shell(
        "set -e; ip netns add tenant; ip link add mv0 link eth1 type macvlan; ip link set mv0 netns tenant
        ip -n tenant address add 10.66.6.6/24 dev mv0; ip -n tenant link set mv0 up",
    )?;
    let list = "cat /sys/class/infiniband/rxe1/ports/1/gids/*";
    let on_host = || host::shell(list).is_ok_and(|gids| gids.contains("0a42:0606"));
    // The kernel adds it later, from a queue.
    let added = eventually("the GID of the macvlan's address", on_host);
    let keep = ["--nic", "rxe1", "--netdev", "keep"];
    let seen = shell(&keep, list);
    let told = succeed(&[&["plan"], &keep[..]].concat());
    host::shell("set -e; ip netns delete tenant; umount /run/netns; rmdir /run/netns")?;
    added?;
    expect(
        seen?.contains("0a42:0606"),
        "the address of the tenant's macvlan is not seen any more: say so in the plan",
    )?;
    let told = told?;
    expect(told.contains("of every VLAN and macvlan on its netdev"), told)
}

fn move_all(_: &Lab) -> Result<(), Failed> {
    let found = look(&["--nic", "eth1", "--as", "fabric0", "--rdma-cm"])?;
    same(
        &found[..4],
        &[&["rxe1"], &["abi_version", "uverbs1"], &["fabric0", "lo"], &["rdma_cm", "uverbs1"]],
    )?;
    expect(
        found[5].len() == 2 && found[5].iter().any(|d| d == "rxe1"),
        format!("ibv_devices: {:?}", found[5]),
    )?;
    same(&found[6..], &[&["fabric0", "lo"]])
}

fn ethernet(_: &Lab) -> Result<(), Failed> {
    let found = look(&["--nic", "eth3"])?;
    same(&found[..4], &[&[], &[], &["eth3", "lo"], &[]])?;
    let text = shell(&["--nic", "eth3"], "ip address show eth3; ip route; ip -6 route")?;
    for part in [
        "mtu 1400",
        "inet 10.77.4.1/24",
        "inet6 fd77:4::1/64",
        "10.99.0.0/16 via 10.77.4.9",
        "state UP",
        "52:54:00:4e:49:04",
    ] {
        expect(text.contains(part), format!("no '{part}' in\n{text}"))?;
    }
    let text = shell(&["--nic", "eth3", "--ip", "10.5.0.1/16"], "ip -br address show eth3")?;
    expect(text.contains("10.5.0.1/16") && !text.contains("10.77.4.1"), text)
}

fn ordinary_user(_: &Lab) -> Result<(), Failed> {
    let text = shell(&["--nic", "rxe0", "--netdev", "keep", "--user", "1000"], "id -u; ibv_devinfo")?;
    expect(text.starts_with("1000\n") && text.contains("rxe0") && !text.contains("rxe1"), text)
}

/// Runs this program's probe in a container.
fn probe(more: &[&str], what: &[&str]) -> Result<String, Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let mut args = vec!["run", "--nic", "rxe1", "--netdev", "keep", "--host-root"];
    args.extend(more);
    args.extend(["--", &this, "--probe"]);
    args.extend(what);
    Ok(succeed(&args)?.trim().to_owned())
}

/// The numbers of a uverbs node, from sysfs.
pub fn number_of(node: &str) -> Result<(u32, u32), Failed> {
    let dev = std::fs::read_to_string(format!("/sys/class/infiniband_verbs/{node}/dev"))?;
    let (major, minor) = dev.trim().split_once(':').ok_or("no device number")?;
    Ok((major.parse()?, minor.parse()?))
}

fn foreign_node(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let (major, minor) = number_of("uverbs0")?;
    let script = format!(
        "{this} --probe mknod /tmp/foreign {major} {minor}; {this} --probe open /tmp/foreign; \
         {this} --probe mknod /dev/foreign {major} {minor}; {this} --probe open /dev/foreign; \
         {this} --probe mknod /dev/tun 10 200; {this} --probe open /dev/tun; {this} --probe open /dev/infiniband/uverbs1"
    );
    let text = shell(&["--nic", "rxe1", "--netdev", "keep", "--cap-add", "MKNOD", "--weaken"], &script)?;
    let lines: Vec<&str> = text.lines().collect();
    // The first two are on a nodev mount (EACCES); /dev is not, and there the device cgroup says EPERM.
    expect(lines == ["open", "13", "open", "1", "open", "1", "open"], text)
}

fn netlink(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let protocols = ["20", "15", "0x100000014", "0x10000000f"];
    let calls: Vec<String> = protocols
        .iter()
        .flat_map(|protocol| ["16", "0x100000010"].map(|domain| format!("socket {domain} 3 {protocol}")))
        .chain(["socket 16 3 0".to_owned()])
        .collect();
    let lines = calls.iter().map(|call| format!("{this} --probe {call}; "));
    let text = shell(&["--nic", "rxe1", "--netdev", "keep"], &lines.collect::<String>())?;
    let answers: Vec<&str> = text.lines().collect();
    expect(answers.len() == calls.len(), &text)?;
    let (route, refused) = answers.split_last().ok_or("no answer")?;
    for (call, answer) in calls.iter().zip(refused) {
        expect(["1", "38"].contains(answer), format!("{call}: {answer}"))?;
    }
    expect(*route == "open", "NETLINK_ROUTE must work")
}

fn io_uring(_: &Lab) -> Result<(), Failed> {
    let answer = probe(&[], &["io_uring"])?;
    expect(answer == "38", format!("io_uring_setup: {answer}"))
}

fn memlock(_: &Lab) -> Result<(), Failed> {
    let limit = |more: &[&str]| shell(&[&["--nic", "rxe1", "--netdev", "keep"], more].concat(), "ulimit -l");
    expect(limit(&[])?.trim() == "unlimited", "the default")?;
    expect(limit(&["--memlock", "64M"])?.trim() == "65536", "64M")
}

fn ping_pong(_: &Lab) -> Result<(), Failed> {
    let server = [
        "run",
        "--nic",
        "rxe1",
        "--ip",
        "10.77.1.2/24",
        "--host-root",
        "--",
        "ibv_rc_pingpong",
        "-d",
        "rxe1",
        "-g",
        "1",
        "-n",
        "200",
    ];
    let mut server = crate::nicdock::command(&server).stdout(std::process::Stdio::piped()).spawn()?;
    let client = || {
        std::process::Command::new("ibv_rc_pingpong")
            .args(["-d", "rxe0", "-g", "1", "-n", "200", "10.77.1.2"])
            .output()
    };
    let mut output = client()?;
    for _ in 0..100 {
        if output.status.success() || server.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        output = client()?;
    }
    let ended = server.wait()?;
    expect(output.status.success() && ended.success(), format!("{output:?} {ended}"))
}
