//! Looks for paths of this machine in what is given away: they would make each machine's package another one.

use super::Programs;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Fails if a program has one in it.
pub fn check(programs: &Programs) -> Result<()> {
    let mut found = Vec::new();
    for program in programs.all() {
        let content = fs::read(&program).with_context(|| program.display().to_string())?;
        for path in &programs.hidden {
            if let Some(text) = occurrence(&content, path.as_os_str().as_bytes()) {
                found.push(format!("{}: {text}", program.display()));
            }
        }
    }
    if found.is_empty() {
        Ok(())
    } else {
        bail!("paths of this machine are in programs:\n{}", found.join("\n"))
    }
}

/// The printable text from where the path is.
fn occurrence(content: &[u8], path: &[u8]) -> Option<String> {
    let at = content.windows(path.len()).position(|window| window == path)?;
    let text: Vec<u8> = content[at..].iter().copied().take_while(u8::is_ascii_graphic).take(120).collect();
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(&text)).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_machine_is_found_in_a_program() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["nicdock", "nicdock-audit", "nicdock-gate", "nicdock-runtime", "nicdock-starter"] {
            fs::write(folder.path().join(name), b"\x7fELF\0/rust/src/lib.rs\0").unwrap();
        }
        let programs =
            Programs { folder: folder.path().to_owned(), hidden: vec!["/home/me".into()], effort: 1 };
        check(&programs).unwrap();
        fs::write(folder.path().join("nicdock-gate"), b"\x7fELF\0/home/me/x.rs\0").unwrap();
        let error = check(&programs).unwrap_err().to_string();
        assert!(error.contains("nicdock-gate: /home/me/x.rs"), "{error}");
    }
}
