//! Root file systems and bundles made to lead nicdock astray, also while it works.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::fs::{CWD, Mode, RenameFlags, mkfifoat, renameat_with};

use crate::nicdock::{command, expect, nicdock};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("nothing_in_place_of_a_roots_folders_leads_to_the_host", replaced, Lab::is_first),
    ("folders_exchanged_while_nicdock_composes_lead_it_nowhere", exchanged, Lab::is_first),
    ("dev_exchanged_while_nicdock_composes_leads_it_nowhere", exchanged_dev, Lab::is_newest),
    ("folders_that_come_and_go_while_nicdock_composes_lead_it_nowhere", renamed, Lab::is_oldest_or_newest),
    ("a_bundle_whose_links_lead_outside_writes_nothing_there", bundle_links, Lab::is_first),
    ("a_bundle_that_is_no_file_is_refused_at_once", bundle_pipe, Lab::is_first),
    ("a_program_that_forks_and_renames_as_it_ends_gives_its_nic_back", busy, Lab::is_oldest_or_newest),
    ("a_program_that_mounts_as_it_ends_gives_its_nic_back", mounting, Lab::is_oldest_or_newest),
    ("full_memory_file_systems_are_the_containers_alone", full, Lab::is_oldest_or_newest),
];

/// A folder of the host that hostile links lead to. It looks like /sys, /proc and /dev, so that whatever is done there
/// finds what it wants.
struct Canary {
    folder: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Canary {
    fn new() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        for name in [
            "class/net",
            "bus/pci/devices",
            "devices",
            "infiniband",
            "shm",
            "pts",
            "mqueue",
            "self",
            "fs/cgroup",
        ] {
            std::fs::create_dir_all(folder.path().join(name))?;
        }
        for name in ["null", "tty", "ptmx", "hosts", "infiniband/uverbs0"] {
            std::fs::write(folder.path().join(name), "canary")?;
        }
        let before = state(folder.path())?;
        Ok(Self { folder, before })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn unharmed(&self) -> Result<(), Failed> {
        let after = state(self.path())?;
        let differs = |name: &&PathBuf| self.before.get(*name) != after.get(*name);
        let names: BTreeSet<&PathBuf> = self.before.keys().chain(after.keys()).filter(differs).collect();
        let lines = names.iter().map(|name| {
            format!("{}: {:?} became {:?}", name.display(), self.before.get(*name), after.get(*name))
        });
        expect(names.is_empty(), format!("the host was changed: {}", lines.collect::<Vec<_>>().join(", ")))
    }
}

/// Every name below a folder, with its kind, owner, mode, times and content.
fn state(folder: &Path) -> Result<BTreeMap<PathBuf, String>, Failed> {
    let mut found = BTreeMap::new();
    let mut next = vec![folder.to_owned()];
    while let Some(path) = next.pop() {
        let is = path.symlink_metadata()?;
        if is.is_dir() {
            next.extend(path.read_dir()?.filter_map(Result::ok).map(|entry| entry.path()));
        }
        let content = if is.is_file() { std::fs::read(&path)? } else { Vec::new() };
        let text = format!(
            "{:o} {}:{} {}.{} {content:?} on {}",
            is.mode(),
            is.uid(),
            is.gid(),
            is.mtime(),
            is.mtime_nsec(),
            is.dev()
        );
        found.insert(path, text);
    }
    Ok(found)
}

/// A root with a shell.
fn root() -> Result<tempfile::TempDir, Failed> {
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("bin"))?;
    for name in ["sh", "busybox"] {
        std::fs::copy("/bin/busybox", root.path().join("bin").join(name))?;
    }
    Ok(root)
}

/// What a program must find wherever its root led: its own interface and no other, and no host's processes.
const LOOK: &str = "echo /sys/class/net/*; echo /sys/bus/pci/devices/*; echo /dev/infiniband/*; echo $$; \
                    echo x >/dev/null && test -c /dev/null && echo good";

fn look(root: &Path) -> Output {
    let root = root.display().to_string();
    nicdock(&["run", "--nic", "eth3", "--rootfs", &root, "--", "/bin/sh", "-c", LOOK])
}

/// Either refused with a reason, or a container as it should be.
fn refused_or_right(output: &Output, what: &str) -> Result<bool, Failed> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(125) {
        expect(output.stderr.len() > 10 && text.is_empty(), format!("{what}: {output:?}"))?;
        return Ok(false);
    }
    let lines: Vec<&str> = text.lines().collect();
    let right = output.status.success()
        && lines.len() == 5
        && lines[0] == "/sys/class/net/eth3 /sys/class/net/lo"
        && lines[1].split(' ').count() <= 3
        && lines[2] == "/dev/infiniband/*"
        && lines[3] == "1"
        && lines[4] == "good";
    expect(right, format!("{what}: {output:?}"))?;
    Ok(true)
}

fn replaced(_: &Lab) -> Result<(), Failed> {
    runs_undisturbed(root()?.path())?;
    let canary = Canary::new()?;
    let up = format!("../../../../../..{}", canary.path().display());
    let through = format!("/proc/self/root{}", canary.path().display());
    let places = [
        ("sys", &["sys", "proc", "dev"][..]),
        (
            "below",
            &["sys/class", "sys/fs", "dev/infiniband", "dev/shm", "dev/pts", "proc/self", "etc", "tmp"][..],
        ),
    ];
    for (group, places) in places {
        for place in places {
            for kind in ["host", "canary", "up", "through", "dangling", "loop", "pipe", "socket", "file"] {
                // What is below a mount of nicdock's own is hidden: two kinds will do.
                if group == "below" && !["canary", "loop"].contains(&kind) {
                    continue;
                }
                let root = root()?;
                let at = root.path().join(place);
                std::fs::create_dir_all(at.parent().expect("below the root"))?;
                let mut listener = None;
                match kind {
                    "host" => symlink(format!("/{place}"), &at)?,
                    "canary" => symlink(canary.path(), &at)?,
                    "up" => symlink(&up, &at)?,
                    "through" => symlink(&through, &at)?,
                    "dangling" => symlink("/no/such/place", &at)?,
                    "loop" => symlink(at.file_name().expect("a name"), &at)?,
                    "pipe" => mkfifoat(CWD, &at, Mode::RWXU)?,
                    "socket" => listener = Some(UnixListener::bind(&at)?),
                    _ => std::fs::write(&at, "")?,
                }
                let what = format!("{kind} at /{place}");
                let ran = refused_or_right(&look(root.path()), &what)?;
                expect(!(ran && group == "sys"), format!("{what}: not refused"))?;
                canary.unharmed().map_err(|e| format!("{what}: {e:?}"))?;
                drop(listener);
            }
        }
    }
    Ok(())
}

/// Else a refusal would prove nothing.
fn runs_undisturbed(root: &Path) -> Result<(), Failed> {
    let output = look(root);
    let runs = refused_or_right(&output, "undisturbed")?;
    expect(runs, format!("refused without a reason: {output:?}"))
}

/// Refused, right, or with less than it should have. Whoever may rename a root's folders can take a mount away from the
/// container at any time, before or after nicdock looked (`detach_mounts()` of fs/namespace.c): what is below is the
/// root's own.
fn refused_or_no_more(output: &Output, what: &str) -> Result<bool, Failed> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ran = output.status.code() != Some(125);
    expect(ran || output.stderr.len() > 10, format!("{what}: {output:?}"))?;
    let lines: Vec<&str> = text.lines().collect();
    let words = |line: usize| lines.get(line).map_or(Vec::new(), |line| line.split(' ').collect());
    let no_more = words(0)
        .iter()
        .all(|name| ["/sys/class/net/eth3", "/sys/class/net/lo", "/sys/class/net/*"].contains(name))
        && words(1).len() <= 3
        && words(2).iter().all(|name| *name == "/dev/infiniband/*")
        && words(3).iter().all(|pid| *pid == "1");
    expect(no_more, format!("{what}: {output:?}"))?;
    Ok(ran)
}

/// Runs nicdock some times while `disturb` runs as fast as it can.
fn while_disturbed(
    rounds: usize,
    root: &Path,
    canary: &Canary,
    disturb: impl Fn() + Send + Sync,
) -> Result<usize, Failed> {
    runs_undisturbed(root)?;
    let stop = AtomicBool::new(false);
    let mut ran = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                disturb();
                // Sometimes all the time, sometimes between two looks only.
                std::thread::sleep(Duration::from_micros(turn * turn % 7_919));
            }
        });
        let result: Result<(), Failed> = (0..rounds).try_for_each(|round| {
            let what = format!("round {round}");
            let output = look(root);
            ran += usize::from(refused_or_no_more(&output, &what)?);
            println!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
            canary.unharmed().map_err(|e| Failed::from(format!("{what}: {e:?}")))
        });
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    println!("{ran} of {rounds} ran, the others were refused");
    Ok(ran)
}

/// renameat2(2) `RENAME_EXCHANGE`: there is always something of the name, now a folder, now a link to the host.
fn exchanged(_: &Lab) -> Result<(), Failed> {
    exchange(&["sys", "proc"])
}

fn exchanged_dev(_: &Lab) -> Result<(), Failed> {
    exchange(&["dev"])
}

fn exchange(places: &[&str]) -> Result<(), Failed> {
    for place in places {
        let (root, canary) = (root()?, Canary::new()?);
        for name in ["sys", "dev", "proc"] {
            std::fs::create_dir(root.path().join(name))?;
        }
        let (folder, link) = (root.path().join(place), root.path().join("link"));
        symlink(canary.path(), &link)?;
        let begin = Instant::now();
        while_disturbed(6, root.path(), &canary, || {
            let exchange = || renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE);
            let _ = exchange();
            // Now so short that one look meets it, now so long that several do.
            std::thread::sleep(Duration::from_micros(u64::from(begin.elapsed().subsec_micros() % 1_009)));
            let _ = exchange();
        })?;
    }
    Ok(())
}

fn renamed(_: &Lab) -> Result<(), Failed> {
    let (root, canary) = (root()?, Canary::new()?);
    let names = ["sys", "dev", "proc"];
    for name in names {
        std::fs::create_dir(root.path().join(name))?;
    }
    while_disturbed(8, root.path(), &canary, || {
        for name in names {
            let (from, to) = (root.path().join(name), root.path().join(format!("{name}-away")));
            let _ = std::fs::rename(&from, &to);
            let _ = symlink(canary.path(), &from);
            let _ = std::fs::remove_file(&from);
            let _ = std::fs::rename(&to, &from);
            let _ = std::fs::create_dir(&from);
        }
    })?;
    Ok(())
}

/// A bundle with this root and a writable mount of `source` on /data, whose program writes to / and to /data.
fn writing_bundle(folder: &Path, root: &str, source: &str, left_open: &str) -> Result<Output, Failed> {
    let config = format!(
        r#"{{"ociVersion": "1.0.2", "root": {{"path": "{root}"}},
            "mounts": [{{"destination": "/data", "type": "bind", "source": "{source}", "options": ["bind", "rw"]}}],
            "process": {{"args": ["/bin/sh", "-c", "echo >/written; echo >/data/written"], "cwd": "/",
                "user": {{"uid": 0, "gid": 0}}, "env": []}}}}"#
    );
    std::fs::write(folder.join("config.json"), config)?;
    let mut run = command(&["run", "--nic", "eth3", "--bundle", &folder.display().to_string()]);
    Ok(run.env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).output()?)
}

fn bundle_links(_: &Lab) -> Result<(), Failed> {
    let canary = Canary::new()?;
    let (bundle, outside_root) = (root()?, root()?);
    let folder = bundle.path();
    symlink(canary.path(), folder.join("link"))?;
    symlink(outside_root.path(), folder.join("rootfs"))?;
    let name = canary.path().file_name().expect("a name").to_string_lossy().into_owned();
    let climbing = format!("{}/../{name}", folder.display());
    for source in [format!("{}/link", folder.display()), climbing, canary.path().display().to_string()] {
        let output = writing_bundle(folder, ".", &source, "")?;
        expect(!output.status.success(), format!("{source}: {output:?}"))?;
        canary.unharmed().map_err(|e| format!("{source}: {e:?}"))?;
    }
    for root in ["rootfs", &outside_root.path().display().to_string()] {
        let output = writing_bundle(folder, root, &folder.display().to_string(), "")?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(output.status.code() == Some(125) && text.contains("--rootfs"), text)?;
        expect(!outside_root.path().join("written").exists(), "the bundle wrote to another root")?;
    }
    let output = writing_bundle(folder, ".", &format!("{}/link", folder.display()), "bundle-links")?;
    expect(canary.unharmed().is_err(), format!("the attack failed although links are followed: {output:?}"))
}

fn bundle_pipe(_: &Lab) -> Result<(), Failed> {
    let bundle = root()?;
    let config = bundle.path().join("config.json");
    mkfifoat(CWD, &config, Mode::RWXU)?;
    let folder = bundle.path().display().to_string();
    let output = Command::new("timeout")
        .args(["20", "nicdock", "run", "--nic", "eth3", "--bundle", &folder])
        .output()?;
    expect(output.status.code() == Some(125), format!("{output:?}"))?;
    std::fs::remove_file(&config)?;
    symlink("/dev/zero", &config)?;
    let output = Command::new("timeout")
        .args(["20", "nicdock", "run", "--nic", "eth3", "--bundle", &folder])
        .output()?;
    expect(output.status.code() == Some(125), format!("{output:?}"))
}

/// Twenty loops that fork and rename go on when the program ends.
fn busy(_: &Lab) -> Result<(), Failed> {
    let script = "mkdir /tmp/d; i=0; while [ $i -lt 20 ]; do \
                  (trap '' TERM HUP; while :; do mv /tmp/d /tmp/d$i; mv /tmp/d$i /tmp/d; (:) & done) 2>/dev/null & \
                  i=$((i+1)); done; sleep 2; exit 7";
    let output = nicdock(&["run", "--nic", "eth3", "--host-root", "--", "sh", "-c", script]);
    expect(output.status.code() == Some(7), format!("{output:?}"))
}

/// In a user namespace of its own, where that is allowed it.
fn mounting(_: &Lab) -> Result<(), Failed> {
    let script = "for i in 1 2 3 4; do unshare -Urm sh -c 'while :; do mount -t tmpfs none /mnt && mkdir -p /mnt/a && \
                  mount --rbind /sys /mnt/a; mv /tmp/a /tmp/b; umount -l /mnt; done' >/dev/null 2>&1 & done; \
                  sleep 2; ls /sys/class/net | tr '\\n' ' '; exit 7";
    for more in [&[][..], &["--cap-add", "SYS_ADMIN", "--weaken"]] {
        let args = [&["run", "--nic", "eth3", "--host-root"], more, &["--", "sh", "-c", script]].concat();
        let output = nicdock(&args);
        expect(
            output.status.code() == Some(7) && output.stdout == b"eth3 lo ",
            format!("{more:?}: {output:?}"),
        )?;
    }
    Ok(())
}

/// The space of the host's memory file systems, which a container's must not take.
fn used() -> Result<Vec<u64>, Failed> {
    let free = |path: &str| rustix::fs::statvfs(path).map(|fs| fs.f_blocks - fs.f_bfree);
    Ok(vec![free("/run")?, free("/dev/shm")?, free("/tmp")?])
}

fn full(_: &Lab) -> Result<(), Failed> {
    let canary = Canary::new()?;
    let before = used()?;
    // /dev is full with 1 MiB; the others are as large as half of the memory, and get 100 MiB each.
    let script = "dd if=/dev/zero of=/dev/full-of-zeroes bs=64k count=64 2>/dev/null && echo '/dev has no end'; \
                  for at in /dev/shm /tmp /run /var /root /; do \
                  dd if=/dev/zero of=$at/zeroes bs=1M count=100 2>/dev/null; done; \
                  echo >/sys/x 2>/dev/null && echo '/sys is writable'; \
                  echo >/proc/x 2>/dev/null && echo '/proc is writable'; ls /sys/class/net | tr '\\n' ' '; exit 7";
    let output = nicdock(&["run", "--nic", "eth3", "--host-root", "--", "sh", "-c", script]);
    expect(output.status.code() == Some(7) && output.stdout == b"eth3 lo ", format!("{output:?}"))?;
    for path in [
        "/dev/full-of-zeroes",
        "/dev/shm/zeroes",
        "/tmp/zeroes",
        "/run/zeroes",
        "/var/zeroes",
        "/root/zeroes",
        "/zeroes",
    ] {
        expect(!Path::new(path).exists(), format!("{path} is on the host"))?;
    }
    let after = used()?;
    // nicdock's own state is a few blocks.
    let grown = before.iter().zip(&after).any(|(before, after)| *after > before + 64);
    expect(!grown, format!("the host's file systems: {before:?} became {after:?} blocks"))?;
    canary.unharmed()
}
