//! A run's temporary directory, in `/tmp` because a socket's path may have 107 bytes only.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const PREFIX: &str = "nicdock-lab-";

/// Makes a directory that goes when it is dropped. Those of runs that were killed go now.
pub fn create() -> Result<TempDir> {
    let parent = Path::new("/tmp");
    for entry in fs::read_dir(parent).context("cannot read /tmp")?.flatten() {
        if owner(&entry.file_name().to_string_lossy())
            .is_some_and(|pid| !Path::new("/proc").join(pid).exists())
        {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).context("cannot make a directory in /tmp")
}

/// The process that made the directory of this name.
fn owner(name: &str) -> Option<String> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse::<u32>().ok().map(|pid| pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_labs_own_directories_have_an_owner() {
        assert_eq!(owner("nicdock-lab-123-aXb").as_deref(), Some("123"));
        assert_eq!(owner("nicdock-lab-.."), None);
        assert_eq!(owner("nicdock-lab-../x-1"), None);
        assert_eq!(owner("other"), None);
    }
}
