//! Loading kernel modules in a given order, without a process for each.

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::system::finit_module;
use std::fs::File;
use std::path::PathBuf;

pub fn load(files: &[PathBuf]) -> Result<()> {
    for file in files {
        let module = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        match finit_module(&module, c"", 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).with_context(|| format!("cannot load {}", file.display())),
        }
    }
    Ok(())
}
