//! Containers of LXD, which has liblxc below and takes its lines in `raw.lxc`. lxcfs runs beside it, as Debian's package makes it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::engine::{free, open, report, rxe1};
use crate::nicdock::{eventually, expect, succeed};
use crate::probing::binary;
use crate::{Lab, Test};

pub const TESTS: &[Test] =
    &[("a_container_of_lxd_has_its_nic_when_its_program_starts_and_gives_it_back", lifecycle, Lab::is_first)];

const PATH: &str = "/tmp/lxd";
/// What they mount, and leave mounted.
const MOUNTED: [&str; 2] = ["/var/lib/lxd", "/var/lib/lxcfs"];

/// The daemons, ended when this is dropped, with their containers.
struct Lxd(Vec<Child>);

impl Lxd {
    fn start() -> Result<Self, Failed> {
        sh("modprobe fuse && mkdir -p /var/lib/lxcfs")?;
        let spawn = |program: &str, args: &[&str]| {
            let log = std::fs::File::create(format!("/tmp/{program}.log"))?;
            let mut command = Command::new(program);
            command.args(args).env("HOME", "/root").stdin(Stdio::null());
            command.stdout(log.try_clone()?).stderr(log).spawn()
        };
        let mut this = Self(vec![spawn("lxcfs", &["/var/lib/lxcfs"])?]);
        eventually("lxcfs runs", || Path::new("/var/lib/lxcfs/proc/meminfo").exists())?;
        this.0.push(spawn("lxd", &[])?);
        sh("lxd waitready --timeout 60")?;
        lxc(&["storage", "create", "default", "dir"])?;
        // An image of a few folders: the programs are the host's.
        sh(&format!(
            "mkdir -p {PATH}/rootfs && cd {PATH}/rootfs && mkdir -p sbin usr proc sys dev tmp etc run opt/nicdock && ln -s usr/bin bin && ln -s usr/lib lib && ln -s usr/lib64 lib64
            printf '#!/bin/sh\\nexec sleep 1000\\n' > sbin/init && chmod 755 sbin/init
            printf 'architecture: x86_64\\ncreation_date: 1700000000\\n' > ../metadata.yaml
            tar -czf ../image.tar.gz -C .. metadata.yaml rootfs"
        ))?;
        lxc(&["image", "import", &format!("{PATH}/image.tar.gz"), "--alias", "image"])?;
        Ok(this)
    }
}

impl Drop for Lxd {
    fn drop(&mut self) {
        let _ = Command::new("sh")
            .args(["-c", "lxc list -f csv -c n status=running | xargs -r timeout 10 lxc stop --force"])
            .env("HOME", "/root")
            .status();
        for child in self.0.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let list = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = list.lines().rev().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| MOUNTED.iter().any(|folder| point.starts_with(folder))) {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
        // lxcfs mounts the groups of version 2 once more, without this option, and the kernel has it once for all.
        if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            let _ = Command::new("mount").args(["-o", "remount,nsdelegate", "/sys/fs/cgroup"]).status();
        }
    }
}

fn output(program: &str, args: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(program).args(args).env("HOME", "/root").stdin(Stdio::null()).output()?)
}

fn run(program: &str, args: &[&str]) -> Result<String, Failed> {
    let output = output(program, args)?;
    expect(output.status.success(), format!("{program} {args:?}: {output:?}\n{}", said()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn sh(script: &str) -> Result<String, Failed> {
    run("sh", &["-ec", script])
}

fn lxc(args: &[&str]) -> Result<String, Failed> {
    run("lxc", args)
}

/// The log, with what the hooks said in one piece: LXC writes it down as it reads it, parts of lines and several at once.
fn said() -> String {
    let script = "cat /var/log/lxd/*/lxc.log | sed 's/^lxc .* produced output: //' | tr -d '\\n'";
    let output = Command::new("sh").args(["-c", script]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// A container with the files that `nicdock lxc` has printed with these options.
fn make(name: &str, privileged: bool, options: &[&str], system: &[&str]) -> Result<(), Failed> {
    let (policy, fragment) = (format!("{PATH}/{name}.seccomp"), format!("{PATH}/{name}.conf"));
    std::fs::write(&policy, succeed(&[&["lxc", "seccomp"], system].concat())?)?;
    let printed = succeed(&[&["lxc", "config", "--seccomp", &policy], options, system].concat())?;
    std::fs::write(&fragment, printed)?;
    let binary = binary()?;
    let folder = Path::new(&binary).parent().unwrap_or(Path::new("/")).display();
    let disk = |path: &str, source: &str| {
        format!("{{type: disk, source: {source}, path: {path}, readonly: 'true'}}")
    };
    let (usr, opt) = (disk("/usr", "/usr"), disk("/opt/nicdock", &folder.to_string()));
    let config = format!(
        "config:\n  security.privileged: '{privileged}'\n  raw.lxc: |\n    lxc.log.level = debug\n    lxc.include = {fragment}\n\
         devices:\n  usr: {usr}\n  opt: {opt}\n"
    );
    std::fs::write(format!("{PATH}/{name}.yaml"), config)?;
    sh(&format!("lxc init --quiet image {name} --storage default < {PATH}/{name}.yaml")).map(drop)
}

fn inside(name: &str, script: &str) -> Result<String, Failed> {
    lxc(&["exec", name, "--", "sh", "-c", script])
}

/// The NIC works, and nothing else of the fabric is there. Gives its first process.
fn has_rxe1(name: &str, lab: &Lab) -> Result<String, Failed> {
    let netdevs = if lab.moves_soft_roce() { "eth1\nlo\n" } else { "lo\n" };
    let wanted =
        format!("/dev/infiniband:\nuverbs1\n\n/sys/class/infiniband:\nrxe1\n\n/sys/class/net:\n{netdevs}");
    let found =
        inside(name, "ls /dev/infiniband /sys/class/infiniband /sys/class/net; /opt/nicdock/nicdock probe")?;
    expect(found.starts_with(&wanted), &found)?;
    expect(found.contains("rxe1 /dev/infiniband/uverbs1: usable"), &found)?;
    expect(found.contains("memlock       unlimited"), found)?;
    let leases = succeed(&["leases"])?;
    let pid =
        leases.split_once(&format!("held   {name} (process ")).and_then(|(_, rest)| rest.split_once(')'));
    Ok(pid.ok_or_else(|| leases.clone())?.0.to_owned())
}

fn lifecycle(lab: &Lab) -> Result<(), Failed> {
    let nic = &rxe1(lab);
    let _lxd = Lxd::start()?;
    make("mpi", false, nic, &[])?;
    lxc(&["start", "mpi"])?;
    let pid = has_rxe1("mpi", lab)?;
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    expect(!map.contains("4294967295"), map)?;
    is_closed(&pid)?;
    lxc(&["stop", "--force", "mpi"])?;
    free()?;
    make("other", true, nic, &["--keep-privileges"])?;
    lxc(&["start", "other"])?;
    has_rxe1("other", lab)?;
    // As systemd does with its services.
    inside("other", "mkdir /sys/fs/cgroup/service && echo $$ > /sys/fs/cgroup/service/cgroup.procs")?;
    // LXD takes half a minute to say that a start was refused by a hook, whichever; why is in the log at once.
    let mut refused = Command::new("lxc").args(["start", "mpi"]).env("HOME", "/root").spawn()?;
    let told =
        eventually("it is refused with the holder's name", || said().contains("held by container other"));
    let _ = refused.kill();
    refused.wait()?;
    told.map_err(|error| format!("{}; {}", error.message().unwrap_or_default(), said()))?;
    has_rxe1("other", lab)?;
    lxc(&["stop", "--force", "other"])?;
    free()
}

/// The audit finds the node for FUSE that LXD gives each of its own, and nothing of the fabric.
fn is_closed(pid: &str) -> Result<(), Failed> {
    let audit = || report(&["audit", "--json", "--max-pause", "300", "--pid", pid]);
    let mut report = audit()?;
    // LXD sends a process of its own into it now and then, and while one comes nothing is concluded.
    for _ in 0..4 {
        if report.probes.is_empty() {
            report = audit()?;
        }
    }
    println!("accepted in a container of LXD: {}", report.summary.accepted);
    let mut lines = open(&report);
    println!("audit: {} of {} open in a container of LXD: {lines:?}", lines.len(), report.probes.len());
    lines.retain(|line| line != "device.listing: /dev has 1 more nodes: fuse");
    expect(lines.is_empty(), lines.join("\n"))?;
    expect(report.probes.len() > 600, format!("only {} probes: {:?}", report.probes.len(), report.notes))
}
