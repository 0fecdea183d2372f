//! One walk over /sys and /proc, whose hits all the probes that look for names share.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::words::{Kind, Words};

/// A foreign word in a path, a link or a content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hit {
    pub path: String,
    pub kind: Kind,
    pub word: String,
    /// `name`, `link` or `content`.
    pub place: String,
}

/// What was found, and how far the walk came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Walk {
    pub hits: Vec<Hit>,
    /// Files and folders looked at, below /sys and /proc.
    pub seen: BTreeMap<String, usize>,
    /// Trees that were not walked to the end, with the reason.
    pub cut: Vec<String>,
    pub seconds: f64,
}

/// Bounds: a tree that is larger is reported as not looked at to its end.
const MOST_ENTRIES: usize = 600_000;
const MOST_BYTES: u64 = 1 << 20;
const HITS_A_PLACE: usize = 4;

/// Below these only names are read: reading has effects, blocks, or gives memory and registers (debugfs, tracefs,
/// sysfs-bus-pci: `rom`, `vpd`, `resourceN`).
const NAMES_ONLY: [&str; 5] =
    ["/sys/kernel/debug", "/sys/kernel/tracing", "/proc/sys/fs/binfmt_misc", "/proc/fs", "/sys/fs/bpf"];
const NOT_READ: [&str; 14] = [
    "kmsg",
    "kcore",
    "rom",
    "vpd",
    "pagemap",
    "mem",
    "kpagecount",
    "kpageflags",
    "kpagecgroup",
    "clear_refs",
    "smaps",
    "smaps_rollup",
    "numa_maps",
    "trace_pipe",
];
/// Of other processes: where their view of the machine shows.
const OF_A_PROCESS: [&str; 8] = ["cgroup", "cmdline", "environ", "maps", "mountinfo", "net", "fd", "cwd"];

struct Walker<'a> {
    words: &'a Words,
    walk: Walk,
    per_place: BTreeMap<(String, Kind), usize>,
    count: usize,
    deadline: Instant,
    own_pid: String,
}

/// Walks everything; gives up on a tree after `limit`.
pub fn walk(words: &Words, limit: Duration) -> Walk {
    let mut walker = Walker {
        words,
        walk: Walk::default(),
        per_place: BTreeMap::new(),
        count: 0,
        deadline: Instant::now(),
        own_pid: fs::read_link("/proc/self").unwrap_or_default().display().to_string(),
    };
    let begin = Instant::now();
    for root in ["/sys", "/proc"] {
        walker.deadline = Instant::now() + limit;
        let before = walker.count;
        walker.folder(Path::new(root), 0);
        walker.walk.seen.insert(root.to_owned(), walker.count - before);
        if Instant::now() > walker.deadline {
            walker.walk.cut.push(format!("{root}: {} s were not enough", limit.as_secs()));
        }
    }
    if walker.count >= MOST_ENTRIES {
        walker.walk.cut.push(format!("more than {MOST_ENTRIES} entries"));
    }
    walker.walk.seconds = begin.elapsed().as_secs_f64();
    walker.walk
}

impl Walker<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.missed(folder, &error),
        };
        for entry in entries.filter_map(Result::ok) {
            if self.count >= MOST_ENTRIES || Instant::now() > self.deadline {
                return;
            }
            let (path, name) = (entry.path(), entry.file_name());
            if !self.is_wanted(folder, &name.to_string_lossy()) {
                continue;
            }
            self.count += 1;
            self.look(&path, name.as_bytes(), "name");
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < 40 {
                self.folder(&path, depth + 1);
            } else if kind.is_symlink() {
                if let Ok(link) = fs::read_link(&path) {
                    self.look(&path, link.as_os_str().as_bytes(), "link");
                }
            } else if kind.is_file() {
                self.file(&path, &name.to_string_lossy());
            }
        }
    }

    /// What cannot be read is not shown; but whoever is looked at can set limits, and for want of descriptors or memory nothing is concluded.
    fn missed(&mut self, path: &Path, error: &std::io::Error) {
        let exhausted = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
        if exhausted && self.walk.cut.is_empty() {
            self.walk.cut.push(format!("{}: {error}", path.display()));
        }
    }

    /// Of /proc/PID only a part, of ourselves nothing but what shows the network and the mounts: our memory holds the
    /// words that we look for.
    fn is_wanted(&self, folder: &Path, name: &str) -> bool {
        let is_pid = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match folder.strip_prefix("/proc").ok().and_then(|rest| rest.to_str()) {
            Some(pid) if pid == self.own_pid => matches!(name, "net" | "mountinfo" | "cgroup"),
            Some(pid) if !pid.is_empty() && is_pid(pid) => OF_A_PROCESS.contains(&name),
            _ => true,
        }
    }

    fn file(&mut self, path: &Path, name: &str) {
        if NOT_READ.contains(&name)
            || name.starts_with("resource")
            || NAMES_ONLY.iter().any(|tree| path.starts_with(tree))
        {
            return;
        }
        // Never waits: some files of /proc give only what comes.
        let options = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).clone();
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) => return self.missed(path, &error),
        };
        let mut content = Vec::new();
        let _ = file.take(MOST_BYTES).read_to_end(&mut content);
        self.look(path, &content, "content");
    }

    fn look(&mut self, path: &Path, text: &[u8], place: &str) {
        // Addresses of neighbours are what a network is for.
        let of_the_network =
            path.components().any(|part| part.as_os_str() == "net") && path.starts_with("/proc");
        let without: &[Kind] = if of_the_network { &[Kind::Address] } else { &[] };
        let Some((kind, word)) = self.words.find(text, without) else { return };
        let path = path.display().to_string();
        let parts: Vec<&str> = path.splitn(6, '/').collect();
        // A bus has its drivers beside its devices.
        let depth = if path.starts_with("/sys/bus") { 5 } else { 4 };
        let place_of = parts[..parts.len().min(depth)].join("/");
        let count = self.per_place.entry((place_of, kind)).or_default();
        *count += 1;
        if *count <= HITS_A_PLACE {
            let (word, place) = (word.to_owned(), place.to_owned());
            self.walk.hits.push(Hit { path, kind, word, place });
        }
    }
}

impl Walk {
    /// The hits at or below `prefix`.
    pub fn below(&self, prefix: &str) -> Vec<&Hit> {
        let is_below = |hit: &&Hit| {
            hit.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.hits.iter().filter(is_below).collect()
    }
}

impl Hit {
    pub fn evidence(&self) -> String {
        format!("'{}' in the {} of {}", self.word, self.place, self.path)
    }
}

/// The first foreign word in a name or link below `root`: a short look at a tree that a probe has just laid open.
pub fn glance(words: &Words, root: &Path) -> Option<String> {
    let mut folders = vec![(root.to_owned(), 0)];
    let mut count = 0;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            count += 1;
            if count > MOST_ENTRIES {
                return Some(format!("more than {MOST_ENTRIES} entries: not concluded"));
            }
            let link = fs::read_link(entry.path()).unwrap_or_default();
            for text in [entry.file_name().as_bytes(), link.as_os_str().as_bytes()] {
                if let Some((_, word)) = words.find(text, &[]) {
                    return Some(format!("'{word}' at {}", entry.path().display()));
                }
            }
            if depth < 5 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    None
}
