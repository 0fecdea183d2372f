//! The container's cgroups are frozen for the moment in which its threads are seized, so that none of them forks one that is not seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::scope::Scope;
use super::standstill::processes;
use crate::phases::cgroup::Cgroup;
use crate::phases::freeze::{self, Freezer};
use nicdock_sys::guard::Guard;

/// From the beginning of the freeze, however many groups there are. Then they are thawed, whatever their processes and nicdock do.
const LONGEST: Duration = Duration::from_secs(8);
/// After a thaw the kernel's word for it comes at once.
const THAWING: Duration = Duration::from_secs(2);

/// As long as this lives; not longer than nicdock lives.
pub struct Frozen {
    folders: Vec<PathBuf>,
    freezers: Vec<Freezer>,
    guard: Option<Guard>,
    begin: Instant,
}

impl Frozen {
    /// Freezes every group that processes of `scope` are in, as far as none of nicdock's is in it and nobody else has frozen it.
    pub fn begin(scope: &mut Scope) -> Result<Self, String> {
        let mut files: Vec<PathBuf> = Vec::new();
        for pid in processes()? {
            let is_covered = |file: &PathBuf| is_in(pid, file.parent());
            if !scope.has(pid) || files.iter().any(is_covered) {
                continue;
            }
            files.extend(control(pid).map(|file| widest(file, scope)));
        }
        let open = |file: &PathBuf| {
            Freezer::open(file).map_err(|error| format!("opening {}: {error}", file.display()))
        };
        let mut freezers = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let folders = files.iter().filter_map(|file| Some(file.parent()?.to_owned())).collect();
        let guard = if freezers.is_empty() {
            None
        } else {
            let controls: Vec<_> = freezers.iter().map(Freezer::control).collect();
            let thaw = || freezers.iter().try_for_each(Freezer::thaw);
            let guard = Guard::start(&controls, LONGEST, thaw);
            Some(guard.map_err(|error| format!("starting what lets the container run on: {error}"))?)
        };
        let begin = Instant::now();
        for (freezer, file) in freezers.iter_mut().zip(&files) {
            freezer.freeze().map_err(|error| format!("freezing by {}: {error}", file.display()))?;
        }
        Ok(Self { folders, freezers, guard, begin })
    }

    /// Whether process `pid` is in one of the groups.
    pub fn covers(&self, pid: u32) -> bool {
        self.folders.iter().any(|folder| is_in(pid, Some(folder)))
    }

    /// Fails also if they have not been frozen all the time.
    pub fn thaw(self) -> Result<(), String> {
        let took = self.begin.elapsed();
        drop(self.freezers);
        if let Some(guard) = self.guard {
            guard.finish().map_err(|error| format!("letting the container run on: {error}"))?;
        }
        let begin = Instant::now();
        for folder in self.folders {
            while freeze::is_frozen(&folder) {
                if begin.elapsed() > THAWING {
                    return Err(format!("{} stays frozen: thaw it", folder.display()));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if took >= LONGEST {
            return Err(format!(
                "the container's threads could not be seized within {} s",
                LONGEST.as_secs()
            ));
        }
        Ok(())
    }
}

/// By what the group of process `pid` is frozen.
fn control(pid: u32) -> Option<PathBuf> {
    let file = freeze::file(&Cgroup::of_process(pid).ok()?).ok()??;
    (!freeze::is_frozen(file.parent()?)).then_some(file)
}

fn is_in(pid: u32, folder: Option<&Path>) -> bool {
    let group = Cgroup::of_process(pid).ok();
    let own = group.as_ref().and_then(|group| group.freezer().or(group.unified()));
    own.zip(folder).is_some_and(|(own, folder)| own.starts_with(folder))
}

/// The same file of the highest group above that has no others' processes in it: a container's program makes groups of its own, and one that
/// has only processes that end at once is not found by them.
fn widest(mut file: PathBuf, scope: &mut Scope) -> PathBuf {
    loop {
        let above = file.parent().and_then(Path::parent).zip(file.file_name());
        // A hierarchy's root has no such file.
        let Some(above) = above.map(|(folder, name)| folder.join(name)).filter(|file| file.exists()) else {
            return file;
        };
        let holds_nicdock = is_in(std::process::id(), above.parent());
        let folder = above.parent().unwrap_or(&above);
        if holds_nicdock || freeze::is_frozen(folder) || !has_only(folder, scope) {
            return file;
        }
        file = above;
    }
}

fn has_only(folder: &Path, scope: &mut Scope) -> bool {
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let is_theirs = |pid: &str| {
        // One that has ended has no namespaces. 0 is one of a process namespace that cannot be seen.
        let has_ended = pid != "0" && fs::read_link(format!("/proc/{pid}/ns/pid")).is_err();
        has_ended || pid.parse().is_ok_and(|pid| scope.has(pid))
    };
    if !listed.lines().all(is_theirs) {
        return false;
    }
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).all(|folder| has_only(&folder, scope))
}
