//! Where the workspace keeps things.

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("/")).to_owned()
}

/// What the lab keeps between runs: kernels, and the consoles of runs that failed.
pub fn lab_dir() -> PathBuf {
    root().join("target/lab")
}
