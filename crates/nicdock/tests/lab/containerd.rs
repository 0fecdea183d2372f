//! Containers of containerd's own client with a NIC of nicdock's: its shim calls nicdock's runtime, as Docker's does.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::engine::{self, Accepted, every, free};
use crate::host::{settled, shell, stays};
use crate::nicdock::{eventually, expect, succeed};
use crate::pods::is_held_by;
use crate::probing::binary;
use crate::{Lab, Test, page};

pub const TESTS: &[Test] = &[
    ("a_container_of_containerd_has_its_nic_or_does_not_start_and_gives_it_back", lifecycle, every),
    (
        "a_container_of_containerd_in_a_pods_network_namespace_brings_its_nic_there_and_takes_it_home",
        pod,
        Lab::is_newest,
    ),
    ("further_containers_of_a_pod_share_its_nic_until_the_last_has_ended", shared, Lab::is_newest),
    ("the_page_about_containerd_is_true", told, Lab::is_newest),
];

const SOCKET: &str = "/run/containerd/containerd.sock";
/// The root of every container here: a few folders, and the host's programs.
const ROOT: &str = "/var/lib/nicdock-containerd";
const RXE1: &str = "/dev/infiniband/uverbs1";

/// containerd, started by hand; what it leaves goes when this is dropped.
struct Containerd {
    daemon: Option<Child>,
    keep: bool,
    _accepted: Option<Accepted>,
    programs: PathBuf,
}

impl Containerd {
    fn new(lab: &Lab) -> Result<Self, Failed> {
        let programs = Path::new(&binary()?).parent().ok_or("nicdock is in a folder")?.to_owned();
        shell(&format!(
            "mkdir -p /var/lib/containerd {ROOT} && mount -t tmpfs tmpfs /var/lib/containerd && cd {ROOT} && {}",
            engine::FOLDERS
        ))?;
        let keep = !lab.moves_soft_roce();
        let accepted = Accepted::of(keep)?;
        let is_ready = || Path::new(SOCKET).exists() && engine::succeeds(&["ctr", "version"]);
        let path = "/usr/sbin:/usr/bin:/sbin:/bin";
        let mut this = Self { daemon: None, keep, _accepted: accepted, programs };
        this.daemon = Some(engine::daemon("containerd", &["--log-level", "warn"], path, is_ready)?);
        Ok(this)
    }

    fn run(&self, name: &str, options: &[&str], program: &[&str]) -> Result<Output, Failed> {
        let runtime = self.programs.join("nicdock-runtime").display().to_string();
        let mount = |of: &str| format!("type=bind,src={of},dst={of},options=rbind:ro");
        let (usr, programs) = (mount("/usr"), mount(&self.programs.display().to_string()));
        let mut words = vec!["run", "-d", "--rootfs", "--runc-binary", &runtime];
        // A root that is no image says none.
        words.extend(["--mount", &usr, "--mount", &programs, "--env", "PATH=/usr/sbin:/usr/bin"]);
        if self.keep {
            words.extend(["--env", "NICDOCK_NETDEV=keep"]);
        }
        words.extend(options);
        words.extend([ROOT, name]);
        words.extend(program);
        ctr(&words)
    }

    fn start(&self, name: &str, options: &[&str]) -> Result<(), Failed> {
        let output = self.run(name, options, &["sleep", "1000"])?;
        expect(output.status.success(), format!("{name}: {output:?}"))
    }

    /// What is said when it does not start; its program has not run.
    fn refused(&self, options: &[&str]) -> Result<String, Failed> {
        let marker = format!("{ROOT}/tmp/marker");
        let output = self.run("refused", options, &["touch", "/tmp/marker"])?;
        let _ = ctr(&["container", "rm", "refused"]);
        expect(!output.status.success(), format!("{options:?}: it started: {output:?}"))?;
        expect(!Path::new(&marker).exists(), "its program has run")?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn ctr(args: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new("timeout").args(["120", "ctr"]).args(args).stdin(Stdio::null()).output()?)
}

fn ok(args: &[&str]) -> Result<String, Failed> {
    engine::printed(args, &ctr(args)?)
}

fn inside(name: &str, script: &str) -> Result<String, Failed> {
    ok(&["task", "exec", "--exec-id", "look", name, "sh", "-c", script])
}

fn pid_of(name: &str) -> Result<String, Failed> {
    let list = ok(&["task", "ls"])?;
    let pid = list.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next().map(str::to_owned))?
    });
    pid.ok_or_else(|| format!("{name} does not run: {list}").into())
}

fn end(name: &str) -> Result<(), Failed> {
    remove(name)?;
    eventually("its NIC is free", || free().is_ok())
}

fn remove(name: &str) -> Result<(), Failed> {
    ok(&["task", "rm", "-f", name])?;
    ok(&["container", "rm", name]).map(drop)
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let script = "for name in $(ctr task ls -q); do ctr task rm -f $name; done; for name in $(ctr container ls -q); do ctr container rm $name; done";
        let _ = Command::new("sh").args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Some(daemon) = &mut self.daemon {
            let _ = crate::lifecycle::kill(i32::try_from(daemon.id()).unwrap_or(-1), "TERM");
            let _ = daemon.wait();
        }
        let script = format!("umount -R /var/lib/containerd; rm -rf {ROOT} /run/containerd");
        let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    }
}

fn lifecycle(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let containerd = Containerd::new(lab)?;
        containerd.start("mpi", &["--device", RXE1])?;
        engine::has_rxe1(&pid_of("mpi")?, |script| inside("mpi", script))?;
        let leases = succeed(&["leases"])?;
        expect(leases.contains("held") && leases.contains("mpi (process"), leases)?;
        let said = containerd.refused(&["--device", RXE1])?;
        expect(said.contains("held by container mpi"), said)?;
        engine::nothing_open_but_paths(lab, "mpi", &pid_of("mpi")?, &[])?;
        end("mpi")?;
        for (options, part) in [
            (&["--device", RXE1, "--net-host"][..], "host's net namespace"),
            (&["--device", RXE1, "--cap-add", "CAP_SYS_ADMIN"], "SYS_ADMIN"),
            (&["--device", RXE1, "--privileged"], "privileged"),
            (&["--device", RXE1, "--with-ns", "pid:/proc/1/ns/pid"], "(/proc/1/ns/pid)"),
            (&["--device", RXE1, "--with-ns", "network:/proc/1/ns/net"], "host's network namespace"),
        ] {
            let said = containerd.refused(options)?;
            expect(said.contains(part), format!("{options:?}: {said}"))?;
            free()?;
        }
    }
    stays(&before)
}

/// As a kubelet's: the network namespace is there before the container and after it, and has an interface of the NIC's name.
fn pod(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let containerd = Containerd::new(lab)?;
        shell("ip netns add pod && ip -n pod link add eth1 type dummy && ip -n pod link set eth1 up")?;
        let in_pod = ["--device", RXE1, "--with-ns", "network:/run/netns/pod"];
        let said = containerd.refused(&[&in_pod[..], &["--env", "NICDOCK_IFNAME=eth1"]].concat())?;
        expect(said.contains("has an interface eth1 already"), said)?;
        free()?;
        for _ in 0..2 {
            containerd.start("app", &in_pod)?;
            let shown = inside("app", "ip -br link")?;
            expect(shown.contains("nic0") && shown.contains("eth1"), shown)?;
            engine::has_rxe1(&pid_of("app")?, |script| inside("app", script))?;
            end("app")?;
            let left = shell("ip -n pod -br link")?;
            expect(left.contains("eth1") && !left.contains("nic0"), left)?;
        }
        shell("ip netns delete pod; umount /run/netns; rmdir /run/netns")?;
    }
    stays(&before)
}

fn shared(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let containerd = Containerd::new(lab)?;
        shell("ip netns add pod && ip netns add other")?;
        let in_pod = ["--device", RXE1, "--with-ns", "network:/run/netns/pod"];
        containerd.start("app", &in_pod)?;
        containerd.start("side", &in_pod)?;
        is_held_by(&["app", "side"])?;
        let has = |name: &str| engine::has_rxe1(&pid_of(name)?, |script| inside(name, script));
        has("app")?;
        has("side")?;
        engine::nothing_open_but_paths(lab, "side", &pid_of("side")?, &[])?;
        // As it was given to the first, and to nobody elsewhere.
        let said = containerd.refused(&[&in_pod[..], &["--env", "NICDOCK_IFNAME=fab0"]].concat())?;
        expect(said.contains("with container app") && said.contains("the same ifname"), said)?;
        let elsewhere = ["--device", RXE1, "--with-ns", "network:/run/netns/other"];
        let said = containerd.refused(&elsewhere)?;
        expect(said.contains("held by container app and side"), said)?;
        is_held_by(&["app", "side"])?;
        // Whichever ends: the others keep it, and it comes back as a further one.
        remove("app")?;
        is_held_by(&["side"])?;
        has("side")?;
        containerd.start("app", &in_pod)?;
        has("app")?;
        shell(&format!("kill -9 {}", pid_of("side")?))?;
        eventually("the end of side is seen", || succeed(&["reconcile"]).is_ok())?;
        is_held_by(&["app"])?;
        has("app")?;
        remove("side")?;
        is_held_by(&["app"])?;
        end("app")?;
        expect(!Path::new("/run/nicdock/bpf").exists(), "programs of containers that have ended are kept")?;
        shell("ip netns delete pod; ip netns delete other; umount /run/netns; rmdir /run/netns")?;
    }
    stays(&before)
}

fn told(lab: &Lab) -> Result<(), Failed> {
    let containerd = Containerd::new(lab)?;
    // Where the package has it.
    let installed = "/usr/libexec/nicdock";
    shell(&format!("mkdir -p /usr/libexec && ln -sn {} {installed}", containerd.programs.display()))?;
    let remove = format!("rm {installed}");
    page::is_true(include_str!("../../../../docs/engines/containerd.md"), &[&remove])
}
