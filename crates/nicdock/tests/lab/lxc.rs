//! Containers of LXC with a NIC of nicdock's, from start to end.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;
use nicdock_audit::Verdict;
use nicdock_audit::report::Report;

use crate::host::{settled, stays};
use crate::killed::kills;
use crate::nicdock::{eventually, expect, fail, nicdock, succeed};
use crate::probing::binary;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_container_of_lxc_has_its_nic_when_its_program_starts_and_gives_it_back", lifecycle, every),
    ("a_container_of_lxc_that_reboots_has_its_nic_again", rebooted, kills),
    ("two_containers_of_lxc_have_a_nic_each_and_a_third_is_refused_with_the_holders_name", leased, kills),
    ("the_nic_of_a_container_of_lxc_comes_back_whatever_is_killed", killed, kills),
    ("a_container_of_lxc_that_is_not_as_closed_as_promised_does_not_start", not_closed, kills),
    ("an_unprivileged_container_of_lxc_can_open_its_node", unprivileged, kills),
    ("the_audit_finds_nothing_foreign_in_a_container_of_lxc_and_much_in_a_plain_one", audited, every),
];

/// cgroups decide, and the kernel.
fn every(lab: &Lab) -> bool {
    !lab.exclusive && (kills(lab) || lab.cgroup == "v1" && lab.kernel == "6.1")
}

const PATH: &str = "/tmp/lxc";

/// A container over the host's root; ended when this is dropped.
struct Container {
    name: &'static str,
    config: String,
}

impl Container {
    fn new(name: &'static str, more: &str) -> Result<Self, Failed> {
        let folder = format!("{PATH}/{name}");
        std::fs::create_dir_all(format!("{folder}/rootfs"))?;
        let mounted = Command::new("mount").args(["--bind", "/", &format!("{folder}/rootfs")]).status()?;
        expect(mounted.success(), "mount")?;
        let config = format!(
            "lxc.include = /usr/share/lxc/config/common.conf\nlxc.apparmor.profile = unconfined\nlxc.net.0.type = empty\n\
             lxc.rootfs.path = dir:{folder}/rootfs\nlxc.init.cmd = /bin/sleep 1000\n{more}"
        );
        std::fs::write(format!("{folder}/config"), &config)?;
        Ok(Self { name, config })
    }

    fn with(name: &'static str, more: &str, options: &[&str]) -> Result<Self, Failed> {
        let this = Self::new(name, more)?;
        this.install(options)?;
        Ok(this)
    }

    fn install(&self, options: &[&str]) -> Result<String, Failed> {
        succeed(&[&["lxc", "install", self.name, "-P", PATH], options].concat())
    }

    fn call(&self, tool: &str, args: &[&str]) -> Result<Output, Failed> {
        let mut command = Command::new(tool);
        command.args(["-P", PATH, "-n", self.name]).args(args).stdin(Stdio::null());
        Ok(command.output()?)
    }

    fn ok(&self, tool: &str, args: &[&str]) -> Result<String, Failed> {
        let output = self.call(tool, args)?;
        let log = std::fs::read_to_string(format!("{PATH}/{}.log", self.name)).unwrap_or_default();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("produced output")).collect();
        let log = told.join("\n");
        expect(output.status.success(), format!("{tool} {args:?}: {output:?}\n{log}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn start(&self) -> Result<(), Failed> {
        let log = format!("{PATH}/{}.log", self.name);
        let _ = std::fs::remove_file(&log);
        self.ok("lxc-start", &["-o", &log, "-l", "DEBUG"]).map(drop)
    }

    /// What is said when it does not start.
    fn refused(&self) -> Result<String, Failed> {
        let output = self.call("lxc-start", &["-F"])?;
        expect(!output.status.success(), "it started")?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn stop(&self) -> Result<(), Failed> {
        self.ok("lxc-stop", &["-k"]).map(drop)
    }

    fn inside(&self, script: &str) -> Result<String, Failed> {
        self.ok("lxc-attach", &["--", "sh", "-c", script])
    }

    fn pid(&self) -> Result<String, Failed> {
        Ok(self.ok("lxc-info", &["-pH"])?.trim().to_owned())
    }

    /// The NIC works, and nothing else of the fabric is there.
    fn has_rxe1(&self) -> Result<(), Failed> {
        let listed = self.inside("ls /dev/infiniband /sys/class/infiniband")?;
        expect(listed == "/dev/infiniband:\nuverbs1\n\n/sys/class/infiniband:\nrxe1\n", &listed)?;
        let probed = self.inside(&format!("{} probe", binary()?))?;
        expect(probed.contains("rxe1 /dev/infiniband/uverbs1: usable"), &probed)?;
        expect(probed.contains("memlock       unlimited"), probed)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.call("lxc-stop", &["-k"]);
        let _ = Command::new("umount").arg(format!("{PATH}/{}/rootfs", self.name)).status();
    }
}

/// `rxe1` as far as this kernel can give it.
fn rxe1(lab: &Lab) -> Vec<&'static str> {
    if lab.moves_soft_roce() { vec!["--nic", "rxe1"] } else { vec!["--nic", "rxe1", "--netdev", "keep"] }
}

fn lifecycle(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let container = Container::new("mpi", "lxc.uts.name = mpi")?;
        container.install(&rxe1(lab))?;
        for _ in 0..2 {
            container.start()?;
            container.has_rxe1()?;
            let leases = succeed(&["leases"])?;
            expect(leases.contains("mpi") && leases.contains("held"), leases)?;
            if lab.moves_soft_roce() {
                expect(container.inside("ls /sys/class/net")? == "eth1\nlo\n", "eth1 is not inside")?;
                // lxc-attach, of an ordinary user.
                container.inside("setpriv --reuid 1000 --clear-groups ibv_devinfo -d rxe1")?;
            }
            container.stop()?;
            let leases = succeed(&["leases"])?;
            expect(leases.contains("No NIC is leased"), leases)?;
        }
        // A netdev with a name and an address of its own, in a container that runs one program.
        container.install(&["--nic", "eth3", "--as", "fab0", "--ip", "10.9.9.1/24"])?;
        let output = container.ok("lxc-execute", &["--", "ip", "-br", "address"])?;
        expect(output.contains("fab0") && output.contains("10.9.9.1/24"), output)?;
        container.ok("lxc-wait", &["-s", "STOPPED"])?;
        succeed(&["lxc", "remove", "mpi", "-P", PATH])?;
        let config = std::fs::read_to_string(format!("{PATH}/mpi/config"))?;
        expect(config == container.config, config)?;
        expect(!Path::new(&format!("{PATH}/mpi/nicdock.conf")).exists(), "nicdock.conf is still there")?;
        let text = fail(125, &["lxc", "remove", "mpi", "-P", PATH])?;
        expect(text.contains("nothing of nicdock's"), text)?;
    }
    stays(&before)
}

fn rebooted(_: &Lab) -> Result<(), Failed> {
    // In the host's root, which is the container's; /tmp is not.
    let init = "/var/lib/nicdock-lxc-init";
    std::fs::write(init, "trap 'busybox reboot -f' INT\nwhile :; do sleep 0.2; done\n")?;
    let system = format!("lxc.init.cmd = /bin/sh {init}\n");
    let options = ["--nic", "eth3", "--as", "fab0", "--keep-privileges"];
    let container = Container::with("system", &system, &options)?;
    container.start()?;
    expect(container.inside("ls /sys/class/net")? == "fab0\nlo\n", "eth3 is not inside")?;
    let first = container.pid()?;
    // lxc-stop -r: it asks for a reboot, and LXC starts it anew.
    crate::lifecycle::kill(first.parse()?, "INT")?;
    eventually("it boots again with its NIC", || {
        container.pid().is_ok_and(|pid| !pid.is_empty() && pid != first)
            && container.inside("ls /sys/class/net").is_ok_and(|list| list == "fab0\nlo\n")
    })?;
    container.stop()?;
    let leases = succeed(&["leases"])?;
    expect(leases.contains("No NIC is leased"), leases)
}

fn leased(lab: &Lab) -> Result<(), Failed> {
    let first = Container::with("first", "", &rxe1(lab))?;
    let second = Container::with("second", "", &["--nic", "eth3"])?;
    first.start()?;
    second.start()?;
    let third = Container::with("third", "", &rxe1(lab))?;
    let said = third.refused()?;
    expect(said.contains("held by container first"), said)?;
    first.has_rxe1()?;
    expect(second.inside("ls /sys/class/net")? == "eth3\nlo\n", "eth3 is not inside")?;
    first.stop()?;
    third.start()?;
    third.has_rxe1()
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let container = Container::with("victim", "", &rxe1(lab))?;
    let monitor = |container: &Container| -> Result<i32, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", container.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).ok_or("no parent")?;
        Ok(line.trim().parse()?)
    };
    // Its first process: LXC calls the hooks.
    container.start()?;
    crate::lifecycle::kill(container.pid()?.parse()?, "KILL")?;
    eventually("it is freed", || succeed(&["leases"]).is_ok_and(|text| text.contains("No NIC is leased")))?;
    // LXC itself: nobody calls anything, and the next command finds it.
    container.start()?;
    crate::lifecycle::kill(monitor(&container)?, "KILL")?;
    eventually("it is found", || {
        let text = nicdock(&["reconcile"]);
        String::from_utf8_lossy(&text.stdout).contains("gave back rxe1 of container victim")
    })?;
    // nicdock, in the hook: LXC does not go on.
    for point in ["reserve.begun", "show.begun", "attach.before"] {
        let mut command = Command::new("lxc-start");
        command.args(["-P", PATH, "-n", "victim", "-F"]).env("NICDOCK_FAIL_AT", format!("{point}=kill"));
        let output = command.stdin(Stdio::null()).output()?;
        expect(!output.status.success(), format!("killed at {point}: it started"))?;
        let leases = succeed(&["leases"])?;
        expect(leases.contains("No NIC is leased"), format!("killed at {point}: {leases}"))?;
    }
    // And all of it works still.
    container.start()?;
    container.has_rxe1()?;
    container.stop()?;
    drop(container);
    stays(&before)
}

fn not_closed(lab: &Lab) -> Result<(), Failed> {
    let container = Container::with("open", "", &rxe1(lab))?;
    let path = format!("{PATH}/open/config");
    let config = std::fs::read_to_string(&path)?;
    for (line, what) in [
        ("lxc.cap.keep = sys_admin", "CAP_SYS_ADMIN"),
        ("lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp", "RDMA netlink"),
        ("lxc.prlimit.memlock = 65536", "RLIMIT_MEMLOCK"),
    ] {
        std::fs::write(&path, format!("{config}{line}\n"))?;
        let said = container.refused()?;
        expect(said.contains(what) && said.contains("include nicdock's last"), said)?;
    }
    // Without a network namespace of its own there is nothing to move it to.
    std::fs::write(&path, config.replace("type = empty", "type = none"))?;
    let said = container.refused()?;
    expect(said.contains("network namespace"), said)?;
    let leases = succeed(&["leases"])?;
    expect(leases.contains("No NIC is leased"), leases)
}

fn unprivileged(lab: &Lab) -> Result<(), Failed> {
    let idmap = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";
    let container = Container::with("mapped", idmap, &rxe1(lab))?;
    container.start()?;
    container.has_rxe1()?;
    let map = std::fs::read_to_string(format!("/proc/{}/uid_map", container.pid()?))?;
    expect(map.contains("100000"), map)?;
    let owner = container.inside("stat -c %u /dev/infiniband/uverbs1")?;
    expect(owner == "0\n", owner)
}

fn report(container: &Container) -> Result<Report, Failed> {
    let output = nicdock(&["audit", "--json", "--pid", &container.pid()?]);
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).map_err(|error| format!("{error}: {output:?}").into())
}

fn open(report: &Report) -> Vec<String> {
    let open = report.probes.iter().filter(|probe| probe.result == Verdict::Open);
    open.map(|probe| format!("{}: {}", probe.id, probe.evidence)).collect()
}

fn audited(lab: &Lab) -> Result<(), Failed> {
    let container = Container::with("closed", "", &rxe1(lab))?;
    container.start()?;
    let closed = report(&container)?;
    let mut lines = open(&closed);
    // LXC makes its filter for i386, too, and that takes the calls which look the same there: nothing foreign is reached by them.
    lines.retain(|line| !line.starts_with("i386.entry:"));
    expect(lines.is_empty(), format!("{} open:\n{}", lines.len(), lines.join("\n")))?;
    expect(closed.probes.len() > 600, format!("only {} probes", closed.probes.len()))?;
    drop(container);
    // By hand, as LXC's own documentation has it.
    let network = "lxc.net.0.type = phys\nlxc.net.0.link = eth3\nlxc.net.0.flags = up\n";
    let node = "lxc.mount.entry = /dev/infiniband/uverbs1 dev/infiniband/uverbs1 none bind,create=file\n";
    let device = "lxc.cgroup.devices.allow = c 231:193 rw\nlxc.cgroup2.devices.allow = c 231:193 rw\n";
    let plain = Container::new("plain", &format!("{network}{node}{device}"))?;
    plain.start()?;
    let found = report(&plain)?;
    let lines = open(&found);
    println!(
        "audit: {} of {} open in a plain container of LXC, {} of {} in nicdock's",
        lines.len(),
        found.probes.len(),
        open(&closed).len(),
        closed.probes.len()
    );
    expect(lines.len() > 100, format!("only {} open", lines.len()))?;
    plain.stop()?;
    // LXC gives the netdev back without what the host had on it.
    for line in [
        "ip link set eth3 up",
        "ip address add 10.77.4.1/24 dev eth3",
        "ip address add fd77:4::1/64 dev eth3 nodad",
        "ip route add 10.99.0.0/16 via 10.77.4.9",
    ] {
        let _ = Command::new("sh").args(["-c", line]).status();
    }
    Ok(())
}
