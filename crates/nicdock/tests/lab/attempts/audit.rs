//! `nicdock audit --pid` of a container that works against it: it must neither hang, nor call closed what it could not try.

use std::fs;
use std::process::Output;
use std::time::Instant;

use libtest_mimic::Failed;
use nicdock_audit::Verdict;

use super::{Attempt, PYTHON, all_is_free, steers_nothing, try_each};
use crate::audit::report;
use crate::lifecycle::kill;
use crate::nicdock::{command, eventually, expect, nicdock, sleeping};
use crate::shell::Shell;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[("a_container_neither_misleads_an_audit_nor_holds_it_up", all, Lab::is_first)];

/// Quick, and of each way in which a probe looks: by /proc, by mounts and by sockets.
const ONLY: &str = "process,mounted,netlink.rdma";

struct Scene {
    shell: Shell,
    /// How many attempts there are.
    probes: usize,
}

impl Scene {
    /// A process of the container's, by the last word of its command line.
    fn start(&mut self, script: &str, word: &str) -> Result<i32, Failed> {
        self.shell.ask(&format!("({script}) </dev/null >/dev/null 2>&1 & :"))?;
        let ends = format!("\0{word}\0");
        let find = || {
            let entries = fs::read_dir("/proc").ok()?.flatten();
            let mut pids = entries.filter_map(|e| e.file_name().to_string_lossy().parse::<i32>().ok());
            pids.find(|pid| {
                fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(ends.as_bytes()))
            })
        };
        eventually("the program runs", || find().is_some())?;
        find().ok_or_else(|| "it has ended".into())
    }

    /// An audit in the place of a process. It says that it could not be made, or has tried everything and found nothing.
    fn audit(&mut self, pid: i32) -> Result<Output, Failed> {
        let begin = Instant::now();
        let output =
            nicdock(&["audit", "--pid", &pid.to_string(), "--only", ONLY, "--json", "--max-pause", "30"]);
        let status = output.status.code();
        println!(
            "audit: {:.1?}, {status:?} {}",
            begin.elapsed(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let report = report(&output)?;
        let closed = report.probes.iter().filter(|probe| probe.result == Verdict::Closed).count();
        match status {
            Some(0) => expect(report.probes.len() == self.probes, format!("{} probes", report.probes.len()))?,
            Some(125) => expect(!report.reproducible && closed == 0, "it calls something closed")?,
            // What could not be tried is open.
            Some(1) => {}
            _ => return Err(format!("{output:?}").into()),
        }
        // It runs on, and nothing is left among its processes.
        self.shell.ask("true")?;
        Ok(output)
    }

    /// The same of one that is ended then.
    fn audited(&mut self, script: &str, word: &str) -> Result<Output, Failed> {
        let pid = self.start(script, word)?;
        let output = self.audit(pid);
        let _ = kill(pid, "KILL");
        output
    }
}

fn all(_: &Lab) -> Result<(), Failed> {
    let options =
        ["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--name", "hostile", "--", "sh"];
    let mut scene = Scene { shell: Shell::start(command(&options), Vec::new())?, probes: 0 };
    let first = nicdock(&["audit", "--pid", &scene.shell.pid()?, "--only", ONLY, "--json"]);
    scene.probes = report(&first)?.probes.len();
    expect(first.status.code() == Some(0) && scene.probes > 10, format!("{first:?}"))?;
    let attempts: &[Attempt<Scene>] = &[
        ("a second of processor time", |scene| {
            scene.audited("ulimit -t 1; exec sleep 8340", "8340").map(drop)
        }),
        ("no byte may be written to a file", |scene| {
            scene.audited("ulimit -f 0; exec sleep 8341", "8341").map(drop)
        }),
        ("hardly any memory", |scene| scene.audited("ulimit -v 9000; exec sleep 8342", "8342").map(drop)),
        ("no stack", |scene| scene.audited("ulimit -s 16; exec sleep 8343", "8343").map(drop)),
        ("as many processes as it may have", crowded),
        ("three hundred threads", |scene| {
            let program = "import threading, time\nfor i in range(300): threading.Thread(target=time.sleep, args=(60,)).start()";
            let script = format!("{PYTHON} -c '{program}' 8344");
            let pid = scene.start(&script, "8344")?;
            let tasks = format!("/proc/{pid}/task");
            eventually("the threads", || fs::read_dir(&tasks).is_ok_and(|list| list.count() > 300))?;
            let output = scene.audit(pid)?;
            kill(pid, "KILL")?;
            expect(output.status.code() == Some(0), "it could not be audited")
        }),
        ("a name that steers a terminal and names another's NIC", named),
        ("a filter that asks a supervisor of the container's", asking),
        ("a process that another one of the container traces", traced),
        ("a program that executes itself without end", executing),
        ("a process that has ended", over),
        ("a file system that never answers", never_answers),
    ];
    try_each(&mut scene, attempts)?;
    drop(scene);
    all_is_free()
}

/// The audit's own processes count among them.
fn crowded(scene: &mut Scene) -> Result<(), Failed> {
    let file = |name: &str| format!("/sys/fs/cgroup/nicdock/container-hostile/pids.{name}");
    let pid = scene.start("exec sleep 8345", "8345")?;
    let before = fs::read_to_string(file("max"))?;
    fs::write(file("max"), fs::read_to_string(file("current"))?.trim())?;
    let result = scene.audit(pid);
    fs::write(file("max"), before.trim())?;
    kill(pid, "KILL")?;
    let output = result?;
    expect(output.status.code() != Some(0), "it says that nothing is open, and could start nothing")
}

fn named(scene: &mut Scene) -> Result<(), Failed> {
    let script =
        "printf '\\033[31mrxe0\\033[2J' >/proc/self/comm; exec -a \"$(printf '\\033[2Jrxe0')\" sleep 8346";
    let pid = scene.start(&format!("exec bash -c '{}' 8346", script.replace('\'', "'\\''")), "8346")?;
    let junit = "/tmp/attempts-audit.xml";
    let output = nicdock(&["audit", "--pid", &pid.to_string(), "--only", "process", "--junit", junit]);
    kill(pid, "KILL")?;
    let xml = fs::read_to_string(junit)?;
    fs::remove_file(junit)?;
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    steers_nothing("the audit's report", &text)?;
    steers_nothing("the audit's XML", &xml)
}

/// `SECCOMP_RET_USER_NOTIF` for openat(2): another process of the container's could answer whatever it likes.
fn asking(scene: &mut Scene) -> Result<(), Failed> {
    let program = "import ctypes, time
c = ctypes.CDLL(None, use_errno=True)
class F(ctypes.Structure): _fields_ = [(\"len\", ctypes.c_ushort), (\"filter\", ctypes.c_void_p)]
import struct
code = b\"\".join(struct.pack(\"HBBI\", *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, 257), (6, 0, 0, 0x7fc00000), (6, 0, 0, 0x7fff0000)])
buffer = ctypes.create_string_buffer(code)
c.prctl(38, 1, 0, 0, 0)
fd = c.syscall(317, 1, 8, ctypes.byref(F(4, ctypes.addressof(buffer))))
time.sleep(600 if fd >= 0 else 0)";
    let pid = scene.start(&format!("exec {PYTHON} -c '{program}' 8348"), "8348")?;
    let filters = |of: i32| {
        let status = fs::read_to_string(format!("/proc/{of}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
        line.and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0)
    };
    let own = filters(scene.shell.pid()?.parse()?);
    eventually("it has one filter more", || filters(pid) > own)?;
    let output = scene.audit(pid)?;
    kill(pid, "KILL")?;
    expect(output.status.code() != Some(0), "it says that nothing is open, and could open nothing")
}

fn traced(scene: &mut Scene) -> Result<(), Failed> {
    let program = "import ctypes, os, time\nif os.fork() == 0:\n    ctypes.CDLL(None).ptrace(0, 0, 0, 0)\n    time.sleep(600)\ntime.sleep(600)";
    let parent = scene.start(&format!("exec {PYTHON} -c '{program}' 8349"), "8349")?;
    let traced = || {
        let list = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = list.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
        let is_it = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains("TracerPid:\t")
                && !status.contains("TracerPid:\t0\n")
                && status.contains("Name:\tpython3")
        };
        pids.into_iter().find(is_it)
    };
    eventually("one traces the other", || traced().is_some())?;
    let child = traced().ok_or("it has ended")?;
    let shell = scene.shell.pid()?.parse()?;
    let output = scene.audit(shell)?;
    kill(parent, "KILL")?;
    let _ = kill(child, "KILL");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(output.status.code() == Some(125) && text.contains("is traced by process"), text)
}

/// It is another program at each look.
fn executing(scene: &mut Scene) -> Result<(), Failed> {
    scene.shell.ask("printf '#!/bin/sh\\nexec /tmp/again 8350\\n' >/tmp/again; chmod +x /tmp/again")?;
    let again = scene.start("exec /tmp/again 8350", "8350")?;
    let shell = scene.shell.pid()?.parse()?;
    let output = scene.audit(shell)?;
    let other = scene.audit(again)?;
    kill(again, "KILL")?;
    expect(output.status.code() == Some(0) && other.status.code() == Some(0), "it could not be audited")
}

fn over(scene: &mut Scene) -> Result<(), Failed> {
    scene.shell.ask("sh -c 'true & exec sleep 8351' >/dev/null & :")?;
    eventually("the parent runs", || sleeping("8351").is_some())?;
    let parent = sleeping("8351").ok_or("no parent")?;
    let child = || fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let is_over = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child().trim())).unwrap_or_default();
        stat.contains(") Z ")
    };
    eventually("a process has ended", is_over)?;
    let output = nicdock(&["audit", "--pid", child().trim(), "--only", ONLY]);
    kill(parent, "KILL")?;
    expect(output.status.code() == Some(3), format!("{output:?}"))
}

/// Where the audit makes nodes: somebody has mounted it there, and it is served by nobody.
fn never_answers(scene: &mut Scene) -> Result<(), Failed> {
    let pid = scene.shell.pid()?;
    let mut server = super::paths::fuse("/tmp".as_ref(), Some(&pid))?;
    let begin = Instant::now();
    let output = nicdock(&["audit", "--pid", &pid, "--only", "device.open.uverbs0.tmp", "--max-pause", "4"]);
    let took = begin.elapsed();
    let runs = scene.shell.ask("true");
    server.kill()?;
    server.wait()?;
    runs?;
    println!("audit: {took:.1?} {}", output.status);
    expect(output.status.code() != Some(0), format!("it calls closed what did not answer: {output:?}"))?;
    expect(took.as_secs() < 20, format!("it took {took:.1?}"))
}
