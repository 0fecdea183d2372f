//! The container's processes stand still while the audit is among them.
//!
//! Each thread is stopped by ptrace, whatever the version of control groups. A cgroup that is frozen would freeze the audit, too, which has to be in it
//! (`cgroup_freezer_migrate_task()`), and stay frozen if nicdock is killed; what ptrace has stopped goes on when its tracer ends.
//!
//! Only for the moment in which the threads are seized is it frozen ([`Frozen`]): else a process that forks the next one and ends at once would have
//! gone before it can be seized, and so would the next one.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use nicdock_sys::processes;

use super::frozen::Frozen;
use super::scope::Scope;
use nicdock_sys::closing::Closing;
use nicdock_sys::tracee;

/// How long every thread may take to stop. A worker of io_uring, which cannot be stopped, goes after five idle seconds (`WORKER_IDLE_TIMEOUT`, io_uring/io-wq.c).
const STOPPING: Duration = Duration::from_secs(10);
/// Processes that have come without a fork, as by a move between cgroups, are looked for so often.
const WHOLE_LOOK: Duration = Duration::from_secs(1);
/// Of so many new processes none is looked at alone.
const MANY: u32 = 1000;
/// `PF_KTHREAD` (include/linux/sched.h).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// As long as this and its process live. Nothing lets them go on but the end of the process.
pub struct Standstill {
    scope: Scope,
    last_pid: Option<u32>,
    looked: Instant,
    /// What an engine on the host does in the container, as far as it executes nothing there.
    copies: BTreeSet<u32>,
}

/// What the kernel says of a thread.
struct Thread {
    state: char,
    tracer: u32,
}

impl Standstill {
    /// Stops every process that could see, from inside of the container, one in the place of process `pid`.
    pub fn begin(pid: u32) -> Result<Self, String> {
        let scope = Scope::of(pid).map_err(|error| format!("finding the processes beside {pid}: {error}"))?;
        let mut this = Self { scope, last_pid: last_pid(), looked: Instant::now(), copies: BTreeSet::new() };
        if Closing::AuditStillness.is_left_open() {
            return Ok(this);
        }
        let complete = Closing::AuditFreeze.is_left_open() || this.seize_frozen()?;
        this.stop_all(complete)?;
        Ok(this)
    }

    /// Seizes every thread while none of them can fork. Whether all of them were frozen.
    fn seize_frozen(&mut self) -> Result<bool, String> {
        // On version 1 a thread that a signal has stopped is not seized before it is thawed (`ptrace_attach()` waits for
        // JOBCTL_TRAPPING, and what is frozen does not wake up): it is seized before.
        self.seize(|state| state == 'T')?;
        let frozen = Frozen::begin(&mut self.scope)?;
        let seized = self.seize(|_| true);
        let complete = seized.map(|pids| pids.into_iter().all(|pid| frozen.covers(pid)));
        frozen.thaw()?;
        complete
    }

    /// Seizes every thread in such a state that nobody traces, and waits for none. Gives the processes in the scope. What cannot be seized is
    /// told by [`Self::stop_all`].
    fn seize(&mut self, of: impl Fn(char) -> bool) -> Result<Vec<u32>, String> {
        let pids: Vec<u32> = processes()?.into_iter().filter(|pid| self.scope.has(*pid)).collect();
        for pid in &pids {
            for tid in threads(*pid) {
                let is_free = |thread: &Thread| thread.tracer == 0 && !thread.is_over() && of(thread.state);
                if Thread::of(*pid, tid).is_some_and(|thread| is_free(&thread)) {
                    let _ = tracee::stop(tid);
                }
            }
        }
        Ok(pids)
    }

    /// The audit's own processes are those of this session; no other process can become one of it (setsid(2)).
    pub fn spare_session(&mut self, session: u32) {
        self.scope.spared = Some(session);
    }

    /// Whether they still stand still, alone. A process that has come meanwhile is stopped, and is an error: it has run where the audit does.
    ///
    /// One that came from outside and has ended before it could be looked at is not noticed: only the host can send one in.
    pub fn look(&mut self) -> Result<(), String> {
        if Closing::AuditStillness.is_left_open() || Closing::AuditNewcomers.is_left_open() {
            return Ok(());
        }
        let last = last_pid();
        if last == self.last_pid && self.copies.is_empty() && self.looked.elapsed() < WHOLE_LOOK {
            return Ok(());
        }
        // A process that the audit has made has a new number, too, so mostly there are few to look at.
        let new: Option<Vec<u32>> = match (self.last_pid, last) {
            (Some(before), Some(now))
                if (before..before + MANY).contains(&now) && self.looked.elapsed() < WHOLE_LOOK =>
            {
                Some((before..=now).collect())
            }
            _ => None,
        };
        if new.is_none() {
            self.looked = Instant::now();
        }
        self.last_pid = last;
        let mut candidates = new.map_or_else(self::processes, Ok)?;
        candidates.extend(std::mem::take(&mut self.copies));
        let running: Vec<u32> = candidates.into_iter().filter(|pid| self.has_running(*pid)).collect();
        let (copies, others): (Vec<u32>, Vec<u32>) = running.into_iter().partition(|pid| is_copy(*pid));
        self.copies = copies.into_iter().collect();
        let newcomer = others.into_iter().next();
        let Some(pid) = newcomer else { return Ok(()) };
        let name = processes::command(pid);
        self.stop_all(true)?;
        Err(format!(
            "process {pid} ({name}) has come into the container meanwhile: audit it when its engine starts nothing in it"
        ))
    }

    fn has_running(&mut self, pid: u32) -> bool {
        self.scope.has(pid)
            && threads(pid)
                .into_iter()
                .filter_map(|tid| Thread::of(pid, tid))
                .any(|thread| !thread.is_over() && !thread.is_ours())
    }

    /// Until a whole look has found nothing that runs or is not traced by us. What a traced thread makes is traced from its beginning, unless it asks
    /// for another (CLONE_UNTRACED), which it cannot while it stands still.
    ///
    /// A process may have ended before it could be looked at, and may have forked another one before. If all are seized (`complete`), it was none of
    /// the container's. Else only a look counts in which none has ended and, on the whole host, none was made.
    fn stop_all(&mut self, complete: bool) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let mut moving = None;
            let last = last_pid();
            for pid in processes()? {
                if !self.scope.has(pid) {
                    if !complete && session(pid).is_none() {
                        moving = Some(format!("process {pid} has ended before it could be looked at"));
                    }
                    continue;
                }
                for tid in threads(pid) {
                    if let Some(reason) = stop(pid, tid) {
                        moving = Some(reason);
                    }
                }
            }
            if !complete && moving.is_none() && last_pid() != last {
                moving = Some(
                    "processes are made on the host, and the container's could not be frozen".to_owned(),
                );
            }
            let Some(reason) = moving else { return Ok(()) };
            if begin.elapsed() > STOPPING {
                return Err(format!(
                    "the container could not be made to stand still within {} s: {reason}",
                    STOPPING.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Stops a thread. Gives what it does unless it stands still already.
fn stop(pid: u32, tid: u32) -> Option<String> {
    let thread = Thread::of(pid, tid)?;
    let what = || {
        let name = fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
        format!("thread {tid} ({}) of process {pid}", name.trim())
    };
    match thread {
        _ if thread.is_over() => None,
        // In the kernel's own wait (D: a disk, vfork(2), the freezer) it has been told, and stops before its next instruction
        // (`exit_to_user_mode_loop()`, kernel/entry/common.c).
        Thread { state: 't' | 'D', .. } if thread.is_ours() => None,
        Thread { state, .. } if thread.is_ours() => Some(format!("{} is in state {state}", what())),
        Thread { tracer: 0, .. } => match tracee::stop(tid) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                let reason =
                    "a worker of io_uring cannot be stopped, nor one whose tracer is in the container";
                Some(format!("{}: {error} ({reason})", what()))
            }
            _ => Some(format!("{} has just been told to", what())),
        },
        Thread { tracer, .. } => Some(format!("{} is traced by process {tracer}: end that", what())),
    }
}

impl Thread {
    fn of(pid: u32, tid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Some(Self { state: field("State:")?.chars().next()?, tracer: field("TracerPid:")?.parse().ok()? })
    }

    fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    fn is_ours(&self) -> bool {
        self.tracer == std::process::id()
    }
}

/// Every process there is.
pub fn processes() -> Result<Vec<u32>, String> {
    Ok(processes::all().map_err(|error| format!("listing /proc: {error}"))?.collect())
}

fn threads(pid: u32) -> Vec<u32> {
    let listed = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The number of the process that was made last, in whatever process namespace (proc_loadavg(5)).
fn last_pid() -> Option<u32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().last()?.parse().ok()
}

/// A process's session, and whether it is the kernel's own (proc_pid_stat(5)).
pub fn session(pid: u32) -> Option<(u32, bool)> {
    let fields = stat(pid)?;
    let flags: u32 = fields.get(6)?.parse().ok()?;
    Some((fields.get(3)?.parse().ok()?, flags & KERNEL_THREAD != 0))
}

/// Whether every thread of a process has ended.
pub fn has_ended(pid: u32) -> bool {
    let others = |fields: &[String]| fields.get(17).and_then(|text| text.parse().ok()).unwrap_or(0) > 1_u32;
    stat(pid).is_none_or(|fields| is_over(&fields) && !others(&fields))
}

/// Whether the first thread of a process has ended, be there others or not.
pub fn first_has_ended(pid: u32) -> bool {
    stat(pid).is_none_or(|fields| is_over(&fields))
}

fn is_over(stat: &[String]) -> bool {
    matches!(stat.first().map(String::as_str), None | Some("Z" | "X"))
}

/// Whether a process is a copy of one on the host (fork(2)) that has executed nothing since, as lxcfs sends into a container to ask for its
/// numbers of processes. Then its program and memory are the host's, at the addresses that an exec draws anew and nobody inside knows.
fn is_copy(pid: u32) -> bool {
    let layout = |fields: &[String]| -> Option<Vec<u64>> {
        // startcode, endcode, startstack; start_data to env_end. 0 where it may not be known.
        let numbers = fields.get(23..26)?.iter().chain(fields.get(42..48)?);
        let numbers: Vec<u64> = numbers.map_while(|text| text.parse().ok()).collect();
        (numbers.len() == 9 && numbers.iter().all(|number| *number > 1)).then_some(numbers)
    };
    let parent = || -> Option<bool> {
        let fields = stat(pid)?;
        let parent: u32 = fields.get(1)?.parse().ok()?;
        let of_host = fs::read_link(format!("/proc/{parent}/ns/pid")).ok()?
            == fs::read_link("/proc/self/ns/pid").ok()?;
        Some(of_host && layout(&fields)? == layout(&stat(parent)?)?)
    };
    parent().unwrap_or(false)
}

/// What is behind the name, which may have spaces and brackets (proc_pid_stat(5)): from the state on, field 3 there.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nicdock_sys::child::Child;

    #[test]
    fn a_forked_process_is_a_copy_until_it_executes() {
        let mut child = Child::fork(|| i32::from(!is_copy(std::process::id()))).unwrap();
        assert_eq!(child.wait().unwrap(), 0);
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!is_copy(other.id()));
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
