//! Finds the programs that measure, and says which package has those that are missing.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use nicdock_bench::{Measurement, Waiting, program};
use nicdock_core::kind::Kind;

/// Gives perftest's version, empty where none of it is used, if every program is here that the measurements need.
pub fn check(measurements: &[Measurement], waiting: Waiting) -> Result<String, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| -> Option<PathBuf> {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    let mut version = String::new();
    for measurement in measurements {
        let name = program(*measurement, waiting);
        let Some(file) = find(name) else {
            let (debian, fedora) = match name {
                "ibv_rc_pingpong" => ("ibverbs-utils", "libibverbs-utils"),
                _ => ("perftest", "perftest"),
            };
            let why = format!(
                "{name} is not in PATH, by which {measurement} is measured: apt install {debian} (Debian, Ubuntu) or dnf install {fedora} (Fedora, RHEL)"
            );
            return Err(Failure::new(Kind::Unsupported, why));
        };
        if version.is_empty() && name != "ibv_rc_pingpong" {
            let output = Command::new(file).arg("--version").output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            said.trim().trim_start_matches("Version: ").clone_into(&mut version);
        }
    }
    Ok(version)
}
