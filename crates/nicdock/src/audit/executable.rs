//! The static program: found, checked, and held in memory, so that nothing of the host's files is in the container.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::Own;
use super::target::target;
use crate::kernel::memfd;
use crate::plan::Plan;

const NAME: &str = "nicdock-audit";
const INSTALLED: &str = "/usr/libexec/nicdock";

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
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
    #[error("{doing}: {error}")]
    Kernel { doing: &'static str, error: io::Error },
    /// The audit would not see what the process sees.
    #[error("not reproducible: {0}")]
    NotReproducible(String),
    #[error("process {0} has ended, or there is none")]
    NoProcess(u32),
}

impl AuditError {
    pub fn kernel(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Kernel { doing, error }
    }
}

/// The program in memory, and a place for what it will be told.
pub struct Audit {
    program: OwnedFd,
    told: OwnedFd,
}

/// The audit as a container's command line; `more` is what the user added.
pub fn arguments(more: &[String]) -> Vec<String> {
    std::iter::once(NAME.to_owned()).chain(more.iter().cloned()).collect()
}

impl Audit {
    pub fn load() -> Result<Self, AuditError> {
        let content = static_program(NAME)?;
        let program =
            memfd::sealed(NAME, &content).map_err(AuditError::kernel("copying the audit into memory"))?;
        let told =
            memfd::open("nicdock-audit-told").map_err(AuditError::kernel("making a file in memory"))?;
        Ok(Self { program, told })
    }

    /// Tells it of a container that is complete. Its process has the file already.
    pub fn tell(&self, plan: &Plan) -> Result<(), AuditError> {
        let target = target(&Own::of_grants(plan.grants.clone()))
            .map_err(|error| AuditError::NotReproducible(error.to_string()))?;
        self.tell_bytes(&serde_json::to_vec(&target).unwrap_or_default())
    }

    pub fn tell_bytes(&self, content: &[u8]) -> Result<(), AuditError> {
        memfd::fill_and_seal(&self.told, content)
            .map_err(AuditError::kernel("telling the audit what is foreign"))
    }

    /// Becomes the audit. Returns only the error.
    pub fn exec(&self, arguments: &[CString], env: &[CString], pass: &[(&str, &OwnedFd)]) -> io::Error {
        let mut arguments = arguments.to_vec();
        for (option, descriptor) in std::iter::once(("--target-fd", &self.told)).chain(pass.iter().copied()) {
            if let Err(error) = memfd::keep_over_exec(descriptor) {
                return error;
            }
            let texts = [option.to_owned(), descriptor.as_raw_fd().to_string()];
            arguments.extend(texts.into_iter().filter_map(|text| CString::new(text).ok()));
        }
        memfd::exec(&self.program, &arguments, env)
    }
}

/// A program that comes with nicdock and runs in containers, for which it has to be static.
pub fn static_program(name: &'static str) -> Result<Vec<u8>, AuditError> {
    let path = find(name)?;
    let content = fs::read(&path).map_err(|error| AuditError::Io { path: path.clone(), error })?;
    match loader_of(&content) {
        Some(loader) => Err(AuditError::NotStatic { path, loader }),
        None => Ok(content),
    }
}

fn find(name: &'static str) -> Result<PathBuf, AuditError> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(name)));
    let candidates = [beside.unwrap_or_default(), Path::new(INSTALLED).join(name)];
    let found = candidates.iter().find(|path| path.is_file());
    found.cloned().ok_or_else(|| AuditError::Missing { name, path: candidates[0].display().to_string() })
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
