//! Containers of Podman with a NIC of nicdock's, asked for as a CDI device, from start to end.

use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::engine::{self, Accepted, every, free};
use crate::host::{settled, stays};
use crate::nicdock::{eventually, expect, succeed};
use crate::pods::is_held_by;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_container_of_podman_has_its_nic_when_its_program_starts_and_gives_it_back", lifecycle, every),
    (
        "two_containers_of_podman_have_a_nic_each_and_a_third_is_refused_with_the_holders_name",
        leased,
        Lab::is_first,
    ),
    ("two_nics_in_one_command_of_podmans_are_all_or_none", several, Lab::is_first),
    ("containers_of_podman_in_one_network_namespace_share_the_nic_that_they_name", shared, Lab::is_newest),
    ("a_container_of_podman_that_is_not_as_closed_as_promised_does_not_start", not_closed, Lab::is_newest),
    ("the_audit_finds_nothing_open_in_a_container_of_podman", audited, every),
    ("the_nic_of_a_container_of_podman_comes_back_whatever_is_killed", killed, Lab::is_first),
    (
        "the_nic_of_a_container_of_podman_comes_back_wherever_its_hook_is_killed",
        killed_at_any_step,
        Lab::is_newest,
    ),
];

const ROOT: &str = "/tmp/podman-root";
const CDI: &str = "/etc/cdi/nicdock.json";
const CONFIG: &str = "/tmp/podman-containers.conf";
/// Neither systemd nor AppArmor's parser is in the lab.
const SETTINGS: &str =
    "[engine]\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\n[containers]\napparmor_profile=\"\"\n";

/// Podman with the host's root as its containers'; what it leaves goes when this is dropped.
struct Podman {
    runtime: &'static str,
    keep: bool,
    _accepted: Option<Accepted>,
    profile: Option<String>,
}

impl Podman {
    fn new(lab: &Lab, runtime: &'static str) -> Result<Self, Failed> {
        let keep = !lab.moves_soft_roce();
        let this = Self { runtime, keep, _accepted: Accepted::of(keep)?, profile: None };
        std::fs::create_dir_all(ROOT)?;
        std::fs::create_dir_all("/var/lib/containers")?;
        std::fs::write(CONFIG, SETTINGS)?;
        let script = format!("mount --bind / {ROOT} && mount -t tmpfs tmpfs /var/lib/containers");
        crate::host::shell(&script)?;
        succeed(&["cdi", "install"])?;
        Ok(this)
    }

    /// With nicdock's seccomp profile, so that what is executed in a container later is as closed as its program.
    fn closed(lab: &Lab, runtime: &'static str) -> Result<Self, Failed> {
        let mut this = Self::new(lab, runtime)?;
        let path = "/tmp/podman-seccomp.json";
        std::fs::write(path, succeed(&["oci", "seccomp"])?)?;
        this.profile = Some(format!("seccomp={path}"));
        Ok(this)
    }

    fn call(&self, args: &[&str]) -> Result<Output, Failed> {
        let mut command = Command::new("timeout");
        command.args(["240", "podman", "--runtime", self.runtime]).args(args);
        Ok(command.env("CONTAINERS_CONF", CONFIG).stdin(Stdio::null()).output()?)
    }

    fn ok(&self, args: &[&str]) -> Result<String, Failed> {
        engine::printed(args, &self.call(args)?)
    }

    fn words<'a>(&'a self, name: &'a str, nics: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["run", "-d", "--name", name];
        if !options.contains(&"--network") {
            words.extend(["--network", "none"]);
        }
        if self.keep {
            words.extend(["--annotation", "nicdock.io/netdev=keep"]);
        }
        words.extend(self.profile.iter().flat_map(|profile| ["--security-opt", profile]));
        words.extend(nics.iter().flat_map(|nic| ["--device", *nic]));
        words.extend(options);
        words.extend(["--rootfs", ROOT]);
        words
    }

    fn start(&self, name: &str, nics: &[&str], options: &[&str]) -> Result<(), Failed> {
        let words = [&self.words(name, nics, options)[..], &["sleep", "1000"]].concat();
        self.ok(&words).map(drop)
    }

    /// What is said when it does not start; its program has not run.
    fn refused(&self, nics: &[&str], options: &[&str]) -> Result<String, Failed> {
        let marker = "/var/lib/nicdock-podman-marker";
        let _ = std::fs::remove_file(marker);
        let words = [&self.words("refused", nics, options)[..], &["touch", marker]].concat();
        let output = self.call(&words)?;
        let _ = self.call(&["rm", "-f", "refused"]);
        expect(!output.status.success(), format!("it started: {output:?}"))?;
        expect(!std::path::Path::new(marker).exists(), "its program has run")?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn inside(&self, name: &str, script: &str) -> Result<String, Failed> {
        self.ok(&["exec", name, "sh", "-c", script])
    }

    fn field(&self, name: &str, field: &str) -> Result<String, Failed> {
        let format = format!("{{{{.{field}}}}}");
        Ok(self.ok(&["inspect", "--format", &format, name])?.trim().to_owned())
    }

    fn pid(&self, name: &str) -> Result<String, Failed> {
        self.field(name, "State.Pid")
    }

    fn end(&self, name: &str) -> Result<(), Failed> {
        self.ok(&["stop", "-t", "0", name]).map(drop)
    }

    /// The NIC works, and nothing else of the fabric is there.
    fn has_rxe1(&self, name: &str) -> Result<(), Failed> {
        engine::has_rxe1(&self.pid(name)?, |script| self.inside(name, script))
    }
}

/// Waits for the clean-up that conmon starts when a container has ended: it runs beside `podman rm`, and may be the one whose runtime calls
/// poststop. Each mounts Podman's storage on itself, and the two together leave it so.
fn settle() -> Result<(), Failed> {
    let idle = || {
        Command::new("pgrep")
            .args(["-x", "conmon|podman"])
            .output()
            .is_ok_and(|found| found.stdout.is_empty())
    };
    crate::nicdock::eventually("Podman has cleaned up", idle)?;
    let _ = Command::new("umount").args(["-q", "/var/lib/containers/storage/overlay"]).status();
    Ok(())
}

impl Drop for Podman {
    fn drop(&mut self) {
        // A process that is not dead 5 s after its SIGKILL is given up (killContainerTimeout, libpod/oci_conmon_common.go): here that happens.
        for _ in 0..3 {
            match self.call(&["rm", "-f", "-a", "-t", "0"]) {
                Ok(output) if output.status.success() => break,
                failed => eprintln!("podman rm: {failed:?}"),
            }
        }
        if let Err(error) = settle() {
            eprintln!("podman: {}", error.message().unwrap_or_default());
        }
        let _ = Command::new("sh")
            .args(["-c", &format!("umount -R {ROOT}; umount -R /var/lib/containers; rm -rf {ROOT} {CDI} /run/containers /run/libpod")])
            .stderr(Stdio::null())
            .status();
    }
}

const RXE1: &str = "nicdock.io/nic=rxe1";

fn lifecycle(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    // Each where it is cheap, and elsewhere one on each version of control groups.
    let runtimes: &[&str] = match (lab.is_first(), &*lab.cgroup) {
        (true, _) => &["crun", "runc"],
        (_, "v1") => &["crun"],
        _ => &["runc"],
    };
    for runtime in runtimes {
        let podman = Podman::closed(lab, runtime)?;
        podman.start("mpi", &[RXE1], &[])?;
        let id = podman.field("mpi", "Id")?;
        for _ in 0..2 {
            podman.has_rxe1("mpi")?;
            let leases = succeed(&["leases"])?;
            expect(leases.contains(&id) && leases.contains("held"), leases)?;
            if lab.moves_soft_roce() {
                expect(podman.inside("mpi", "ls /sys/class/net")? == "eth1\nlo\n", "eth1 is not inside")?;
            }
            podman.end("mpi")?;
            eventually("it is freed", || free().is_ok())?;
            podman.ok(&["start", "mpi"])?;
        }
        podman.ok(&["rm", "-f", "-t", "0", "mpi"])?;
        eventually("it is freed", || free().is_ok())?;
        // An image's user can open the node.
        podman.start("user", &[RXE1], &["--user", "1000:1000"])?;
        podman.has_rxe1("user")?;
        podman.ok(&["rm", "-f", "-t", "0", "user"])?;
        drop(podman);
        stays(&before)?;
    }
    Ok(())
}

fn leased(lab: &Lab) -> Result<(), Failed> {
    let podman = Podman::closed(lab, "runc")?;
    podman.start("first", &[RXE1], &[])?;
    let kind = if lab.moves_soft_roce() { "nicdock.io/nic=soft-roce" } else { "nicdock.io/nic=rxe0" };
    let take = ["--annotation", "nicdock.io/ip=10.9.9.1/24", "--annotation", "nicdock.io/ifname=fab0"];
    podman.start("second", &[kind], if lab.moves_soft_roce() { &take } else { &[] })?;
    podman.has_rxe1("first")?;
    if lab.moves_soft_roce() {
        let shown = podman.inside("second", "ip -br address")?;
        expect(shown.contains("fab0") && shown.contains("10.9.9.1/24"), shown)?;
    }
    let said = podman.refused(&[RXE1], &[])?;
    let id = podman.field("first", "Id")?;
    expect(said.contains(&format!("held by container {id}")), said)?;
    podman.end("first")?;
    eventually("rxe1 is freed", || succeed(&["leases"]).is_ok_and(|text| !text.contains("rxe1")))?;
    podman.start("third", &[RXE1], &[])?;
    podman.has_rxe1("third")?;
    // The hooks of both run at once.
    podman.ok(&["rm", "-f", "-a", "-t", "0"])?;
    settle()?;
    eventually("both are freed", || free().is_ok())
}

fn shared(lab: &Lab) -> Result<(), Failed> {
    let podman = Podman::closed(lab, "crun")?;
    podman.start("app", &[RXE1], &[])?;
    podman.start("side", &[RXE1], &["--network", "container:app"])?;
    let (app, side) = (podman.field("app", "Id")?, podman.field("side", "Id")?);
    is_held_by(&[&app, &side])?;
    podman.has_rxe1("app")?;
    podman.has_rxe1("side")?;
    podman.end("app")?;
    is_held_by(&[&side])?;
    podman.has_rxe1("side")?;
    podman.end("side")?;
    eventually("it is freed", || free().is_ok())?;
    // Whose network namespace another uses is the last to go.
    podman.ok(&["rm", "side"])?;
    podman.ok(&["rm", "app"])?;
    settle()
}

fn several(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let podman = Podman::closed(lab, "crun")?;
        podman.start("both", &["nicdock.io/nic=rxe0", RXE1], &[])?;
        let listed = podman.inside("both", "ls /sys/class/infiniband")?;
        expect(listed == "rxe0\nrxe1\n", &listed)?;
        podman.ok(&["rm", "-f", "-t", "0", "both"])?;
        eventually("they are freed", || free().is_ok())?;
        podman.start("one", &[RXE1], &[])?;
        let said = podman.refused(&["nicdock.io/nic=rxe0", RXE1], &[])?;
        expect(said.contains("held by container"), said)?;
        let leases = succeed(&["leases"])?;
        expect(!leases.contains("rxe0"), leases)?;
    }
    stays(&before)
}

fn not_closed(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let podman = Podman::closed(lab, "runc")?;
        for (options, part) in [
            (&["--cap-add", "SYS_ADMIN"][..], "--cap-drop=SYS_ADMIN"),
            (&["--pid", "host"], "--pid host"),
            (&["--privileged"], "capability"),
            (&["--device", "/dev/infiniband/uverbs0"], "which it is not given"),
            (&["--annotation", "nicdock.io/umad=true"], "\"umad\""),
            (&["--annotation", "nicdock.io/view=off"], "\"view.off\""),
            (&["--annotation", "nicdock.io/ip=nonsense"], "nicdock.io/ip=nonsense"),
            (&["--ulimit", "memlock=65536:65536"], "memlock"),
        ] {
            let said = podman.refused(&[RXE1], options)?;
            expect(said.contains(part), format!("{options:?}: {said}"))?;
            free()?;
        }
    }
    stays(&before)
}

fn audited(lab: &Lab) -> Result<(), Failed> {
    let podman = Podman::closed(lab, "runc")?;
    podman.start("mpi", &[RXE1], &["--security-opt", "no-new-privileges", "--cgroupns", "private"])?;
    engine::nothing_open_but_paths(lab, &podman.field("mpi", "Id")?, &podman.pid("mpi")?, &[engine::OVERLAY])
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let podman = Podman::closed(lab, "crun")?;
        podman.start("victim", &[RXE1], &[])?;
        crate::lifecycle::kill(podman.pid("victim")?.parse()?, "KILL")?;
        eventually("it is freed", || free().is_ok())?;
        podman.ok(&["start", "victim"])?;
        podman.has_rxe1("victim")?;
        // conmon: nobody calls poststop, and the next command finds that the container has ended.
        let (conmon, pid) = (podman.field("victim", "ConmonPidFile")?, podman.pid("victim")?);
        crate::lifecycle::kill(std::fs::read_to_string(conmon)?.trim().parse()?, "KILL")?;
        crate::lifecycle::kill(pid.parse()?, "KILL")?;
        eventually("it is found", || succeed(&["reconcile"]).is_ok() && free().is_ok())?;
    }
    stays(&before)
}

/// A runtime does not go on with a start whose hook was killed.
fn killed_at_any_step(lab: &Lab) -> Result<(), Failed> {
    let podman = Podman::closed(lab, "runc")?;
    let installed = std::fs::read_to_string(CDI)?;
    engine::killed_at_any_step(&settled(), |variables| {
        let more: Vec<String> =
            variables.iter().map(|(name, value)| format!("\"{name}={value}\", ")).collect();
        std::fs::write(CDI, installed.replace("\"PATH=", &format!("{}\"PATH=", more.concat())))?;
        let words = [&podman.words("victim", &[RXE1], &[])[..], &["sleep", "1000"]].concat();
        let started = podman.call(&words)?.status.success();
        if started {
            podman.has_rxe1("victim")?;
        }
        let _ = podman.call(&["rm", "-f", "-t", "0", "victim"]);
        settle()?;
        Ok(started)
    })?;
    std::fs::write(CDI, installed)?;
    podman.start("victim", &[RXE1], &[])?;
    podman.has_rxe1("victim")
}
