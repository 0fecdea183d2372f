//! nicdock's part of a container's configuration: put in and taken out.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nicdock_core::kind::Kind;

#[derive(Debug, thiserror::Error)]
pub enum LxcError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{0}: no such container: lxc-ls -P {1} lists those that there are")]
    Absent(String, PathBuf),
    #[error("lxc-info could not tell the seccomp profile of {name}: {reason}")]
    Info { name: String, reason: String },
    #[error("{0} has nothing of nicdock's in its configuration")]
    NotInstalled(String),
}

impl LxcError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { error, .. } => Kind::of_io(error),
            Self::Absent(..) | Self::NotInstalled(_) => Kind::NoMatch,
            Self::Info { .. } => Kind::Other,
        }
    }
}

/// A container by its folder.
pub struct Container {
    name: String,
    path: PathBuf,
    folder: PathBuf,
}

const MARK: &str = "# nicdock lxc install";
/// Where the file had no newline at its end.
const MARK_OF_OPEN_LINE: &str = "# nicdock lxc install, after a line without end";

impl Container {
    /// `path` is LXC's folder of containers.
    pub fn open(name: &str, path: &Path) -> Result<Self, LxcError> {
        let folder = path.join(name);
        if !folder.join("config").is_file() {
            return Err(LxcError::Absent(name.to_owned(), path.to_owned()));
        }
        Ok(Self { name: name.to_owned(), path: path.to_owned(), folder })
    }

    pub fn fragment(&self) -> PathBuf {
        self.folder.join("nicdock.conf")
    }

    pub fn policy(&self) -> PathBuf {
        self.folder.join("nicdock.seccomp")
    }

    /// The seccomp policy that its configuration names, wherever it is included from.
    pub fn own_policy(&self) -> Result<Option<PathBuf>, LxcError> {
        let failed = |reason: String| LxcError::Info { name: self.name.clone(), reason };
        let mut command = Command::new("lxc-info");
        command.arg("-P").arg(&self.path).args(["-n", &self.name, "-c", "lxc.seccomp.profile"]);
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let value = text.lines().find_map(|line| line.strip_prefix("lxc.seccomp.profile =")).map(str::trim);
        Ok(value.filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    /// Writes both files, and the line that includes the first.
    pub fn install(&self, fragment: &str, policy: &str) -> Result<(), LxcError> {
        write(&self.policy(), policy)?;
        write(&self.fragment(), fragment)?;
        let config = self.config()?;
        let text = with(&read(&config)?, &self.fragment());
        replace(&config, &text)
    }

    /// Makes the configuration as it was before [`Container::install`]. `false` if there was nothing.
    pub fn remove(&self) -> Result<bool, LxcError> {
        let config = self.config()?;
        let text = read(&config)?;
        let Some(before) = without(&text, &self.fragment()) else { return Ok(false) };
        replace(&config, &before)?;
        for path in [self.fragment(), self.policy()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LxcError::Io { path, error });
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// The file itself, should it be a link.
    fn config(&self) -> Result<PathBuf, LxcError> {
        let path = self.folder.join("config");
        fs::canonicalize(&path).map_err(|error| LxcError::Io { path, error })
    }
}

fn block(fragment: &Path, open_line: bool) -> String {
    let (before, mark) = if open_line { ("\n", MARK_OF_OPEN_LINE) } else { ("", MARK) };
    format!("{before}{mark}\nlxc.include = {}\n", fragment.display())
}

fn with(config: &str, fragment: &Path) -> String {
    let open_line = !config.is_empty() && !config.ends_with('\n');
    format!("{config}{}", block(fragment, open_line))
}

fn without(config: &str, fragment: &Path) -> Option<String> {
    [true, false].into_iter().find_map(|open_line| {
        let (before, after) = config.split_once(&block(fragment, open_line))?;
        Some(format!("{before}{after}"))
    })
}

fn read(path: &Path) -> Result<String, LxcError> {
    fs::read_to_string(path).map_err(|error| LxcError::Io { path: path.to_owned(), error })
}

fn write(path: &Path, text: &str) -> Result<(), LxcError> {
    fresh(path, text, 0o644).map(drop).map_err(|error| LxcError::Io { path: path.to_owned(), error })
}

/// A new file, instead of what may be there: over a link of another user's, who owns the folder, any file of the host would be written.
fn fresh(path: &Path, text: &str, mode: u32) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// Another whole file in its place, with its owner and mode.
fn replace(path: &Path, text: &str) -> Result<(), LxcError> {
    let aside = path.with_file_name("config.nicdock");
    let made = || -> io::Result<()> {
        let before = fs::metadata(path)?;
        // Until it has its owner and mode, it is root's alone.
        let file = fresh(&aside, text, 0o600)?;
        std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()))?;
        file.set_permissions(before.permissions())?;
        fs::rename(&aside, path)
    };
    made().map_err(|error| LxcError::Io { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_in_a_containers_folder_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["of-the-host", "config"] {
            fs::write(at(name), "before").unwrap();
        }
        for name in ["nicdock.conf", "config.nicdock"] {
            std::os::unix::fs::symlink(at("of-the-host"), at(name)).unwrap();
        }
        write(&at("nicdock.conf"), "new").unwrap();
        replace(&at("config"), "new").unwrap();
        assert_eq!(fs::read_to_string(at("of-the-host")).unwrap(), "before");
        for name in ["nicdock.conf", "config"] {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), "new", "{name}");
        }
    }

    #[test]
    fn what_was_put_in_is_taken_out_byte_for_byte() {
        let fragment = Path::new("/var/lib/lxc/c1/nicdock.conf");
        for config in ["", "a = b\n", "a = b", "a = b\n\n", "# c\n\na = b\n#"] {
            let installed = with(config, fragment);
            assert!(installed.ends_with("\nlxc.include = /var/lib/lxc/c1/nicdock.conf\n"));
            assert_eq!(without(&installed, fragment).as_deref(), Some(config));
            let later = format!("{installed}lxc.start.auto = 1\n");
            assert!(without(&later, fragment).unwrap().starts_with(config));
        }
        assert_eq!(without("a = b\n", fragment), None);
    }
}
