//! Holds unsafe code in the doors to the kernel, and in the static programs, which have doors of their own.

use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that may have it (`unsafe_code` is denied everywhere unless a file says otherwise).
const DOORS: [&str; 4] = ["nicdock-sys", "nicdock-audit", "nicdock-gate", "nicdock-starter"];

/// Fails if a file of another crate's `src` allows itself unsafe code; gives how many files of the doors do.
pub fn check(root: &Path) -> Result<usize> {
    let (mut doors, mut others) = (0, Vec::new());
    for of in super::order::crates(root)? {
        let mut files = Vec::new();
        super::order::collect(&of.join("src"), &mut files)?;
        let is_door = of.file_name().is_some_and(|name| DOORS.iter().any(|door| name == *door));
        let has: Vec<PathBuf> = files.into_iter().filter(|file| allows_unsafe(file)).collect();
        if is_door {
            doors += has.len();
        } else {
            others.extend(has);
        }
    }
    if others.is_empty() {
        Ok(doors)
    } else {
        bail!("unsafe code belongs in {}: {others:?}", DOORS.join(", "))
    }
}

fn allows_unsafe(file: &Path) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with('#')
            && line.contains("unsafe_code")
            && !line.contains("deny")
            && !line.contains("forbid")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_elsewhere_is_found() {
        let root = tempfile::tempdir().unwrap();
        let plant = |of: &str, text: &str| {
            let home = root.path().join(of);
            fs::create_dir_all(home.join("src")).unwrap();
            fs::write(home.join("Cargo.toml"), "").unwrap();
            fs::write(home.join("src/lib.rs"), text).unwrap();
        };
        plant("xtask", "#![deny(unsafe_code)]\n");
        plant("crates/nicdock-sys", "#![allow(unsafe_code)]\n");
        assert_eq!(check(root.path()).unwrap(), 1);
        plant("crates/engines/run", "mod x {\n    #![allow(unsafe_code)]\n}\n");
        assert!(check(root.path()).unwrap_err().to_string().contains("engines/run"));
    }

    #[test]
    fn this_tree_has_them_where_they_belong() {
        assert!(check(&crate::workspace::root()).unwrap() > 15);
    }
}
