//! Opening a path of the host part by part, so that whoever could lead it elsewhere is known.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, fstatfs, openat, readlinkat};
use rustix::io::Errno;

/// As many symbolic links as the kernel follows (`MAXSYMLINKS`, path_resolution(7)).
const MOST_LINKS: usize = 40;

/// `PROC_SUPER_MAGIC` (include/uapi/linux/magic.h).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// One part of the way: a folder, a symbolic link, or at last what the path names.
#[derive(Clone, Debug)]
pub struct Passed {
    pub path: PathBuf,
    pub is_link: bool,
    pub is_folder: bool,
    pub owned: Owned,
    /// The folder that it is in, whose owner can put something else under its name.
    pub folder: Owned,
}

/// Who may do what with a file (inode(7)).
#[derive(Clone, Copy, Debug)]
pub struct Owned {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

impl Owned {
    fn of(handle: &OwnedFd) -> io::Result<Self> {
        let is = fstat(handle)?;
        Ok(Self { uid: is.st_uid, gid: is.st_gid, mode: is.st_mode & 0o7777 })
    }

    /// Whether, by its mode, others than its owner, root's group and the groups `trusted` can write there.
    pub fn is_writable_by_others(&self, trusted: &[u32]) -> bool {
        self.mode & 0o002 != 0 || self.mode & 0o020 != 0 && self.gid != 0 && !trusted.contains(&self.gid)
    }

    /// Whether nobody can rename or remove there what is another's.
    pub fn is_sticky(&self) -> bool {
        self.mode & 0o1000 != 0
    }
}

/// Opens `path` as a handle only (`O_PATH`), as the kernel would, links followed; gives every part that was passed, from `/` or the
/// working directory on; the last is what is open.
///
/// Errors: `ELOOP` for a link of a procfs, too: /proc/PID/root leads elsewhere than its text says (proc_pid_root(5)), which another
/// process decides.
pub fn open(path: &Path) -> io::Result<(OwnedFd, Vec<Passed>)> {
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT.into());
    }
    let mut here = start(path)?;
    let mut at = if path.is_absolute() { PathBuf::from("/") } else { PathBuf::new() };
    let mut passed = vec![look(&here, at.clone(), &here)?];
    let mut left = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        let next = step(&here, &part)?;
        let found = look(&next, at.join(&part), &here)?;
        if found.is_link {
            links += 1;
            if links > MOST_LINKS || fstatfs(&here)?.f_type == PROC_SUPER_MAGIC {
                return Err(Errno::LOOP.into());
            }
            let target = PathBuf::from(OsString::from_vec(readlinkat(&next, "", Vec::new())?.into_bytes()));
            if target.is_absolute() {
                (here, at) = (start(&target)?, PathBuf::from("/"));
            }
            left.extend(parts(&target));
        } else {
            (here, at) = (next, found.path.clone());
        }
        passed.push(found);
    }
    // A link to / or to its own folder has no part of its own behind it.
    if passed.last().is_some_and(|last| last.is_link) {
        passed.push(look(&here, at, &here)?);
    }
    Ok((here, passed))
}

/// The last part first.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(named).collect()
}

fn start(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, if path.is_absolute() { "/" } else { "." }, flags, Mode::empty())?)
}

/// As a folder at first: without `O_DIRECTORY` the kernel mounts nothing that is mounted on demand (`follow_automount()` of fs/namei.c).
fn step(folder: &OwnedFd, part: &OsString) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(folder, part, flags | OFlags::DIRECTORY, Mode::empty()) {
        Err(Errno::NOTDIR) => Ok(openat(folder, part, flags, Mode::empty())?),
        opened => Ok(opened?),
    }
}

fn look(handle: &OwnedFd, path: PathBuf, folder: &OwnedFd) -> io::Result<Passed> {
    let kind = FileType::from_raw_mode(fstat(handle)?.st_mode);
    let (owned, folder) = (Owned::of(handle)?, Owned::of(folder)?);
    Ok(Passed { path, is_link: kind.is_symlink(), is_folder: kind.is_dir(), owned, folder })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_path_leads_where_the_kernel_leads_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/file"), "").unwrap();
        symlink("a", at("near")).unwrap();
        symlink(at("near/b"), at("far")).unwrap();
        symlink("../file", at("a/b/up")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for path in
            ["a", "near/b", "far", "far/up", "far/../file", "a/./b", "loop", "far/none", "a/file/x", ""]
        {
            let path = if path.is_empty() { PathBuf::new() } else { at(path) };
            match (open(&path), path.metadata()) {
                (Ok((handle, _)), Ok(wanted)) => {
                    assert_eq!(fstat(&handle).unwrap().st_ino, wanted.ino(), "{}", path.display());
                }
                (Err(error), Err(wanted)) => {
                    assert_eq!(error.raw_os_error(), wanted.raw_os_error(), "{}", path.display());
                }
                (walked, wanted) => panic!("{}: {walked:?}, {wanted:?}", path.display()),
            }
        }
    }

    #[test]
    fn every_link_on_the_way_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("one")).unwrap();
        symlink("one", folder.path().join("two")).unwrap();
        let (_, passed) = open(&folder.path().join("two")).unwrap();
        let links: Vec<_> = passed.iter().filter(|part| part.is_link).map(|part| part.path.clone()).collect();
        assert_eq!(links, [folder.path().join("two"), folder.path().join("one")]);
        for target in ["/", "."] {
            let link = folder.path().join("alone");
            symlink(target, &link).unwrap();
            let (_, passed) = open(&link).unwrap();
            assert!(passed.last().unwrap().is_folder, "{target}");
            std::fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn a_link_of_a_procfs_which_leads_elsewhere_than_it_says_is_not_followed() {
        for path in ["/proc/self/root/etc", "/proc/self/cwd", "/proc/thread-self/root"] {
            assert_eq!(open(Path::new(path)).unwrap_err().raw_os_error(), Some(libc::ELOOP), "{path}");
        }
    }
}
