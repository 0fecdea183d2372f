//! Running and giving back, again and again: nothing grows.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::nicdock::{expect, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[("forty_runs_leave_nothing_that_grows", cycles, Lab::is_first)];

/// What would grow if a run left something.
#[derive(Debug, PartialEq, Eq)]
struct Residue {
    mounts: usize,
    cgroups: usize,
    processes: usize,
    /// Descriptors that are open in the whole guest (`/proc/sys/fs/file-nr`), roughly: the kernel counts in steps.
    files: usize,
    /// Entries below /run/nicdock.
    state: usize,
    /// Kilobytes of the kernel's own memory that it cannot give back (`SUnreclaim`).
    kernel_memory: usize,
}

impl Residue {
    fn now() -> Result<Self, Failed> {
        // The kernel ends namespaces and cgroups in the background.
        std::thread::sleep(Duration::from_secs(2));
        let count = |path: &str, field: usize| -> Result<usize, Failed> {
            let text = std::fs::read_to_string(path)?;
            Ok(text.split_whitespace().nth(field).ok_or("a field")?.parse()?)
        };
        let memory = std::fs::read_to_string("/proc/meminfo")?;
        let unreclaimable = memory.lines().find_map(|line| line.strip_prefix("SUnreclaim:"));
        let numbers = std::fs::read_dir("/proc")?.flatten();
        let is_number =
            |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().is_ok();
        Ok(Self {
            mounts: std::fs::read_to_string("/proc/self/mountinfo")?.lines().count(),
            cgroups: entries("/sys/fs/cgroup"),
            processes: numbers.filter(is_number).count(),
            files: count("/proc/sys/fs/file-nr", 0)?,
            state: entries("/run/nicdock"),
            kernel_memory: unreclaimable
                .and_then(|text| text.split_whitespace().next()?.parse().ok())
                .ok_or("no SUnreclaim")?,
        })
    }
}

fn entries(folder: &str) -> usize {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    listed
        .map(|entry| 1 + if entry.path().is_dir() { entries(&entry.path().to_string_lossy()) } else { 0 })
        .sum()
}

fn cycles(_: &Lab) -> Result<(), Failed> {
    let rounds = if std::env::var_os("NICDOCK_SOAK").is_some() { 1000 } else { 40 };
    let run = || succeed(&["run", "--nic", "eth3", "--host-root", "--", "true"]);
    // The first ones load modules and fill caches.
    for _ in 0..5 {
        run()?;
    }
    let before = Residue::now()?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        run()?;
        times.push(begin.elapsed());
    }
    let after = Residue::now()?;
    let (first, last) = (median(&times[..rounds / 4]), median(&times[rounds - rounds / 4..]));
    let ratio = last.as_secs_f64() / first.as_secs_f64();
    println!(
        "{rounds} runs: {before:?} and then {after:?}; the last quarter took {ratio:.2} times as long as the first"
    );
    let same = |residue: &Residue| (residue.mounts, residue.cgroups, residue.state);
    expect(same(&before) == same(&after), format!("{before:?} became {after:?}"))?;
    // Workers of the kernel come and go, and it counts files in steps of a processor.
    expect(after.processes <= before.processes + 8, format!("{before:?} became {after:?}"))?;
    expect(after.files <= before.files + 512, format!("{before:?} became {after:?}"))?;
    // 64 KiB a run would be a namespace that is kept.
    let grown = after.kernel_memory.saturating_sub(before.kernel_memory);
    expect(grown < rounds * 64, format!("the kernel's memory grew by {grown} KiB in {rounds} runs"))?;
    expect(ratio < 3.0, format!("the last quarter took {ratio:.2} times as long as the first"))
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}
