//! What a thing was built from, verbatim, beside it: the same inputs need no second build.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// All inputs of a build.
#[derive(Default)]
pub struct Inputs(Vec<u8>);

impl Inputs {
    pub fn words(&mut self, words: &[&str]) {
        for word in words {
            self.0.extend([word.as_bytes(), b"\n"].concat());
        }
    }

    pub fn files(&mut self, files: &[PathBuf]) -> Result<()> {
        for file in files {
            let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = file.file_name().unwrap_or_default().as_encoded_bytes();
            self.0.extend([b"--- ", name, b"\n", &content].concat());
        }
        Ok(())
    }
}

pub struct Stamp(PathBuf);

impl Stamp {
    pub fn at(file: PathBuf) -> Self {
        Self(file)
    }

    pub fn matches(&self, inputs: &Inputs) -> bool {
        fs::read(&self.0).is_ok_and(|recorded| recorded == inputs.0)
    }

    /// Records a build that worked.
    pub fn record(&self, inputs: &Inputs) -> Result<()> {
        fs::write(&self.0, &inputs.0).with_context(|| format!("cannot write {}", self.0.display()))
    }
}

/// The files in a directory that the filter wants, in order.
pub fn list(dir: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| wanted(file));
    files.sort();
    Ok(files)
}

/// Is it a file of this kind: `c`, `h`, …?
pub fn is_kind(file: &Path, kinds: &[&str]) -> bool {
    file.extension().is_some_and(|extension| kinds.iter().any(|kind| extension == *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_or_word_is_noticed() {
        let dir = tempfile::tempdir().expect("a directory");
        let source = dir.path().join("a.c");
        let stamp = Stamp::at(dir.path().join("stamp"));
        let inputs = |flag: &str| {
            let mut inputs = Inputs::default();
            inputs.words(&[flag]);
            inputs.files(std::slice::from_ref(&source)).expect("readable");
            inputs
        };
        fs::write(&source, "int a;").expect("written");
        assert!(!stamp.matches(&inputs("-O2")));
        stamp.record(&inputs("-O2")).expect("recorded");
        assert!(stamp.matches(&inputs("-O2")));
        assert!(!stamp.matches(&inputs("-O3")));
        fs::write(&source, "int b;").expect("written");
        assert!(!stamp.matches(&inputs("-O2")));
    }
}
