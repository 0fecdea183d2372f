//! A lease as a file: checksummed, and always a whole one, for it is written aside and renamed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use nicdock_netlink::name;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Lease, LeaseError, Step};
use crate::plan::check_name;

/// The version of the format.
pub const SCHEMA: u32 = 4;
/// The versions that are read: what was added since an earlier one may be missing.
pub const READ: std::ops::RangeInclusive<u32> = 2..=SCHEMA;

/// Many times what the lease of a NIC with thousands of routes has.
const LONGEST: u64 = 64 << 20;

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

/// What the file of a lease is called, by the NIC's key: a sub-function's has a slash in it.
pub fn stem(key: &str) -> String {
    key.replace('/', "+")
}

pub fn read(path: &Path) -> Result<Lease, LeaseError> {
    let text = load(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => broken(path, "it is no text"),
        ErrorKind::InvalidInput => broken(path, "it is no regular file"),
        ErrorKind::FileTooLarge => broken(path, "it is larger than any lease"),
        _ => LeaseError::io(path, error),
    })?;
    parse(&text).map_err(|reason| broken(path, reason))
}

/// Every command reads every lease, some under the lock: whatever is there, by mistake, must not make them wait or use up the memory.
fn load(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        // A link, or a socket.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Err(ErrorKind::InvalidInput.into()),
        opened => File::from(opened?),
    };
    if !file.metadata()?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    if file.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

pub fn write(path: &Path, lease: &Lease) -> Result<(), LeaseError> {
    let text = text(lease).map_err(|error| LeaseError::io(path, error))?;
    replace(path, &text).map_err(|error| LeaseError::io(path, error))
}

/// Writes a file aside and renames it (rename(2)): whoever reads it, or is killed meanwhile, has the old text or the new one, and never a half. The caller has
/// the ledger's lock, so that nobody else writes aside.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

pub fn parse(text: &str) -> Result<Lease, String> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let lease = envelope.lease.get();
    if checksum(lease) != envelope.checksum {
        return Err("its checksum is wrong".to_owned());
    }
    match serde_json::from_str::<Version>(lease) {
        Ok(Version { schema }) if READ.contains(&schema) => {
            let lease = if lease.is_ascii() {
                serde_json::from_str(lease)
            } else {
                serde_json::from_str(lease).and_then(|mut value| {
                    escape(&mut value);
                    serde_json::from_value(value)
                })
            };
            let lease = lease.map_err(|error| error.to_string())?;
            check_names(&lease).map(|()| lease)
        }
        Ok(Version { schema }) => Err(format!(
            "its schema is {schema}, and this nicdock knows 2 to {SCHEMA}: a later nicdock wrote it"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// A name of letters outside of ASCII is in the leases of earlier versions as it is: see [`nicdock_netlink::name`].
fn escape(value: &mut Value) {
    match value {
        Value::String(text) if !text.is_ascii() => {
            *text = text
                .chars()
                .map(|c| if c.is_ascii() { c.to_string() } else { name::canonical(&c.to_string()) })
                .collect();
        }
        Value::Array(values) => values.iter_mut().for_each(escape),
        Value::Object(entries) => entries.values_mut().for_each(escape),
        _ => {}
    }
}

/// They become paths, or are shown at a terminal.
fn check_names(lease: &Lease) -> Result<(), String> {
    let noted = lease.steps().filter_map(|step| match step {
        Step::Give { container, .. } | Step::Revoke { container, .. } => Some(container),
        _ => None,
    });
    let owner = lease.reserved.iter().map(|reservation| &reservation.owner.name);
    let mut names = lease.holders.iter().map(|holder| &holder.container).chain(noted).chain(owner);
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
    fn what_is_no_file_or_too_large_is_broken_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, link, large] = ["pipe", "link", "large"].map(|name| folder.path().join(name));
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        File::create(&large).unwrap().set_len(LONGEST + 1).unwrap();
        for path in [folder.path(), &pipe, &link, &large] {
            assert!(matches!(read(path), Err(LeaseError::Broken { .. })), "{}", path.display());
        }
        assert!(read(&folder.path().join("none")).unwrap_err().is_absent());
    }

    #[test]
    fn a_lease_whose_container_has_a_name_that_no_user_could_give_is_refused() {
        let mut lease = example();
        "..".clone_into(&mut lease.holders[0].container);
        assert!(parse(&text(&lease).unwrap()).unwrap_err().contains("invalid"));
    }

    #[test]
    fn a_lease_of_a_later_version_is_refused_by_its_version_and_one_of_the_version_before_is_read() {
        let with = |schema| text(&Lease { schema, ..example() }).unwrap();
        assert!(parse(&with(SCHEMA + 1)).unwrap_err().contains("schema is 5"));
        let before = with(2).replace(r#","reserved":null"#, "");
        let lease = before.split_once(r#""lease":"#).unwrap().1.strip_suffix('}').unwrap();
        let sum = checksum(lease);
        let before = parse(&format!(r#"{{"checksum":"{sum}","lease":{lease}}}"#)).unwrap();
        assert!(before.reserved.is_none());
    }
}
