//! A lease as a file: checksummed, and always a whole one, for it is written aside and renamed.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Lease, LeaseError, Step};
use crate::plan::check_name;

/// The version of the format.
pub const SCHEMA: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    /// CRC-32 (IEEE) of the lease's text, in hexadecimal.
    checksum: String,
    #[serde(borrow)]
    lease: &'a RawValue,
}

/// Only what every version of the format has.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

pub fn read(path: &Path) -> Result<Lease, LeaseError> {
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => broken(path, "it is no text"),
        _ => LeaseError::io(path, error),
    })?;
    parse(&text).map_err(|reason| broken(path, reason))
}

pub fn write(path: &Path, lease: &Lease) -> Result<(), LeaseError> {
    let temporary = path.with_extension("tmp");
    let text = text(lease).map_err(|error| LeaseError::io(path, error))?;
    fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        LeaseError::io(path, error)
    })
}

pub fn parse(text: &str) -> Result<Lease, String> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let lease = envelope.lease.get();
    if checksum(lease) != envelope.checksum {
        return Err("its checksum is wrong".to_owned());
    }
    match serde_json::from_str::<Version>(lease) {
        Ok(Version { schema: SCHEMA }) => {
            let lease = serde_json::from_str(lease).map_err(|error| error.to_string())?;
            check_names(&lease).map(|()| lease)
        }
        Ok(Version { schema }) => {
            Err(format!("its schema is {schema}, not {SCHEMA}: another nicdock wrote it"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// They become paths.
fn check_names(lease: &Lease) -> Result<(), String> {
    let noted = lease.journal.iter().filter_map(|step| match step {
        Step::Give { container, .. } | Step::Revoke { container, .. } => Some(container),
        _ => None,
    });
    let mut names = lease.holders.iter().map(|holder| &holder.container).chain(noted);
    names.try_for_each(|name| check_name(name)).map_err(|error| error.to_string())
}

fn text(lease: &Lease) -> serde_json::Result<String> {
    let lease = serde_json::value::to_raw_value(lease)?;
    serde_json::to_string(&Envelope { checksum: checksum(lease.get()), lease: &lease })
}

fn checksum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

fn broken(path: &Path, reason: impl Into<String>) -> LeaseError {
    LeaseError::Broken { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Lease {
        serde_json::from_str(include_str!("../../fuzz/lease/move.json")).expect("an example")
    }

    #[test]
    fn what_is_written_is_read_again_and_any_changed_or_missing_byte_is_noticed() {
        let text = text(&example()).unwrap();
        assert!(parse(&text).is_ok());
        for length in 0..text.len() {
            assert!(parse(&text[..length]).is_err(), "cut to {length} bytes");
        }
        for at in (0..text.len()).step_by(7) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(parse(&changed).is_err(), "byte {at} changed");
            }
        }
    }

    #[test]
    fn a_lease_whose_container_has_a_name_that_no_user_could_give_is_refused() {
        let mut lease = example();
        "..".clone_into(&mut lease.holders[0].container);
        assert!(parse(&text(&lease).unwrap()).unwrap_err().contains("invalid"));
    }

    #[test]
    fn a_lease_of_another_version_is_refused_by_its_version() {
        let text = text(&Lease { schema: 3, ..example() }).unwrap();
        assert!(parse(&text).unwrap_err().contains("schema is 3"));
    }
}
