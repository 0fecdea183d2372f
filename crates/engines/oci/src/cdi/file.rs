//! The file that engines read.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nicdock_core::kind::Kind;
use nicdock_core::node::NodeError;

/// Where engines look for what an administrator has installed (SPEC.md, "CDI JSON Specification").
pub const FOLDER: &str = "/etc/cdi";

/// Whether the file is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Written,
    None,
}

pub fn file(folder: &Path) -> PathBuf {
    folder.join("nicdock.json")
}

/// Writes the file as a whole or not at all: an engine may read it at any time.
pub fn install(folder: &Path, text: &str) -> Result<Change, NodeError> {
    let file = file(folder);
    if fs::read_to_string(&file).is_ok_and(|before| before == text) {
        return Ok(Change::None);
    }
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        // Engines take every file that ends with .json or .yaml.
        let mut aside = tempfile::Builder::new().prefix(".nicdock.").suffix(".new").tempfile_in(folder)?;
        aside.write_all(text.as_bytes())?;
        aside.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        aside.as_file().sync_all()?;
        aside.persist(&file)?;
        Ok(())
    };
    write().map(|()| Change::Written).map_err(|error| failed("writing", &file, &error))
}

/// `false` if it was not there.
pub fn remove(folder: &Path) -> Result<bool, NodeError> {
    let file = file(folder);
    match fs::remove_file(&file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("removing", &file, &error)),
    }
}

fn failed(doing: &str, file: &Path, error: &io::Error) -> NodeError {
    NodeError::refused(Kind::of_io(error), format!("{doing} {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let cdi = folder.path().join("etc/cdi");
        assert_eq!(install(&cdi, "{}\n").unwrap(), Change::Written);
        assert_eq!(install(&cdi, "{}\n").unwrap(), Change::None);
        assert_eq!(install(&cdi, "{ }\n").unwrap(), Change::Written);
        assert_eq!(fs::metadata(file(&cdi)).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(&cdi).unwrap().count(), 1);
        assert!(remove(&cdi).unwrap() && !remove(&cdi).unwrap());
        fs::write(folder.path().join("file"), "").unwrap();
        let said = install(&folder.path().join("file"), "{}").unwrap_err().to_string();
        assert!(said.contains("nicdock.json"), "{said}");
    }
}
