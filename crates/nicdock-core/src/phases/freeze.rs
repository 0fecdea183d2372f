//! Stops a container while what it sees is exchanged (cgroup v2: `cgroup.freeze`; v1: the freezer controller).

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::PhaseError;
use super::cgroup::Cgroup;

/// Processes in the kernel's own waits stop when these are over.
const STOPPING: Duration = Duration::from_secs(5);

/// The file by which the processes of `group` can be stopped. `None` where nothing can, where they are stopped already, and where nicdock
/// itself would be.
pub fn file(group: &Cgroup) -> Result<Option<PathBuf>, PhaseError> {
    let own = Cgroup::of_process(std::process::id())?;
    let (folder, own, name) = match (group.freezer(), group.unified()) {
        (Some(folder), _) => (folder, own.freezer().map(Path::to_owned), "freezer.state"),
        (None, Some(folder)) => (folder, own.unified().map(Path::to_owned), "cgroup.freeze"),
        (None, None) => return Ok(None),
    };
    if own.is_some_and(|own| own.starts_with(folder)) {
        return Ok(None);
    }
    let path = folder.join(name);
    let text = fs::read_to_string(&path).unwrap_or_default();
    Ok(matches!(text.trim(), "0" | "THAWED").then_some(path))
}

/// Lets them run; one that has gone does.
pub fn thaw(path: &Path) -> Result<(), PhaseError> {
    let word = if is_unified(path) { "0" } else { "THAWED" };
    match fs::write(path, word) {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => {
            Err(PhaseError::new(format!("writing {word} to {}", path.display()), error)
                .with_advice("the container is stopped: write it there yourself"))
        }
        _ => Ok(()),
    }
}

/// Whether whoever enters `group` stops at once (`cgroup.events` of version 2, the freezer controller of version 1).
pub fn is_frozen(group: &Path) -> bool {
    let has = |file: &str, lines: &[&str]| {
        fs::read_to_string(group.join(file)).is_ok_and(|text| text.lines().any(|line| lines.contains(&line)))
    };
    has("cgroup.events", &["frozen 1"]) || has("freezer.state", &["FROZEN", "FREEZING"])
}

fn is_unified(path: &Path) -> bool {
    path.ends_with("cgroup.freeze")
}

/// Opened on the host, used wherever the caller is by then; lets the processes run when it is dropped.
pub struct Freezer {
    control: File,
    state: File,
    words: (&'static str, &'static str, &'static str),
}

impl Freezer {
    pub fn open(path: &Path) -> io::Result<Self> {
        let control = File::options().write(true).open(path)?;
        let (state, words) = if is_unified(path) {
            (File::open(path.with_file_name("cgroup.events"))?, ("1", "frozen 1", "0"))
        } else {
            (File::open(path)?, ("FROZEN", "FROZEN", "THAWED"))
        };
        Ok(Self { control, state, words })
    }

    /// For another process that thaws.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    pub fn thaw(&self) -> io::Result<()> {
        (&self.control).write_all(self.words.2.as_bytes())
    }

    /// Until every process of the group stands still.
    pub fn freeze(&mut self) -> io::Result<()> {
        self.control.write_all(self.words.0.as_bytes())?;
        let begin = Instant::now();
        loop {
            let mut text = String::new();
            self.state.rewind()?;
            self.state.read_to_string(&mut text)?;
            if text.lines().any(|line| line == self.words.1) {
                return Ok(());
            }
            if begin.elapsed() > STOPPING {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "its processes did not stop within 5 s"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = self.thaw();
    }
}

/// As [`Freezer::open`] and [`Freezer::freeze`] fail.
pub fn stopping(path: &Path) -> impl Fn() -> String + use<> {
    let text = format!("stopping the container by {}", path.display());
    move || text.clone()
}
