//! Containers of libvirt with a NIC of nicdock's, from start to end.

pub mod daemon;

use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use nicdock_audit::report::Report;

use crate::engine::{self, LOOK, every, free, has_no_weakness, much_open, nothing_open, restore_eth3, rxe1};
use crate::host::{settled, stays};
use crate::lifecycle::kill;
use crate::nicdock::{eventually, expect, fail, nicdock, succeed};
use crate::{Lab, Test, page};
use daemon::{Container, Daemon};

pub const TESTS: &[Test] = &[
    ("a_container_of_libvirt_has_its_nic_when_its_program_starts_and_gives_it_back", lifecycle, every),
    (
        "two_containers_of_libvirt_have_a_nic_each_and_a_third_is_refused_with_the_holders_name",
        leased,
        Lab::is_newest,
    ),
    ("the_nic_of_a_container_of_libvirt_comes_back_whatever_is_killed", killed, Lab::is_first),
    (
        "the_program_of_a_container_of_libvirt_does_not_start_without_the_hook_or_less_closed",
        not_closed,
        Lab::is_newest,
    ),
    ("users_and_user_namespaces_of_libvirt_can_open_their_node", ordinary, Lab::is_first),
    ("the_audit_finds_nothing_foreign_in_a_container_of_libvirt_and_much_in_one_by_hand", audited, every),
    ("a_plain_container_of_libvirt_is_the_same_with_the_hook_and_can_be_given_a_nic", plain, Lab::is_newest),
    (
        "the_nic_of_a_container_of_libvirt_comes_back_wherever_its_hook_is_killed",
        killed_at_any_step,
        Lab::is_newest,
    ),
    ("the_page_about_libvirt_is_true", told, Lab::is_newest),
];

/// For labs with VICs.
pub const OF_USNIC: &[Test] = &[(
    "a_container_of_libvirt_makes_a_queue_pair_on_its_usnic_as_an_ordinary_user",
    usnic,
    // On version 1 libvirt 9.0 wants the memory controller, which Debian's 6.12 has not there.
    |lab| lab.registers_usnic_memory() && lab.cgroup == "v2",
)];

pub const HOOK: &str = "/etc/libvirt/hooks/lxc.d/nicdock";

pub fn installed() -> Result<Daemon, Failed> {
    let daemon = Daemon::start()?;
    succeed(&["libvirt", "install"])?;
    Ok(daemon)
}

fn lifecycle(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        // It runs already, and has found no hook.
        let daemon = Daemon::start()?;
        let said = succeed(&["libvirt", "install"])?;
        expect(said.contains("calls it"), &said)?;
        let container = Container::new(&daemon, "mpi")?;
        let xml = container.xml(&rxe1(lab))?;
        of_the_schema(&xml)?;
        container.define_xml(&xml)?;
        container.start()?;
        container.has_rxe1()?;
        let leases = succeed(&["leases"])?;
        expect(leases.contains("mpi") && leases.contains("held"), leases)?;
        if lab.moves_soft_roce() {
            expect(container.inside("ls /sys/class/net")? == "eth1\nlo\n", "eth1 is not inside")?;
        }
        container.stop()?;
        free()?;
        // And again: a netdev with a name and an address of its own.
        daemon.nicdock(&[
            "libvirt",
            "edit",
            "mpi",
            "--nic",
            "eth3",
            "--as",
            "fab0",
            "--ip",
            "10.9.9.1/24",
        ])?;
        container.start()?;
        let output = container.inside("ip -br address")?;
        expect(output.contains("fab0") && output.contains("10.9.9.1/24"), &output)?;
        let lo = output.lines().any(|line| line.starts_with("lo ") && line.contains("127.0.0.1"));
        expect(lo, &output)?;
        container.stop()?;
        free()?;
        succeed(&["libvirt", "uninstall"])?;
        let left = ["/etc/libvirt/hooks", "/usr/libexec/nicdock/libvirt"];
        expect(!left.iter().any(|path| Path::new(path).exists()), "something is left")?;
    }
    stays(&before)
}

/// `nics.rng`, as xmllint reads it.
fn of_the_schema(xml: &str) -> Result<(), Failed> {
    let (begin, end) = ("<nicdock:nics", "</nicdock:nics>");
    let from = xml.find(begin).ok_or("no nicdock:nics")?;
    let to = xml.find(end).ok_or("no end of nicdock:nics")? + end.len();
    std::fs::write("/tmp/nics.rng", include_str!("../../../engines/libvirt/src/nics.rng"))?;
    for (text, valid) in [(xml[from..to].to_owned(), true), (xml[from..to].replace("select", "which"), false)]
    {
        std::fs::write("/tmp/nics.xml", text)?;
        let output = Command::new("xmllint")
            .args(["--noout", "--relaxng", "/tmp/nics.rng", "/tmp/nics.xml"])
            .output()?;
        expect(output.status.success() == valid, format!("xmllint: {output:?}"))?;
    }
    Ok(())
}

fn leased(lab: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let (first, second) = (Container::new(&daemon, "first")?, Container::new(&daemon, "second")?);
    let third = Container::new(&daemon, "third")?;
    first.define(&rxe1(lab))?;
    second.define(&["--nic", "eth3"])?;
    third.define(&rxe1(lab))?;
    second.start()?;
    third.is_refused_as_long_as_there_is(&first)?;
    first.has_rxe1()?;
    expect(second.inside("ls /sys/class/net")? == "eth3\nlo\n", "eth3 is not inside")?;
    all_or_none(&third, &second)?;
    first.stop()?;
    third.start()?;
    third.has_rxe1()
}

/// Two elements, of which `other` has the second one's NIC: the first one's is not taken for that. Then both are.
fn all_or_none(two: &Container, other: &Container) -> Result<(), Failed> {
    let xml = two.xml(&["--nic", "eth2"])?;
    let both = xml.replace("</nicdock:nics>", "<nicdock:nic select='eth3'/></nicdock:nics>");
    let before = two.defined()?;
    two.define_xml(&both)?;
    two.is_refused_as_long_as_there_is(other)?;
    let leases = succeed(&["leases"])?;
    expect(Path::new("/sys/class/net/eth2").exists() && !leases.contains("third"), leases)?;
    other.stop()?;
    two.start()?;
    expect(two.inside("ls /sys/class/net")? == "eth2\neth3\nlo\n", "not both are inside")?;
    two.stop()?;
    two.define_xml(&before)
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let daemon = installed()?;
        let container = Container::new(&daemon, "victim")?;
        container.define(&rxe1(lab))?;
        // Its first process, and libvirt's controller: libvirt calls the hook.
        for of in [Container::pid, Container::controller] {
            container.start()?;
            kill(of(&container)?, "KILL")?;
            container.has_ended()?;
        }
        // libvirt's daemon: the container runs on, and the next one goes on with it.
        container.start()?;
        let pid = container.pid()?;
        daemon.kill("KILL")?;
        expect(Path::new(&format!("/proc/{pid}")).exists(), "the container ended with the daemon")?;
        expect(succeed(&["leases"])?.contains("victim"), "the lease ended with the daemon")?;
        daemon.begin()?;
        container.has_rxe1()?;
        container.stop()?;
        free()?;
        // Both: nobody calls anything, and the next command finds it.
        container.start()?;
        let pid = container.pid()?;
        daemon.kill("KILL")?;
        kill(pid, "KILL")?;
        eventually("it is found", || {
            let output = nicdock(&["reconcile"]);
            String::from_utf8_lossy(&output.stdout).contains("gave back rxe1 of container victim")
        })?;
        daemon.begin()?;
        let _ = daemon.call(&["destroy", "victim"]);
        // And all of it works still.
        container.start()?;
        container.has_rxe1()?;
        container.stop()?;
    }
    stays(&before)
}

/// libvirt does not go on with a start, and goes on with an end.
fn killed_at_any_step(lab: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let container = Container::new(&daemon, "victim")?;
    container.define(&rxe1(lab))?;
    let hook = std::fs::read_to_string(HOOK)?;
    engine::killed_at_any_step(&settled(), |variables| {
        let words: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        std::fs::write(HOOK, hook.replace("exec \"", &format!("export {}; exec \"", words.join(" "))))?;
        // Why it is refused tells whether that is nicdock's kill or something else.
        let started = container.start().inspect_err(|error| println!("{error:?}")).is_ok();
        if started {
            container.has_rxe1()?;
            container.stop()?;
        }
        expect(started || !container.has_run(), "it did not start, but its program ran")?;
        Ok(started)
    })?;
    std::fs::write(HOOK, hook)?;
    container.start()?;
    container.has_rxe1()?;
    container.stop()
}

fn told(_: &Lab) -> Result<(), Failed> {
    let _daemon = Daemon::start()?;
    let undo = [
        "virsh -c lxc:///system destroy mpi",
        "virsh -c lxc:///system undefine mpi",
        "umount /srv/mpi",
        "nicdock libvirt uninstall",
        "pkill -x ibv_rc_pingpong",
    ];
    page::is_true(include_str!("../../../../docs/libvirt-lxc.md"), &undo)
}

fn not_closed(lab: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let container = Container::new(&daemon, "open")?;
    let xml = container.xml(&rxe1(lab))?;
    let argument = |word: &str| format!("<initarg>{word}</initarg>");
    let filter = argument("--seccomp") + "\n    " + &argument("/usr/libexec/nicdock/libvirt/whole.bpf");
    let gate = "<init>/usr/libexec/nicdock/libvirt/nicdock-gate</init>";
    let by_hand = by_hand(Some("eth3")) + "</devices>";
    let changed = |changes: &[(&str, &str)]| -> Result<String, Failed> {
        changes.iter().try_fold(xml.clone(), |xml, (from, to)| {
            expect(xml.contains(from), format!("{from} is not in {xml}"))?;
            Ok(xml.replace(from, to))
        })
    };
    for (changes, what) in [
        (&[("800405fb", "1ffffffffff"), ("policy='deny'", "policy='allow'")][..], "CAP_SYS_ADMIN"),
        (&[(&*filter, "")], "seccomp"),
        (&[(gate, "<init>/bin/true</init>")], "nicdock libvirt edit"),
        (&[("libvirt/1", "libvirt/2")], "libvirt/2"),
        (&[("select=", "which=")], "which"),
        (&[("<privnet/>", "")], "network namespace"),
        (&[("</devices>", &by_hand[..])], "nicdock libvirt adopt"),
    ] {
        container.define_xml(&changed(changes)?)?;
        let said = container.refused()?;
        expect(said.contains(what), format!("{what}: {said}"))?;
        expect(!container.has_run(), format!("{what}: its program ran"))?;
        free()?;
    }
    // Nobody calls nicdock.
    container.define_xml(&xml.replacen(
        "<initarg>--capabilities",
        "<initarg>--seconds</initarg><initarg>3</initarg><initarg>--capabilities",
        1,
    ))?;
    std::fs::rename(HOOK, "/etc/libvirt/hook")?;
    container.start()?;
    let pid = container.pid()?;
    // Nor does somebody in the container.
    let _ = container.inside("kill -USR1 1");
    eventually("the gate gives up", || !Path::new(&format!("/proc/{pid}")).exists())?;
    expect(!container.has_run(), "its program ran without nicdock")?;
    std::fs::rename("/etc/libvirt/hook", HOOK)?;
    container.has_ended()?;
    // What is not nicdock's is not overwritten.
    std::fs::write(HOOK, "#!/bin/sh\n")?;
    let said = fail(125, &["libvirt", "install"])?;
    expect(said.contains("not nicdock's"), said)?;
    Ok(std::fs::remove_file(HOOK)?)
}

fn ordinary(lab: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let container = Container::new(&daemon, "user")?;
    let xml = container.xml(&rxe1(lab))?;
    let user = "<inituser>1000</inituser><initgroup>1000</initgroup></os>";
    container.define_xml(&xml.replace("</os>", user))?;
    let said = container.refused()?;
    expect(said.contains("inituser"), said)?;
    container.define_xml(&container.plain("")?.replace("</os>", user))?;
    daemon.nicdock(&[&["libvirt", "edit", "user"], &rxe1(lab)[..]].concat())?;
    container.start()?;
    container.has_rxe1()?;
    nothing_open(&report(&container)?)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", container.pid()?))?;
    expect(status.contains("Uid:\t1000\t1000"), &status)?;
    container.stop()?;
    let map = |of: &str| format!("<{of} start='0' target='100000' count='65536'/>");
    let idmap = format!("</os>\n  <idmap>{}{}</idmap>", map("uid"), map("gid"));
    container.define_xml(&xml.replace("</os>", &idmap))?;
    container.start()?;
    container.has_rxe1()?;
    let map = std::fs::read_to_string(format!("/proc/{}/uid_map", container.pid()?))?;
    expect(map.contains("100000"), map)
}

fn report(container: &Container<'_>) -> Result<Report, Failed> {
    container.daemon.virsh(&["version"])?;
    engine::report(&["libvirt", "audit", "--json", "--max-pause", "300", container.name])
}

/// As libvirt's own documentation has it.
fn by_hand(netdev: Option<&str>) -> String {
    let hostdev = |kind: &str, source: &str| {
        format!("<hostdev mode='capabilities' type='{kind}'><source>{source}</source></hostdev>")
    };
    let netdev = netdev.map(|name| hostdev("net", &format!("<interface>{name}</interface>")));
    hostdev("misc", "<char>/dev/infiniband/uverbs1</char>") + &netdev.unwrap_or_default()
}

fn audited(lab: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let container = Container::new(&daemon, "closed")?;
    container.define(&rxe1(lab))?;
    container.start()?;
    container.has_rxe1()?;
    let closed = report(&container)?;
    has_no_weakness(lab, "closed")?;
    nothing_open(&closed)?;
    drop(container);
    let plain = Container::new(&daemon, "byhand")?;
    plain.define_xml(&plain.plain(&by_hand(Some("eth3")))?)?;
    plain.start()?;
    // The longest of audits: the kernel looks for many modules.
    if lab.is_first_of_its_kernel() {
        much_open("libvirt", &report(&plain)?, &closed)?;
    }
    plain.stop()?;
    restore_eth3();
    // What was given by hand becomes nicdock's.
    plain.define_xml(&plain.plain(&by_hand(lab.moves_soft_roce().then_some("eth1")))?)?;
    let refused = [&["libvirt", "edit", "byhand"], &rxe1(lab)[..]].concat();
    let said = fail(12, &refused)?;
    expect(said.contains("nicdock libvirt adopt"), said)?;
    let said = nicdock(&["libvirt", "adopt", "byhand"]);
    let told = String::from_utf8_lossy(&said.stderr);
    expect(said.status.success() && told.contains("mode 0700"), format!("{said:?}"))?;
    plain.start()?;
    plain.has_rxe1()
}

fn usnic(_: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let container = Container::new(&daemon, "usnic")?;
    let user = "<inituser>1000</inituser><initgroup>1000</initgroup></os>";
    container.define_xml(&container.plain("")?.replace("</os>", user))?;
    daemon.nicdock(&[
        "libvirt",
        "edit",
        "usnic",
        "--nic",
        "usnic_0",
        "--as",
        "fab0",
        "--ip",
        "10.1.1.2/24",
    ])?;
    container.start()?;
    let text = container.output_with("create_qp")?;
    expect(text.starts_with("/dev/infiniband:\nuverbs0\n\n/sys/class/infiniband:\nusnic_0\n"), &text)?;
    expect(text.contains("usnic_0 /dev/infiniband/uverbs0: usable"), &text)?;
    expect(text.contains("ok  open          as uid 1000"), &text)?;
    container.stop()?;
    free()
}

fn plain(lab: &Lab) -> Result<(), Failed> {
    let daemon = Daemon::start()?;
    let container = Container::new(&daemon, "plain")?;
    container.define_xml(&container.plain("")?)?;
    let mut seen = Vec::new();
    for hooked in [false, true] {
        if hooked {
            succeed(&["libvirt", "install"])?;
        }
        container.start()?;
        seen.push(container.inside(LOOK)?);
        if hooked {
            // It has libvirt's own capabilities, and nothing closes RDMA netlink where there is no BPF hook.
            let accepted = if lab.cgroup == "v1" { &["--accept-netlink"][..] } else { &[] };
            daemon.nicdock(
                &[&["libvirt", "attach", "plain", "--nic", "eth3", "--as", "fab0"], accepted].concat(),
            )?;
            expect(container.inside("ls /sys/class/net")? == "fab0\nlo\n", "eth3 is not inside")?;
            daemon.nicdock(&["libvirt", "detach", "plain"])?;
            expect(container.inside("ip -br link")?.lines().count() == 1, "eth3 is still inside")?;
            free()?;
        }
        container.stop()?;
    }
    expect(seen[0] == seen[1], crate::host::difference(&seen[0], &seen[1]).join("\n"))
}
