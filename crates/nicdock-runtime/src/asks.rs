//! Tells containers that may ask for a NIC from those that do not, without reading their configuration: nicdock, which reads it, takes longer to start than a runtime does.

use std::fs;
use std::io;
use std::path::Path;

/// As `nicdock_core::lease` has them.
pub const LEASES: &str = "/run/nicdock/leases";

/// What is in every configuration that asks: a node below /dev/infiniband, one by its number (`IB_UVERBS_MAJOR`, drivers/infiniband/core/uverbs_main.c), hooks or
/// options of nicdock's. Engines write compact JSON, and escape none of these letters.
const PARTS: [&[u8]; 3] = [b"infiniband", b"nicdock", b"\"major\":231"];

/// Errors of reading are the runtime's to tell.
pub fn config(file: &Path) -> bool {
    fs::read(file).is_ok_and(|text| PARTS.iter().any(|part| contains(&text, part)))
}

/// Whether a lease names this container. Errors: it cannot be told.
pub fn has_a_nic(leases: &Path, container: &[u8]) -> Result<bool, String> {
    let failed = |error: io::Error| format!("{}: {error}", leases.display());
    let entries = match fs::read_dir(leases) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match fs::read(&path) {
            Ok(text) if contains(&text, container) => return Ok(true),
            Ok(_) => {}
            // It has ended since, or is a folder of leases that could not be read.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(false)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|found| found == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_asks_is_told_from_one_that_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        assert!(!config(&file));
        for (text, asks) in [
            (r#"{"linux":{"devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229}]}}"#, false),
            (r#"{"linux":{"devices":[{"path":"/dev/infiniband/uverbs1","type":"c"}]}}"#, true),
            (r#"{"linux":{"devices":[{"path":"/dev/foo","type":"c","major":231,"minor":193}]}}"#, true),
            (r#"{"hooks":{"createRuntime":[{"path":"/usr/bin/nicdock"}]}}"#, true),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(config(&file), asks, "{text}");
        }
    }

    #[test]
    fn a_container_with_a_nic_is_found_in_the_leases() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(has_a_nic(&folder.path().join("none"), b"abc"), Ok(false));
        assert_eq!(has_a_nic(folder.path(), b"abc"), Ok(false));
        fs::create_dir(folder.path().join("aside")).unwrap();
        fs::write(folder.path().join("rxe1.json"), r#"{"holders":[{"container":"abc"}]}"#).unwrap();
        assert_eq!(has_a_nic(folder.path(), b"abc"), Ok(true));
        assert_eq!(has_a_nic(folder.path(), b"abd"), Ok(false));
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(has_a_nic(&folder.path().join("file"), b"abc").is_err());
    }
}
