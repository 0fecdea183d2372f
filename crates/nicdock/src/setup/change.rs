//! Writing: everything that a plan says or, when something fails, nothing of it; and taking it away again.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use nicdock_core::kind::Kind;
use nicdock_oci::install::member;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, renameat_with};

use super::error::{SetupError, at};
use super::machine::Machine;
use super::part::{Member, Part, Run, Wanted, What};
use super::plan::{Is, Plan};
use super::record::{Made, Record, Thing};

const STATE: &str = "/run/nicdock";

/// Held by one set-up at a time; the kernel releases it when its holder ends.
pub struct Lock(#[allow(dead_code, reason = "held, not read")] OwnedFd);

impl Lock {
    pub fn take(machine: &Machine) -> Result<Self, SetupError> {
        let folder = machine.at(STATE);
        nicdock_core::lease::make_folder(&folder, nicdock_core::lease::PUBLIC).map_err(at(&folder))?;
        let path = folder.join("setup.lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| at(&path)(error.into()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(SetupError::Busy),
            Err(error) => Err(at(&path)(error.into())),
        }
    }
}

/// How to go back from one change.
enum Back {
    Remove(PathBuf),
    RemoveFolder(PathBuf),
    Restore { path: PathBuf, content: Vec<u8>, access: Access },
    Link { path: PathBuf, target: PathBuf },
}

/// Makes what the plan says, records it, then has commands executed by `execute`. An error before the commands leaves nothing changed.
pub fn apply(
    machine: &Machine,
    plan: &Plan,
    execute: &mut dyn FnMut(&Run) -> Result<(), SetupError>,
) -> Result<(), SetupError> {
    let before = Record::read(machine)?;
    let (mut record, mut back) = (before.clone(), Vec::new());
    for part in &plan.parts {
        for (wanted, is) in &part.steps {
            if let Err(first) = make(machine, part.name, wanted, *is, &mut record, &mut back) {
                let undone = go_back(back).and_then(|()| before.write(machine));
                let first = Box::new(first);
                return Err(match undone {
                    Ok(()) => SetupError::Undone(first),
                    Err(second) => SetupError::Half { first, second: Box::new(second) },
                });
            }
        }
    }
    // One that fails does not keep the others from counting.
    let commands = plan.parts.iter().filter(|part| part.changes()).flat_map(|part| &part.commands);
    commands.map(execute).fold(Ok(()), Result::and)
}

fn make(
    machine: &Machine,
    part: &str,
    wanted: &Wanted,
    is: Is,
    record: &mut Record,
    back: &mut Vec<Back>,
) -> Result<(), SetupError> {
    if !is.changes() {
        return Ok(());
    }
    let path = machine.at(&wanted.path);
    if let What::Member(member) = &wanted.what {
        as_looked_at(&path, member)?;
    }
    // The one farthest up first.
    let missing: Vec<&Path> =
        wanted.path.ancestors().skip(1).take_while(|folder| !machine.has(folder)).collect();
    for folder in missing.into_iter().rev() {
        record.note(part, folder, Thing::Folder);
        record.write(machine)?;
        let folder = machine.at(folder);
        fs::create_dir(&folder).map_err(at(&folder))?;
        back.push(Back::RemoveFolder(folder.clone()));
        // As others read it, whatever the umask.
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).map_err(at(&folder))?;
    }
    let is_there = match &wanted.what {
        What::Member(member) => member.before.is_some(),
        _ => is == Is::Outdated,
    };
    let old = match (is, &wanted.what) {
        (_, What::File { .. } | What::Devices { .. } | What::Member(_)) if is_there => {
            let (access, content) = (Access::of(&path)?, fs::read(&path).map_err(at(&path))?);
            if matches!(wanted.what, What::Member(_)) {
                back_up(machine, part, &wanted.path, &content, access, record, back)?;
            }
            Back::Restore { path: path.clone(), content, access }
        }
        (Is::Outdated, What::Link { .. }) => {
            Back::Link { path: path.clone(), target: path.read_link().map_err(at(&path))? }
        }
        _ => Back::Remove(path.clone()),
    };
    record.note(part, &wanted.path, Thing::of(&wanted.what));
    record.write(machine)?;
    match &wanted.what {
        What::File { content, mode } => write_whole(&path, content, *mode, is_there)?,
        What::Devices { content } => write_whole(&path, content.as_bytes(), 0o644, is_there)?,
        What::Member(member) => {
            let access = if is_there { Access::of(&path)? } else { Access { mode: 0o644, group: None } };
            write_as(&path, member.after.as_bytes(), access, is_there)?;
        }
        What::Link { target } => {
            if is == Is::Outdated {
                fs::remove_file(&path).map_err(at(&path))?;
            }
            symlink(target, &path).map_err(at(&path))?;
        }
    }
    back.push(old);
    Ok(())
}

/// Between looking and writing somebody may have edited the file.
fn as_looked_at(path: &Path, member: &Member) -> Result<(), SetupError> {
    let now = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        text => Some(text.map_err(at(path))?),
    };
    if now.as_deref() == member.before.as_ref().map(String::as_bytes) {
        return Ok(());
    }
    let reason = format!("{} was edited at this moment, so call this again", path.display());
    Err(SetupError::Refused { kind: Kind::InUse, reason })
}

/// Beside the file, under the first name that is free; who may read it is as before.
fn back_up(
    machine: &Machine,
    part: &str,
    path: &Path,
    content: &[u8],
    access: Access,
    record: &mut Record,
    back: &mut Vec<Back>,
) -> Result<(), SetupError> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    let names = (0_u32..).map(|number| match number {
        0 => format!("{name}.before-nicdock"),
        _ => format!("{name}.before-nicdock.{number}"),
    });
    let free = names.map(|name| path.with_file_name(name)).find(|path| !machine.has(path));
    let Some(copy) = free else { return Ok(()) };
    let file = What::File { content: content.to_owned(), mode: access.mode };
    record.note(part, &copy, Thing::of(&file));
    record.write(machine)?;
    let copy = machine.at(copy);
    write_as(&copy, content, access, false)?;
    back.push(Back::Remove(copy));
    Ok(())
}

fn go_back(back: Vec<Back>) -> Result<(), SetupError> {
    for one in back.into_iter().rev() {
        match one {
            Back::Remove(path) => fs::remove_file(&path).map_err(at(&path))?,
            Back::RemoveFolder(path) => fs::remove_dir(&path).map_err(at(&path))?,
            Back::Restore { path, content, access } => write_as(&path, &content, access, true)?,
            Back::Link { path, target } => {
                let _ = fs::remove_file(&path);
                symlink(target, &path).map_err(at(&path))?;
            }
        }
    }
    Ok(())
}

/// Who may use a file. Its owner is root, as the caller is.
#[derive(Clone, Copy)]
struct Access {
    mode: u32,
    group: Option<u32>,
}

impl Access {
    fn of(path: &Path) -> Result<Self, SetupError> {
        let found = path.metadata().map_err(at(path))?;
        Ok(Self { mode: found.mode() & 0o7777, group: Some(found.gid()) })
    }
}

/// A whole file under its name, or none: written aside, synced, renamed. Without `replaces` a file that somebody made meanwhile stays.
pub fn write_whole(path: &Path, content: &[u8], mode: u32, replaces: bool) -> Result<(), SetupError> {
    write_as(path, content, Access { mode, group: None }, replaces)
}

fn write_as(path: &Path, content: &[u8], access: Access, replaces: bool) -> Result<(), SetupError> {
    let Access { mode, group } = access;
    let name = path.file_name().unwrap_or_default().display().to_string();
    let aside = path.with_file_name(format!(".{name}.nicdock"));
    let _ = fs::remove_file(&aside);
    let written = (|| -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(content)?;
        fchown(&file, None, group)?;
        // Until it has its name it is no program: libvirt calls every program in its folder of hooks.
        let early = mode & !0o111;
        file.set_permissions(Permissions::from_mode(early))?;
        file.sync_all()?;
        let flags = if replaces { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        renameat_with(CWD, &aside, CWD, path, flags)?;
        if early == mode { Ok(()) } else { file.set_permissions(Permissions::from_mode(mode)) }
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&aside);
        at(path)(error)
    })
}

/// What an undoing did.
#[derive(Default)]
pub struct Undone {
    pub removed: Vec<Made>,
    /// Edited since, and left.
    pub kept: Vec<Made>,
}

/// Takes away what earlier set-ups made, or `only` one part of them, but for what was edited since.
pub fn undo(
    machine: &Machine,
    parts: &[Part],
    only: Option<&str>,
    execute: &mut dyn FnMut(&Run) -> Result<(), SetupError>,
) -> Result<Undone, SetupError> {
    let mut record = Record::read(machine)?;
    let (mut concerned, others): (Vec<_>, Vec<_>) =
        record.made.into_iter().partition(|made| only.is_none_or(|part| made.part == part));
    let commands: Vec<_> = parts
        .iter()
        .filter(|part| concerned.iter().any(|made| made.part == part.name))
        .map(|part| (part.undo)(machine))
        .collect();
    let before = commands.iter().flat_map(|undo| &undo.before).map(&mut *execute).fold(Ok(()), Result::and);
    let (mut undone, mut failed) = (Undone::default(), None);
    while let Some(made) = concerned.pop() {
        match take_away(&machine.at(&made.path), &made.thing) {
            Ok(true) => undone.removed.push(made),
            Ok(false) => {}
            Err(TakeAway::Edited) => undone.kept.push(made),
            Err(TakeAway::Failed(error)) => {
                concerned.push(made);
                failed = Some(error);
                break;
            }
        }
    }
    let kept = undone.kept.iter().rev().cloned();
    record.made = others.into_iter().chain(concerned).chain(kept).collect();
    record.write(machine)?;
    if let Some(error) = failed {
        return Err(error);
    }
    let after = commands.iter().flat_map(|undo| &undo.after).map(execute).fold(Ok(()), Result::and);
    before.and(after).map(|()| undone)
}

/// What of a part would be taken away, or be found edited: the last one made first.
pub fn made(machine: &Machine, part: &str) -> Result<Vec<Made>, SetupError> {
    let made = Record::read(machine)?.made;
    Ok(made.into_iter().rev().filter(|made| made.part == part).collect())
}

enum TakeAway {
    Edited,
    Failed(SetupError),
}

/// Whether there was something.
fn take_away(path: &Path, made: &Thing) -> Result<bool, TakeAway> {
    let failed = |error| TakeAway::Failed(at(path)(error));
    match made.now(path).map_err(TakeAway::Failed)? {
        None => Ok(false),
        Some(found) if !found.is_like(made) => Err(TakeAway::Edited),
        // One with something of somebody else's in it stays.
        Some(Thing::Folder) => match fs::remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
            result => result.map(|()| true).map_err(failed),
        },
        Some(Thing::Member { way, had, .. }) => {
            let text = fs::read_to_string(path).map_err(failed)?;
            let rest = member::remove(&text, &way, had.unwrap_or(0)).map_err(|_| TakeAway::Edited)?;
            if had.is_none() && member::is_empty(&rest) {
                return fs::remove_file(path).map(|()| true).map_err(failed);
            }
            let access = Access::of(path).map_err(TakeAway::Failed)?;
            write_as(path, rest.as_bytes(), access, true).map(|()| true).map_err(TakeAway::Failed)
        }
        Some(_) => fs::remove_file(path).map(|()| true).map_err(failed),
    }
}
