//! Containers of Docker with a NIC of nicdock's, asked for by its node under `--runtime nicdock`, from start to end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::engine::{self, Accepted, every, free};
use crate::host::{settled, shell, stays};
use crate::nicdock::{eventually, expect, succeed};
use crate::probing::binary;
use crate::{Lab, Test, page};

pub const TESTS: &[Test] = &[
    (
        "a_container_of_docker_has_its_nic_when_its_program_starts_and_one_that_asks_for_none_is_unchanged",
        lifecycle,
        Lab::is_first,
    ),
    (
        "containers_of_docker_have_a_nic_each_and_what_is_not_as_closed_as_promised_does_not_start",
        refused,
        Lab::is_newest,
    ),
    ("the_audit_finds_nothing_open_in_a_container_of_docker", audited, every),
    ("the_nic_of_a_container_of_docker_comes_back_whatever_is_killed", killed, Lab::is_newest),
    (
        "docker_is_told_nicdocks_runtime_by_a_command_and_its_file_is_as_before_after",
        installed,
        Lab::is_first,
    ),
    ("the_page_about_docker_is_true", told, Lab::is_newest),
];

/// Not the one of another version that a machine may have in /usr/local/bin.
const DOCKER: &str = "/usr/bin/docker";
const CONFIG: &str = "/tmp/docker-daemon.json";
/// The one that nicdock edits.
const ADMINISTRATORS: &str = "/etc/docker/daemon.json";
const SOCKET: &str = "/run/containerd/containerd.sock";
/// What containerd hands to a runtime is below, a folder each container.
const BUNDLES: &str = "/run/containerd/io.containerd.runtime.v2.task/moby";
/// In every container at the same place.
const SHARED: &str = "/var/lib/nicdock-docker";
/// Where the runtime of a test is found before the real one.
const FIRST: &str = "/tmp/docker-first";
const RXE1: &str = "/dev/infiniband/uverbs1";
const RXE0: &str = "/dev/infiniband/uverbs0";

/// containerd and dockerd, started by hand, with an image that is a few folders and the host's programs; what they leave goes when this is dropped.
struct Docker {
    config: &'static str,
    daemons: Vec<Child>,
    client: &'static str,
    keep: bool,
    _accepted: Option<Accepted>,
    programs: PathBuf,
}

impl Docker {
    fn new(lab: &Lab) -> Result<Self, Failed> {
        Self::of(lab, CONFIG, true)
    }

    /// With this file, which has nicdock's runtime or has it not.
    fn of(lab: &Lab, file: &'static str, has_runtime: bool) -> Result<Self, Failed> {
        let programs = Path::new(&binary()?).parent().ok_or("nicdock is in a folder")?.to_owned();
        let mut config = serde_json::json!({
            "bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false,
            "exec-opts": ["native.cgroupdriver=cgroupfs"], "containerd": SOCKET,
        });
        if has_runtime {
            config["runtimes"]["nicdock"]["path"] =
                programs.join("nicdock-runtime").display().to_string().into();
        }
        shell("mkdir -p /etc/docker")?;
        std::fs::write(file, format!("{config:#}\n"))?;
        shell(&format!(
            "mkdir -p /var/lib/docker /var/lib/containerd {SHARED} {FIRST} && mount -t tmpfs tmpfs /var/lib/docker && mount -t tmpfs tmpfs /var/lib/containerd"
        ))?;
        let keep = !lab.moves_soft_roce();
        let mut this = Self {
            config: file,
            daemons: Vec::new(),
            client: DOCKER,
            keep,
            _accepted: Accepted::of(keep)?,
            programs,
        };
        this.serve()?;
        shell(&format!(
            "mkdir -p /tmp/image && cd /tmp/image && {} && tar -c . | {DOCKER} import - image",
            engine::FOLDERS
        ))?;
        Ok(this)
    }

    /// Starts the daemons and waits for both.
    fn serve(&mut self) -> Result<(), Failed> {
        let path = format!("{FIRST}:/usr/sbin:/usr/bin:/sbin:/bin");
        for (program, args, ready) in [
            ("containerd", &["--log-level", "warn"][..], &["test", "-S", SOCKET][..]),
            ("dockerd", &["--config-file", self.config], &[DOCKER, "version"]),
        ] {
            self.daemons.push(engine::daemon(program, args, &path, || engine::succeeds(ready))?);
        }
        Ok(())
    }

    fn kill_daemons(&mut self, signal: &str) {
        while let Some(mut daemon) = self.daemons.pop() {
            let _ = crate::lifecycle::kill(i32::try_from(daemon.id()).unwrap_or(-1), signal);
            let _ = daemon.wait();
        }
    }

    fn call(&self, args: &[&str]) -> Result<Output, Failed> {
        let mut command = Command::new("timeout");
        Ok(command.args(["240", self.client]).args(args).stdin(Stdio::null()).output()?)
    }

    fn ok(&self, args: &[&str]) -> Result<String, Failed> {
        engine::printed(args, &self.call(args)?)
    }

    fn run(&self, name: &str, nics: &[&str], options: &[&str], program: &[&str]) -> Result<Output, Failed> {
        let programs = format!("{0}:{0}:ro", self.programs.display());
        let shared = format!("{SHARED}:{SHARED}");
        let mut words = vec!["run", "-d", "--runtime", "nicdock", "--name", name, "-v", "/usr:/usr:ro"];
        words.extend(["-v", &programs, "-v", &shared]);
        if !options.contains(&"--network") {
            words.extend(["--network", "none"]);
        }
        if self.keep {
            words.extend(["-e", "NICDOCK_NETDEV=keep"]);
        }
        words.extend(nics.iter().flat_map(|nic| ["--device", *nic]));
        words.extend(options);
        words.push("image");
        words.extend(program);
        self.call(&words)
    }

    fn start(&self, name: &str, nics: &[&str], options: &[&str]) -> Result<(), Failed> {
        let output = self.run(name, nics, options, &["sleep", "1000"])?;
        expect(output.status.success(), format!("{name}: {output:?}"))
    }

    /// What is said when it does not start; its program has not run.
    fn refused(&self, nics: &[&str], options: &[&str]) -> Result<String, Failed> {
        let marker = format!("{SHARED}/marker");
        let _ = std::fs::remove_file(&marker);
        let output = self.run("refused", nics, options, &["touch", &marker])?;
        let _ = self.call(&["rm", "-f", "refused"]);
        expect(!output.status.success(), format!("{nics:?} {options:?}: it started: {output:?}"))?;
        expect(!Path::new(&marker).exists(), "its program has run")?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn inside(&self, name: &str, script: &str) -> Result<String, Failed> {
        self.ok(&["exec", name, "sh", "-c", script])
    }

    fn field(&self, name: &str, field: &str) -> Result<String, Failed> {
        Ok(self.ok(&["inspect", "--format", &format!("{{{{.{field}}}}}"), name])?.trim().to_owned())
    }

    fn has_rxe1(&self, name: &str) -> Result<(), Failed> {
        let pid = self.field(name, "State.Pid")?;
        engine::has_rxe1(&pid, |script| self.inside(name, script))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let script = format!("{DOCKER} ps -aq | xargs -r {DOCKER} rm -f");
        let _ = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        self.kill_daemons("TERM");
        let script = format!(
            "umount /run/docker/netns/*; umount -R /var/lib/docker; umount -R /var/lib/containerd; rm -rf {SHARED} {FIRST} /tmp/image /run/docker /run/containerd /etc/docker"
        );
        let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    }
}

fn lifecycle(lab: &Lab) -> Result<(), Failed> {
    let docker = Docker::new(lab)?;
    docker.start("mpi", &[RXE1], &["-e", "NICDOCK_NIC=rxe0"])?;
    let id = docker.field("mpi", "Id")?;
    for _ in 0..2 {
        docker.has_rxe1("mpi")?;
        let leases = succeed(&["leases"])?;
        expect(leases.contains(&id) && leases.contains("held") && !leases.contains("rxe0"), leases)?;
        if lab.moves_soft_roce() {
            expect(docker.inside("mpi", "ls /sys/class/net")? == "eth1\nlo\n", "eth1 is not inside")?;
        }
        docker.ok(&["stop", "-t", "0", "mpi"])?;
        eventually("it is freed", || free().is_ok())?;
        docker.ok(&["start", "mpi"])?;
    }
    // What is executed later is as closed as the first program.
    let status =
        |pid: &str| docker.inside("mpi", &format!("grep -E 'Cap|NoNew|Seccomp:' /proc/{pid}/status"));
    expect(status("self")? == status("1")?, "what is executed later has more")?;
    expect(docker.inside("mpi", "ulimit -l")? == "unlimited\n", "its limit of locked memory")?;
    let output = docker.call(&["exec", "--privileged", "mpi", "touch", "/tmp/privileged"])?;
    let said = format!("{output:?}");
    expect(!output.status.success() && said.contains("Leave --privileged away"), said)?;
    docker.ok(&["rm", "-f", "mpi"])?;
    eventually("it is freed", || free().is_ok())?;
    unchanged(&docker)
}

fn refused(lab: &Lab) -> Result<(), Failed> {
    let docker = Docker::new(lab)?;
    docker.start("first", &[RXE1], &["--user", "1000:1000"])?;
    let take = ["-e", "NICDOCK_IP=10.9.9.1/24", "-e", "NICDOCK_IFNAME=fab0"];
    docker.start("second", &[RXE0], if lab.moves_soft_roce() { &take } else { &[] })?;
    docker.has_rxe1("first")?;
    if lab.moves_soft_roce() {
        let shown = docker.inside("second", "ip -br address")?;
        expect(shown.contains("fab0") && shown.contains("10.9.9.1/24"), shown)?;
    }
    let said = docker.refused(&[RXE1], &[])?;
    let id = docker.field("first", "Id")?;
    expect(said.contains(&format!("held by container {id}")), said)?;
    docker.ok(&["rm", "-f", "first", "second"])?;
    eventually("they are freed", || free().is_ok())?;
    for (nics, options, part) in [
        (&[RXE1][..], &["--privileged"][..], "leave --privileged away"),
        (&[RXE1], &["--pid", "host"], "--pid host"),
        (&[RXE1], &["--network", "host"], "host's network namespace"),
        (&[RXE1], &["--cap-add", "SYS_ADMIN"], "--cap-drop=SYS_ADMIN"),
        (&[RXE1], &["--ulimit", "memlock=65536:65536"], "memlock"),
        (&[RXE1], &["-e", "NICDOCK_IP=nonsense"], "nicdock.io/ip=nonsense"),
        (&["/dev/infiniband/uverbs1:/dev/other"], &[], "the same path inside"),
        (&["/dev/null:/dev/infiniband/uverbs7"], &[], "no NIC has this node"),
    ] {
        let said = docker.refused(nics, options)?;
        expect(said.contains(part), format!("{nics:?} {options:?}: {said}"))?;
        free()?;
    }
    Ok(())
}

fn audited(lab: &Lab) -> Result<(), Failed> {
    let docker = Docker::new(lab)?;
    docker.start("mpi", &[RXE1], &[])?;
    engine::nothing_open_but_paths(
        lab,
        &docker.field("mpi", "Id")?,
        &docker.field("mpi", "State.Pid")?,
        &[engine::OVERLAY],
    )
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    {
        let mut docker = Docker::new(lab)?;
        docker.start("victim", &[RXE1], &[])?;
        crate::lifecycle::kill(docker.field("victim", "State.Pid")?.parse()?, "KILL")?;
        eventually("it is freed", || free().is_ok())?;
        docker.ok(&["start", "victim"])?;
        docker.has_rxe1("victim")?;
        // containerd's shim, with the program: nobody calls poststop but containerd, when it cleans up.
        let pid: i32 = docker.field("victim", "State.Pid")?.parse()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
        crate::lifecycle::kill(shim.trim().parse()?, "KILL")?;
        let _ = crate::lifecycle::kill(pid, "KILL");
        eventually("it is found", || succeed(&["reconcile"]).is_ok() && free().is_ok())?;
        eventually("docker sees it", || {
            docker.field("victim", "State.Running").is_ok_and(|text| text == "false")
        })?;
        docker.ok(&["start", "victim"])?;
        // Both daemons: the container runs on, and has its NIC until it ends.
        let pid: i32 = docker.field("victim", "State.Pid")?.parse()?;
        docker.kill_daemons("KILL");
        let leases = succeed(&["leases"])?;
        expect(leases.contains("held"), leases)?;
        crate::lifecycle::kill(pid, "KILL")?;
        eventually("it is found", || succeed(&["reconcile"]).is_ok() && free().is_ok())?;
        docker.serve()?;
        killed_in_its_hook(&docker)?;
    }
    stays(&before)
}

/// A runtime that is found before runc tells nicdock's hooks where to be killed, and becomes runc. Podman's test tries every step of the same hooks.
fn killed_in_its_hook(docker: &Docker) -> Result<(), Failed> {
    let first = format!("{FIRST}/runc");
    for (point, starts) in [("reserve.begun", false), ("show.begun", false), ("free.begun", true)] {
        let own = "\"PATH=/usr/sbin:/usr/bin:/sbin:/bin\"";
        let script = format!(
            "#!/bin/sh\nfor word; do if [ \"$before\" = --bundle ]; then sed -i 's|{own}|\"NICDOCK_FAIL_AT={point}=kill\",{own}|g' $word/config.json; fi; before=$word; done\nexec /usr/sbin/runc \"$@\"\n"
        );
        std::fs::write(&first, script)?;
        shell(&format!("chmod 755 {first}"))?;
        let output = docker.run("hooked", &[RXE1], &[], &["sleep", "1000"])?;
        expect(output.status.success() == starts, format!("{point}: {output:?}"))?;
        let _ = docker.call(&["rm", "-f", "hooked"]);
        // After a failed createRuntime hook runc calls poststop, which has taken the NIC home.
        let was_killed = if starts { free().is_err() } else { format!("{output:?}").contains("killed") };
        expect(was_killed, format!("{point}: its hook was not killed: {output:?}"))?;
        succeed(&["reconcile"])?;
        free()?;
    }
    Ok(std::fs::remove_file(&first)?)
}

fn installed(lab: &Lab) -> Result<(), Failed> {
    let docker = Docker::of(lab, ADMINISTRATORS, false)?;
    let (before, folder) = (std::fs::read(ADMINISTRATORS)?, std::fs::read_dir("/etc/docker")?.count());
    let said = succeed(&["oci", "install", "--engine", "docker"])?;
    expect(said.contains("kill -HUP") && said.contains("\"nicdock\": {"), said)?;
    let made = std::fs::read(ADMINISTRATORS)?;
    succeed(&["oci", "install", "--engine", "docker"])?;
    expect(std::fs::read(ADMINISTRATORS)? == made, "a second call changes it")?;
    shell("kill -HUP $(cat /run/docker.pid)")?;
    let knows = || docker.ok(&["info", "--format", "{{json .Runtimes}}"]);
    eventually("docker knows it", || knows().is_ok_and(|text| text.contains("nicdock-runtime")))?;
    docker.start("mpi", &[RXE1], &[])?;
    docker.has_rxe1("mpi")?;
    docker.ok(&["rm", "-f", "mpi"])?;
    eventually("it is freed", || free().is_ok())?;
    succeed(&["oci", "uninstall", "--engine", "docker"])?;
    expect(std::fs::read(ADMINISTRATORS)? == before, "it is not as before")?;
    expect(std::fs::read_dir("/etc/docker")?.count() == folder, "something is left beside it")
}

fn told(lab: &Lab) -> Result<(), Failed> {
    let _docker = Docker::new(lab)?;
    page::is_true(include_str!("../../../../docs/engines/docker.md"), &[])
}

/// The configuration of a container that asks for no NIC is what the engine has written.
fn unchanged(docker: &Docker) -> Result<(), Failed> {
    let mut found = Vec::new();
    for runtime in ["runc", "nicdock"] {
        docker.ok(&[
            "run",
            "-d",
            "--runtime",
            runtime,
            "--name",
            "plain",
            "--hostname",
            "plain",
            "--network",
            "none",
            "-v",
            "/usr:/usr:ro",
            "image",
            "sleep",
            "1000",
        ])?;
        let id = docker.field("plain", "Id")?;
        let text = std::fs::read_to_string(format!("{BUNDLES}/{id}/config.json"))?;
        // Folders of the storage have names of their own, too.
        let mut config: serde_json::Value = serde_json::from_str(&text.replace(&id, "ID"))?;
        config["root"]["path"].take();
        found.push(config);
        docker.ok(&["rm", "-f", "plain"])?;
    }
    expect(found[0] == found[1], format!("{:#}\nis not\n{:#}", found[0], found[1]))
}
