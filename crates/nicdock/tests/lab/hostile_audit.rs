//! A container that attacks whatever nicdock puts into it, or near it: it reaches nothing, and with the hardening left out everything.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use libtest_mimic::Failed;

use crate::lifecycle::kill;
use crate::nicdock::{children, command, eventually, expect, sleeping, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_container_that_may_trace_reaches_nothing_of_the_audit_in_it", traces, Lab::is_oldest_or_newest),
    ("each_thing_that_keeps_the_audit_apart_from_the_container_is_needed", each_is_needed, Lab::is_first),
    ("root_of_a_user_namespace_that_may_trace_reaches_nothing_of_the_audit", user_namespace, Lab::is_first),
    ("an_ordinary_container_reaches_nothing_of_the_audit_even_while_it_runs_on", ordinary, Lab::is_first),
    ("an_audit_that_is_stopped_lets_the_container_run_on_in_time", stopped, Lab::is_oldest_or_newest),
    ("a_container_runs_on_when_its_audit_is_killed", killed, Lab::is_oldest_or_newest),
    ("a_chain_of_forks_does_not_outrun_the_audits_standstill", chain, Lab::is_oldest_or_newest),
    ("a_process_that_comes_during_an_audit_is_told", newcomer, Lab::is_oldest_or_newest),
    ("no_process_of_attach_or_detach_is_seen_in_the_container", unseen, Lab::is_newest),
];

const SECRET: &str = "/run/audit-secret";
const WRITTEN: &str = "/tmp/audit-written.xml";
/// The PCI address of a NIC that the container does not have.
const WORD: &str = "0000:01:00.0";
const ALL: &str = "audit-stillness,audit-descriptors,audit-memory,audit-order";
const TRACES: [&str; 3] = ["--cap-add", "SYS_PTRACE", "--weaken"];

/// The container, and what it has reached.
pub struct Hostile {
    /// nicdock, or whatever else started it.
    child: Child,
    pid: String,
    reached: Arc<Mutex<BTreeSet<String>>>,
}

impl Hostile {
    fn start(options: &[&str], mode: &str) -> Result<Self, Failed> {
        let mut args = vec!["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--name", "hostile"];
        args.extend(options);
        args.push("--");
        Self::by(command(&args), mode)
    }

    /// In the container in which `command` executes its last words.
    pub fn by(mut command: Command, mode: &str) -> Result<Self, Failed> {
        command.args(Self::words(mode)?);
        Self::heard_by(command)
    }

    /// The words that the container's program has to be.
    pub fn words(mode: &str) -> Result<Vec<String>, Failed> {
        let this = std::env::current_exe()?.display().to_string();
        Ok([&this, "--probe", "reach", mode, WORD, SECRET, WRITTEN].map(str::to_owned).into())
    }

    /// `command` starts the container, or prints what its program says.
    pub fn heard_by(mut command: Command) -> Result<Self, Failed> {
        std::fs::write(SECRET, "the host's secret")?;
        let this = std::env::current_exe()?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
        let first = lines.next().transpose()?;
        expect(first.as_deref() == Some("ready"), format!("{first:?}"))?;
        let reached = Arc::new(Mutex::new(BTreeSet::new()));
        let kept = Arc::clone(&reached);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(mut reached) = kept.lock() {
                    reached.insert(line);
                }
            }
        });
        // Whoever started it has these words as well, behind others.
        let begin = format!("{}\0--probe\0reach\0", this.display());
        let is_it = |pid: &String| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(&begin))
        };
        let listed = std::fs::read_dir("/proc")?.flatten();
        let mut pids = listed.filter_map(|entry| entry.file_name().into_string().ok());
        let pid = pids.find(is_it).ok_or("no process")?;
        Ok(Self { child, pid, reached })
    }

    /// What it reaches of an audit, with closings left out, and what the audit says at a terminal of its own, which then takes a line.
    fn attacks(&self, left_open: &str) -> Result<(BTreeSet<String>, String), Failed> {
        self.forget();
        let script = format!(
            "nicdock audit --pid {} --only process.visible --max-pause 60 --junit {WRITTEN}; echo status:$?; read -t 1 line; echo \"typed:$line\"",
            self.pid
        );
        let python = "import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execvp('bash', ['bash', '-c', sys.argv[1]])
try:
    while data := os.read(fd, 4096): sys.stdout.buffer.write(data)
except OSError: pass
";
        let output = Command::new("python3")
            .args(["-c", python, &script])
            .env("NICDOCK_LEAVE_OPEN", left_open)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // The host's own reading of it.
        let mut reached = self.so_far();
        if !std::fs::read_to_string(WRITTEN).is_ok_and(|text| text.contains("owned")) {
            reached.remove("file");
        }
        if !said.contains("typed:owned") {
            reached.remove("terminal");
        }
        Ok((reached, said))
    }

    fn audit(&self, more: &[&str], left_open: &str) -> Result<Output, Failed> {
        self.forget();
        let args = [&["audit", "--pid", &self.pid, "--only", "process.visible"], more].concat();
        Ok(command(&args).env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).output()?)
    }

    fn so_far(&self) -> BTreeSet<String> {
        // What it has said last is on its way through a pipe.
        std::thread::sleep(std::time::Duration::from_millis(100));
        self.reached.lock().map(|reached| reached.clone()).unwrap_or_default()
    }

    fn forget(&self) {
        if let Ok(mut reached) = self.reached.lock() {
            reached.clear();
        }
    }

    /// It runs, and nothing traces it.
    fn runs(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        status.contains("TracerPid:\t0") && !status.contains("State:\tt")
    }

    /// The process that makes it stand still.
    fn tracer(&self) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim();
        (tracer != "0").then(|| tracer.to_owned())
    }

    /// Nothing is reached, and the audit ends as it should.
    fn fails(&self, left_open: &str) -> Result<(), Failed> {
        let (reached, said) = self.attacks(left_open)?;
        expect(reached.is_empty(), format!("'{left_open}' left out: {reached:?}"))?;
        expect(said.contains("status:0") && said.contains("typed:\r"), said)?;
        expect(self.runs(), "the container does not run on")
    }

    /// With this left out all of these are reached, and none of those.
    fn reaches(&self, left_open: &str, goals: &[&str], others: &[&str]) -> Result<(), Failed> {
        // The moment at which nicdock itself is in the container is short.
        let mut all = BTreeSet::new();
        let mut last = String::new();
        for _ in 0..4 {
            let (reached, said) = self.attacks(left_open)?;
            all.extend(reached);
            last = said;
            if goals.iter().all(|goal| all.contains(*goal)) {
                break;
            }
        }
        println!("'{left_open}' left out: {all:?}");
        let lacks: Vec<_> = goals.iter().filter(|goal| !all.contains(**goal)).collect();
        expect(lacks.is_empty(), format!("'{left_open}' left out, and not reached: {lacks:?}\n{last}"))?;
        let undue: Vec<_> = others.iter().filter(|goal| all.contains(**goal)).collect();
        expect(undue.is_empty(), format!("'{left_open}' left out, and reached: {undue:?}"))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        crate::nicdock::nicdock(&["reconcile"]);
        let _ = std::fs::remove_file(SECRET);
        let _ = std::fs::remove_file(WRITTEN);
    }
}

fn traces(lab: &Lab) -> Result<(), Failed> {
    may_trace(lab, &Hostile::start(&TRACES, "reach")?)
}

/// It reaches nothing, and with all left out everything.
pub fn may_trace(lab: &Lab, hostile: &Hostile) -> Result<(), Failed> {
    hostile.fails("")?;
    // Later kernels let nobody type into a terminal without CAP_SYS_ADMIN (CONFIG_LEGACY_TIOCSTI).
    let terminal: &[&str] = if lab.kernel == "6.1" { &["terminal"] } else { &[] };
    let goals = [&["root", "descriptor", "file", "memory", "stopped"], terminal].concat();
    hostile.reaches(ALL, &goals, &[])
}

fn each_is_needed(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&TRACES, "reach")?;
    // Standing still closes alone.
    hostile.fails("audit-descriptors,audit-memory")?;
    // And without it nothing of the host is reached, but what is looked for.
    hostile.reaches(
        "audit-stillness",
        &["memory", "stopped"],
        &["root", "descriptor", "file", "terminal"],
    )?;
    hostile.reaches("audit-stillness,audit-descriptors", &["descriptor", "file", "terminal"], &["root"])?;
    hostile.reaches("audit-stillness,audit-order", &["root"], &[])
}

fn user_namespace(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&["--userns", "--cap-add", "SYS_PTRACE"], "reach")?;
    hostile.fails("")?;
    hostile.reaches(ALL, &["descriptor", "memory"], &[])?;
    // Its memory belongs to the first user namespace.
    hostile.reaches("audit-stillness", &["stopped"], &["root", "descriptor", "file", "terminal", "memory"])
}

fn ordinary(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&[], "reach")?;
    hostile.reaches("audit-stillness,audit-descriptors,audit-memory", &["file", "memory"], &[])?;
    hostile.reaches(
        "audit-stillness,audit-descriptors",
        &["stopped"],
        &["file", "memory", "descriptor", "terminal"],
    )
}

fn stopped(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&[], "hold")?;
    let output = hostile.audit(&["--max-pause", "3", "--json"], "audit-stillness")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(output.status.code() == Some(125) && text.contains("--max-pause"), &text)?;
    expect(hostile.so_far().contains("stopped"), "it was not stopped")?;
    expect(!crate::audit::report(&output)?.reproducible, "it is called reproducible")?;
    // Nothing of it is left in the container.
    let left = succeed(&["leases"])?;
    expect(left.contains("hostile"), left)?;
    let output = hostile.audit(&[], "")?;
    expect(output.status.code() == Some(0), String::from_utf8_lossy(&output.stderr))?;
    expect(hostile.so_far().is_empty() && hostile.runs(), "it was stopped again")
}

fn killed(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&[], "reach")?;
    let mut audit =
        command(&["audit", "--pid", &hostile.pid]).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    eventually("the container stands still", || !hostile.runs())?;
    audit.kill()?;
    audit.wait()?;
    eventually("the container runs on", || hostile.runs())
}

fn chain(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&[], "chain")?;
    let runs_on = || {
        hostile.forget();
        hostile.so_far().contains("link")
    };
    // Whether a link has been made while the container should stand still.
    let escapes = |left_open: &str| -> Result<bool, Failed> {
        eventually("the chain runs", runs_on)?;
        let mut audit = command(&["audit", "--pid", &hostile.pid])
            .env("NICDOCK_LEAVE_OPEN", left_open)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let status = format!("/proc/{}/status", audit.id());
        eventually("the container stands still, or the audit has ended", || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            !hostile.runs() || status.contains("State:\tZ")
        })?;
        // What was said before is read by then.
        hostile.so_far();
        let escapes = (0..5).any(|_| runs_on());
        // A link that is caught later is told, and ends the audit.
        let ended = audit.try_wait()?.is_some() || hostile.runs();
        audit.kill()?;
        audit.wait()?;
        expect(escapes || !ended || !left_open.is_empty(), "the audit has ended too early")?;
        eventually("the container runs on", || hostile.runs())?;
        Ok(escapes || ended)
    };
    for _ in 0..3 {
        expect(!escapes("")?, "a chain of forks goes on while the container stands still")?;
    }
    eventually("the chain runs on", runs_on)?;
    let output = hostile.audit(&[], "")?;
    expect(output.status.code() == Some(0), String::from_utf8_lossy(&output.stderr))?;
    eventually("the chain runs on", runs_on)?;
    for _ in 0..8 {
        if escapes("audit-freeze")? {
            return Ok(());
        }
    }
    Err("no chain of forks has escaped without the freeze".into())
}

/// As an engine's health check.
fn newcomer(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&[], "reach")?;
    let (status, said) = with_newcomer(&hostile, "audit-newcomers")?;
    expect(status == Some(0), format!("the attack failed although nobody looks for it: {status:?} {said}"))?;
    let (status, said) = with_newcomer(&hostile, "")?;
    expect(status == Some(125) && said.contains("has come into the container"), said)?;
    expect(hostile.runs(), "the container does not run on")
}

/// How an audit ends, and what it says, when a process has come into the container and has run there. The audit waits for that, whatever the machine's
/// speed: its process in the container is stopped meanwhile.
fn with_newcomer(hostile: &Hostile, left_open: &str) -> Result<(Option<i32>, String), Failed> {
    let audit = command(&["audit", "--pid", &hostile.pid, "--only", "sys,filesystem", "--max-pause", "300"])
        .env("NICDOCK_LEAVE_OPEN", left_open)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut held = None;
    // One that has just done its part of the work is not held.
    let mut is_held = || {
        held = hostile.tracer().and_then(|keeper| children(keeper).into_iter().next());
        held.is_some_and(|pid| kill(pid, "STOP").is_ok() && is_stopped(pid))
    };
    eventually("the audit is held", &mut is_held)?;
    let held = held.ok_or("no process of the audit")?;
    let mut check = Command::new("nsenter")
        .args(["-t", &hostile.pid, "-p", "-m", "sleep", "90077"])
        .stdin(Stdio::null())
        .spawn()?;
    // Where newcomers are looked for, it is stopped soon, and the audit ends by itself.
    let came = eventually("it runs there", || sleeping("90077").is_some() || hostile.runs());
    let stood_still = !left_open.is_empty() && !hostile.runs();
    let _ = kill(held, "CONT");
    let output = audit.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // nsenter waits for it outside of the container.
    let _ = Command::new("pkill").args(["-KILL", "-P", &check.id().to_string()]).status();
    check.kill()?;
    check.wait()?;
    came?;
    expect(stood_still || left_open.is_empty(), format!("the audit ended before the process came: {text}"))?;
    Ok((output.status.code(), text))
}

fn is_stopped(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.contains("State:\tT")
}

/// They enter its mount and network namespaces, and never that of its processes.
fn unseen(_: &Lab) -> Result<(), Failed> {
    let hostile = Hostile::start(&TRACES, "reach")?;
    for _ in 0..2 {
        succeed(&["attach", "--container", "hostile", "--nic", "eth3"])?;
        succeed(&["detach", "eth3"])?;
    }
    let reached = hostile.so_far();
    expect(reached.is_empty(), format!("of attach and detach: {reached:?}"))?;
    // It would have seen one.
    hostile.reaches("audit-stillness", &["stopped"], &[])
}
