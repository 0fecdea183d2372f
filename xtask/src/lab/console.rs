//! The guest kernel's console: a file nobody sees unless something went wrong.

use crate::process::tail;
use crate::workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// How many lines an error repeats: from the first that tells of a kernel's trouble, else the last ones.
const SHOWN: usize = 50;

const TROUBLE: [&str; 4] = ["Kernel panic", "BUG: ", "Oops: ", "Out of memory"];

/// A console log, removed when dropped unless kept.
pub struct Console {
    file: PathBuf,
    keep: bool,
}

impl Console {
    pub fn create(label: &str) -> Result<Self> {
        let dir = workspace::lab_dir().join("console");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { file: dir.join(format!("{label}-{}.log", std::process::id())), keep: false })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Keeps the log and describes it: where it is, and its end.
    pub fn keep(&mut self) -> String {
        self.keep = true;
        let text = fs::read(&self.file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        format!("console: {}\n{}", self.file.display(), excerpt(&text))
    }
}

fn excerpt(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|line| TROUBLE.iter().any(|trouble| line.contains(trouble))) {
        Some(first) => lines[first..].iter().take(SHOWN).copied().collect::<Vec<_>>().join("\n"),
        None => tail(text, SHOWN),
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if !self.keep {
            drop(fs::remove_file(&self.file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_shown_from_its_start() {
        let text = format!("booting\nKernel panic - not syncing\n{}", "trace\n".repeat(100));
        assert!(excerpt(&text).starts_with("Kernel panic"));
        assert!(excerpt("one\ntwo\n").ends_with("two"));
    }
}
