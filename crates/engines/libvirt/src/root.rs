//! A domain's root before it starts: whether somebody could put another program in the gate's place.

use nicdock_core::kind::Kind;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::FOLDER;
use nicdock_sys::closing::Closing;
use nicdock_sys::walk::{self, Owned};

#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error(
        "{path}, in the root of domain {domain}, {what}: somebody could put a program before nicdock's gate there, which is mounted below"
    )]
    Open { domain: String, path: PathBuf, what: String },
    #[error(
        "{path}, on the way to {root}, the root of domain {domain}, {what}, who could put another root there after this look: move the root to where only root writes"
    )]
    Way { domain: String, root: PathBuf, path: PathBuf, what: String },
    #[error("the root of domain {domain}: {path}: {error}")]
    Io { domain: String, path: PathBuf, error: io::Error },
}

impl RootError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { error, .. } => Kind::of_io(error),
            _ => Kind::NotClosed,
        }
    }
}

/// libvirt opens the root, mounts the gate and executes it by path, later, and others may write to the root or exchange it meanwhile. So
/// the folders on the way to the root and in it are root's alone, or those of `user`, the container's root. Missing ones libvirt makes.
pub fn look_at_root(domain: &str, root: Option<&str>, user: u32) -> Result<(), RootError> {
    // An image, which nobody else has mounted, or the host's own root.
    let Some(root) = root else { return Ok(()) };
    if Closing::OpenedOnce.is_left_open() {
        return Ok(());
    }
    look_at_way(domain, Path::new(root), user)?;
    let names = Path::new(FOLDER).strip_prefix("/").unwrap_or(Path::new(FOLDER));
    let below = names.ancestors().collect::<Vec<_>>().into_iter().rev();
    for path in below
        .map(|below| if below.as_os_str().is_empty() { root.into() } else { Path::new(root).join(below) })
    {
        let found = match path.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != Path::new(root) => return Ok(()),
            Err(error) => return Err(RootError::Io { domain: domain.to_owned(), path, error }),
        };
        let owned = Owned { uid: found.uid(), gid: found.gid(), mode: found.mode() };
        let others = owned.is_writable_by_others(&[user]);
        let what = if !found.is_dir() && path != Path::new(root) {
            "is no folder".to_owned()
        } else if found.uid() != 0 && found.uid() != user {
            format!("belongs to user {}", found.uid())
        } else if others {
            format!("can be written by others (mode {:o})", found.mode() & 0o7777)
        } else {
            continue;
        };
        return Err(RootError::Open { domain: domain.to_owned(), path, what });
    }
    Ok(())
}

/// Whoever can rename something on the way puts another root there after this look. In a sticky folder nobody can do that with what is
/// another's (inode(7)).
fn look_at_way(domain: &str, root: &Path, user: u32) -> Result<(), RootError> {
    let failed = |error| RootError::Io { domain: domain.to_owned(), path: root.to_owned(), error };
    let (_, passed) = walk::open(root).map_err(failed)?;
    for part in passed {
        let Owned { uid, mode, .. } = part.owned;
        let what = if uid != 0 && uid != user {
            format!("belongs to user {uid}")
        } else if part.is_folder && !part.owned.is_sticky() && part.owned.is_writable_by_others(&[user]) {
            format!("can be written by others (mode {mode:o})")
        } else {
            continue;
        };
        return Err(RootError::Way {
            domain: domain.to_owned(),
            root: root.to_owned(),
            path: part.path,
            what,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn look(root: &Path) -> Result<(), RootError> {
        let own = root.metadata().unwrap().uid();
        look_at_root("mpi", root.to_str(), own)
    }

    #[test]
    fn a_folder_that_others_can_write_or_a_link_on_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        look(root).unwrap();
        fs::create_dir_all(root.join("usr/libexec/nicdock")).unwrap();
        look(root).unwrap();
        let libexec = root.join("usr/libexec");
        fs::set_permissions(&libexec, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(look(root).unwrap_err().to_string().contains("mode 1777"));
        fs::remove_dir_all(&libexec).unwrap();
        symlink("/tmp", &libexec).unwrap();
        assert!(look(root).unwrap_err().to_string().contains("is no folder"));
        assert!(matches!(look_at_root("mpi", Some("/no/such"), 0), Err(RootError::Io { .. })));
    }

    #[test]
    fn a_root_that_somebody_could_exchange_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        look(&root).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(look(&root).unwrap_err().to_string().contains("mode 777"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        look(&root).unwrap();
    }

    #[test]
    fn a_root_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(()) = std::os::unix::fs::chown(folder.path(), Some(1000), None) else {
            eprintln!("SKIPPED: only root can give a folder to another user");
            return;
        };
        assert!(
            look_at_root("mpi", folder.path().to_str(), 0).unwrap_err().to_string().contains("user 1000")
        );
        look_at_root("mpi", folder.path().to_str(), 1000).unwrap();
    }
}
