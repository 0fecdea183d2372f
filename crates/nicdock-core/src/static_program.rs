//! The programs that come with nicdock and run in containers: found, checked to be static, and copied into memory.
//!
//! One that ran from its file on the host could be overwritten by a container through /proc/self/exe (CVE-2019-5736); one that is not static
//! would run the container's loader.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nicdock_sys::memfd;

/// Where the package has them.
pub const INSTALLED: &str = "/usr/libexec/nicdock";

#[derive(Debug, thiserror::Error)]
pub enum StaticProgramError {
    #[error(
        "{name} is neither beside nicdock nor in /usr/libexec/nicdock ({path}): install or build it there"
    )]
    Missing { name: &'static str, path: String },
    #[error(
        "{path} is not static (it names the loader {loader}): in a container that loader is the container's; build it with -C target-feature=+crt-static"
    )]
    NotStatic { path: PathBuf, loader: String },
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("copying {name} into memory: {error}{advice}")]
    Memory { name: &'static str, error: io::Error, advice: &'static str },
}

/// A sealed copy of the program in memory, to be executed by its descriptor.
pub fn in_memory(name: &'static str) -> Result<OwnedFd, StaticProgramError> {
    memfd::program(name, &read(name)?).map_err(|error| {
        // memfd_create() of mm/memfd.c: the sysctl's value 2.
        let refused = error.raw_os_error() == Some(libc::EACCES);
        let advice = "; the sysctl vm.memfd_noexec lets no program run from memory: set it to 0 or 1";
        StaticProgramError::Memory { name, error, advice: if refused { advice } else { "" } }
    })
}

/// The program's file.
pub fn read(name: &'static str) -> Result<Vec<u8>, StaticProgramError> {
    let path = find(name)?;
    let content = fs::read(&path).map_err(|error| StaticProgramError::Io { path: path.clone(), error })?;
    match loader_of(&content) {
        Some(loader) => Err(StaticProgramError::NotStatic { path, loader }),
        None => Ok(content),
    }
}

/// Where a program that comes with `nicdock` may be: beside it, or where the package has it.
pub fn places(nicdock: &Path, name: &str) -> [PathBuf; 2] {
    [nicdock.with_file_name(name), Path::new(INSTALLED).join(name)]
}

fn find(name: &'static str) -> Result<PathBuf, StaticProgramError> {
    // Never one of the current folder.
    let nicdock = std::env::current_exe().unwrap_or_else(|_| Path::new(INSTALLED).join("nicdock"));
    let candidates = places(&nicdock, name);
    let found = candidates.iter().find(|path| path.is_file());
    found
        .cloned()
        .ok_or_else(|| StaticProgramError::Missing { name, path: candidates[0].display().to_string() })
}

/// The loader that a 64-bit ELF program asks for (elf(5), `PT_INTERP`).
fn loader_of(program: &[u8]) -> Option<String> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, length: usize| {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let index = |value: u64| usize::try_from(value).ok();
    let (table, size, count) = (index(number(32, 8)?)?, index(number(54, 2)?)?, index(number(56, 2)?)?);
    for header in (0..count).map(|i| table + i * size) {
        if number(header, 4)? == PT_INTERP {
            let (begin, length) = (index(number(header + 8, 8)?)?, index(number(header + 32, 8)?)?);
            let text = program.get(begin..begin.checked_add(length)?)?;
            return Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader_is_told_from_a_static_one() {
        let this = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(loader_of(&this).is_some_and(|loader| loader.contains("ld-linux")));
        assert_eq!(loader_of(b"#!/bin/sh\n"), None);
        assert_eq!(loader_of(&this[..40]), None);
    }
}
