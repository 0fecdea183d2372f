//! Containers of LXC with a NIC of nicdock's, from start to end.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;
use nicdock_audit::report::Report;

use crate::engine::{self, LOOK, every, free, has_no_weakness, much_open, nothing_open, restore_eth3, rxe1};
use crate::host::{settled, stays};
use crate::nicdock::{eventually, expect, fail, nicdock, succeed};
use crate::probing::binary;
use crate::{Lab, Test, page};

pub const TESTS: &[Test] = &[
    ("a_container_of_lxc_has_its_nic_when_its_program_starts_and_gives_it_back", lifecycle, every),
    ("a_container_of_lxc_that_reboots_has_its_nic_again", rebooted, Lab::is_first),
    (
        "two_containers_of_lxc_have_a_nic_each_and_a_third_is_refused_with_the_holders_name",
        leased,
        Lab::is_newest,
    ),
    ("the_nic_of_a_container_of_lxc_comes_back_whatever_is_killed", killed, Lab::is_first),
    ("a_container_of_lxc_that_is_not_as_closed_as_promised_does_not_start", not_closed, Lab::is_newest),
    ("an_unprivileged_container_of_lxc_can_open_its_node", unprivileged, Lab::is_first),
    ("the_audit_finds_nothing_foreign_in_a_container_of_lxc_and_much_in_a_plain_one", audited, every),
    ("a_plain_container_of_lxc_is_the_same_beside_one_with_a_nic", plain, Lab::is_newest),
    (
        "the_nic_of_a_container_of_lxc_comes_back_wherever_its_hook_is_killed",
        killed_at_any_step,
        Lab::is_newest,
    ),
    ("the_page_about_lxc_is_true", told, Lab::is_newest),
];

/// For labs with VICs.
pub const OF_USNIC: &[Test] = &[(
    "a_container_of_lxc_makes_a_queue_pair_on_its_usnic_as_an_ordinary_user",
    usnic,
    Lab::registers_usnic_memory,
)];

pub const PATH: &str = "/tmp/lxc";

/// A container over the host's root; ended when this is dropped.
pub struct Container {
    pub name: &'static str,
    config: String,
}

impl Container {
    pub fn new(name: &'static str, more: &str) -> Result<Self, Failed> {
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

    pub fn with(name: &'static str, more: &str, options: &[&str]) -> Result<Self, Failed> {
        let this = Self::new(name, more)?;
        this.install(options)?;
        Ok(this)
    }

    pub fn install(&self, options: &[&str]) -> Result<String, Failed> {
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

    pub fn start(&self) -> Result<(), Failed> {
        let log = format!("{PATH}/{}.log", self.name);
        let _ = std::fs::remove_file(&log);
        self.ok("lxc-start", &["-o", &log, "-l", "DEBUG"]).map(drop)
    }

    /// With variables for its hooks, which are nicdock. Whether it started.
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Result<bool, Failed> {
        let mut command = Command::new("lxc-start");
        command.args(["-P", PATH, "-n", self.name]).envs(variables.iter().copied());
        Ok(command.stdin(Stdio::null()).stderr(Stdio::null()).status()?.success())
    }

    /// What is said when it does not start.
    fn refused(&self) -> Result<String, Failed> {
        let output = self.call("lxc-start", &["-F"])?;
        expect(!output.status.success(), "it started")?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn stop(&self) -> Result<(), Failed> {
        self.ok("lxc-stop", &["-k"]).map(drop)
    }

    pub fn inside(&self, script: &str) -> Result<String, Failed> {
        self.ok("lxc-attach", &["--", "sh", "-c", script])
    }

    pub fn pid(&self) -> Result<String, Failed> {
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
            free()?;
        }
        let config = format!("{PATH}/mpi/config");
        let text = std::fs::read_to_string(&config)?;
        std::fs::write(&config, format!("lxc.start.auto = 1\n{text}"))?;
        let started = Command::new("lxc-autostart").args(["-P", PATH]).status()?;
        expect(started.success(), "lxc-autostart")?;
        container.has_rxe1()?;
        container.stop()?;
        std::fs::write(&config, text)?;
        // A netdev with a name and an address of its own, in a container that runs one program.
        container.install(&["--nic", "eth3", "--as", "fab0", "--ip", "10.9.9.1/24"])?;
        let output = container.ok("lxc-execute", &["--", "ip", "-br", "address"])?;
        expect(output.contains("fab0") && output.contains("10.9.9.1/24"), &output)?;
        let lo = output.lines().any(|line| line.starts_with("lo ") && line.contains("127.0.0.1"));
        expect(lo, &output)?;
        container.ok("lxc-wait", &["-s", "STOPPED"])?;
        succeed(&["lxc", "remove", "mpi", "-P", PATH])?;
        let config = std::fs::read_to_string(format!("{PATH}/mpi/config"))?;
        expect(config == container.config, config)?;
        expect(!Path::new(&format!("{PATH}/mpi/nicdock.conf")).exists(), "nicdock.conf is still there")?;
        let text = fail(3, &["lxc", "remove", "mpi", "-P", PATH])?;
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
    free()
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
    eventually("it is freed", || free().is_ok())?;
    // LXC itself: nobody calls anything, and the next command finds it.
    container.start()?;
    crate::lifecycle::kill(monitor(&container)?, "KILL")?;
    eventually("it is found", || {
        let text = nicdock(&["reconcile"]);
        String::from_utf8_lossy(&text.stdout).contains("gave back rxe1 of container victim")
    })?;
    // And all of it works still.
    container.start()?;
    container.has_rxe1()?;
    container.stop()?;
    drop(container);
    stays(&before)
}

/// LXC does not go on with a start, and goes on with an end.
fn killed_at_any_step(lab: &Lab) -> Result<(), Failed> {
    let container = Container::with("victim", "", &rxe1(lab))?;
    engine::killed_at_any_step(&settled(), |variables| {
        let started = container.start_with(variables)?;
        if started {
            container.has_rxe1()?;
            container.stop()?;
        }
        Ok(started)
    })?;
    container.start()?;
    container.has_rxe1()?;
    container.stop()
}

fn plain(lab: &Lab) -> Result<(), Failed> {
    let plain = Container::new("plain", "")?;
    let seen = || -> Result<String, Failed> {
        plain.start()?;
        let seen = plain.inside(LOOK)?;
        plain.stop()?;
        Ok(seen)
    };
    let other = Container::new("other", "")?;
    let before = seen()?;
    other.install(&rxe1(lab))?;
    other.start()?;
    let after = seen()?;
    expect(before == after, crate::host::difference(&before, &after).join("\n"))?;
    other.has_rxe1()
}

fn usnic(_: &Lab) -> Result<(), Failed> {
    let options = ["--nic", "usnic_0", "--as", "fab0", "--ip", "10.1.1.2/24"];
    let container = Container::with("usnic", "lxc.init.uid = 1000\nlxc.init.gid = 1000\n", &options)?;
    container.start()?;
    let listed = container.inside("ls /dev/infiniband /sys/class/infiniband")?;
    expect(listed == "/dev/infiniband:\nuverbs0\n\n/sys/class/infiniband:\nusnic_0\n", &listed)?;
    let probe = format!("setpriv --reuid 1000 --regid 1000 --clear-groups {} probe", binary()?);
    let text = container.inside(&probe)?;
    expect(text.contains("usnic_0 /dev/infiniband/uverbs0: usable"), &text)?;
    expect(text.contains("create_qp") && text.contains("ok  open          as uid 1000"), &text)?;
    container.stop()?;
    free()
}

fn told(_: &Lab) -> Result<(), Failed> {
    let undo = [
        "lxc-stop -k -n mpi",
        "lxc-stop -k -n peer",
        "umount /srv/mpi",
        "rm -rf /var/lib/lxc/mpi /var/lib/lxc/peer",
    ];
    page::is_true(include_str!("../../../../docs/lxc.md"), &undo)
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
    free()
}

fn unprivileged(lab: &Lab) -> Result<(), Failed> {
    let idmap = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";
    let container = Container::with("mapped", idmap, &rxe1(lab))?;
    container.start()?;
    container.has_rxe1()?;
    let map = std::fs::read_to_string(format!("/proc/{}/uid_map", container.pid()?))?;
    expect(map.contains("100000"), map)?;
    let owner = container.inside("stat -c %u /dev/infiniband/uverbs1")?;
    expect(owner == "0\n", owner)?;
    has_no_weakness(lab, "mapped")?;
    nothing_open(&report(&container)?)
}

fn report(container: &Container) -> Result<Report, Failed> {
    engine::report(&["audit", "--json", "--max-pause", "300", "--pid", &container.pid()?])
}

fn audited(lab: &Lab) -> Result<(), Failed> {
    let container = Container::with("closed", "", &rxe1(lab))?;
    container.start()?;
    let user = container.inside("su -s /bin/sh -c 'id -u' nobody")?;
    expect(user == "65534\n", user)?;
    let closed = report(&container)?;
    nothing_open(&closed)?;
    drop(container);
    // The longest of audits: the kernel looks for many modules.
    if !lab.is_first_of_its_kernel() {
        return Ok(());
    }
    // By hand, as LXC's own documentation has it.
    let network = "lxc.net.0.type = phys\nlxc.net.0.link = eth3\nlxc.net.0.flags = up\n";
    let node = "lxc.mount.entry = /dev/infiniband/uverbs1 dev/infiniband/uverbs1 none bind,create=file\n";
    let device = "lxc.cgroup.devices.allow = c 231:193 rw\nlxc.cgroup2.devices.allow = c 231:193 rw\n";
    let plain = Container::new("plain", &format!("{network}{node}{device}"))?;
    plain.start()?;
    much_open("LXC", &report(&plain)?, &closed)?;
    plain.stop()?;
    restore_eth3();
    Ok(())
}
