//! Whatever a machine or a capture says, it is read, redacted and written in time and memory that its length bounds.
//!
//! Each target puts bytes in place of one file of a described machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nicdock_fuzzing::{check, samples};
use nicdock_host::capture::{Capture, CaptureError};
use nicdock_host::constructed::hosts;
use nicdock_host::inventory;
use nicdock_host::model::Host;
use nicdock_host::source::Entry;

fn machine(sample: &str) -> BTreeMap<String, Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures").join(format!("{sample}.tar.gz"));
    Capture::open(&path).expect("a capture").entries().clone()
}

/// Reads the machine; what could be read is the same after a way through JSON's types and a capture.
fn read(entries: BTreeMap<String, Entry>) -> Option<Host> {
    let capture = Capture::from_parts(entries, Vec::new());
    let host = inventory::read(&capture).ok()?;
    let redacted = inventory::read(&capture.redacted()).expect("what could be read can be read redacted");
    assert_eq!(redacted.nics.len(), host.nics.len(), "a NIC is lost by redaction");
    Some(host)
}

/// Bytes in place of `file` of the machines of two captures.
fn check_file(target: &str, file: &str) {
    let machines = [machine("cisco-usnic"), machine("infiniband-8"), machine("lab-6.1")];
    check(&samples!(target), |bytes| {
        for machine in &machines {
            let mut entries = machine.clone();
            entries.insert(file.to_owned(), Entry::File(bytes.to_vec()));
            read(entries);
        }
    });
}

#[test]
fn links() {
    check_file("links", "netlink/links");
}

#[test]
fn addresses() {
    check_file("addresses", "netlink/addresses");
}

#[test]
fn routes() {
    check_file("routes", "netlink/routes");
}

#[test]
fn rdma_devices() {
    check_file("rdma-devices", "netlink/rdma-devices");
}

#[test]
fn rdma_ports() {
    check_file("rdma-ports", "netlink/rdma-ports-0");
}

#[test]
fn rdma_uverbs() {
    check_file("rdma-uverbs", "netlink/rdma-uverbs-0");
}

#[test]
fn rdma_system() {
    check_file("rdma-system", "netlink/rdma-system");
}

#[test]
fn tcp() {
    check_file("tcp", "proc/net/tcp");
}

#[test]
fn tcp6() {
    check_file("tcp6", "proc/net/tcp6");
}

#[test]
fn limits() {
    check_file("limits", "proc/self/limits");
}

/// The same value in every file of `/sys` whose name's hash the value chooses, and in all files of that name.
#[test]
fn sysfs_values() {
    let machines = [machine("cisco-usnic"), machine("infiniband-8")];
    check(&samples!("sysfs"), |bytes| {
        let choice =
            bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        for machine in &machines {
            let files: Vec<&String> = machine
                .iter()
                .filter(|(p, e)| p.starts_with("sys/") && matches!(e, Entry::File(_)))
                .map(|(p, _)| p)
                .collect();
            let chosen = files[choice % files.len()].rsplit('/').next().expect("a name");
            let mut entries = machine.clone();
            for (path, entry) in &mut entries {
                if path.starts_with("sys/") && path.rsplit('/').next() == Some(chosen) {
                    *entry = Entry::File(bytes.to_vec());
                }
            }
            read(entries);
        }
    });
}

/// A file of this test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("capture-{}-{number}", std::process::id())))
    }

    fn open(&self, bytes: &[u8]) -> Result<Capture, CaptureError> {
        fs::write(&self.0, bytes).expect("writable");
        Capture::open(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn written(capture: &Capture) -> Vec<u8> {
    let mut bytes = Vec::new();
    capture.write(&mut bytes).expect("what was read can be written");
    bytes
}

/// A capture that was read is written and read again as it was.
fn round_trip(scratch: &Scratch, bytes: &[u8]) {
    if let Ok(capture) = scratch.open(bytes) {
        let again = written(&capture);
        assert!(scratch.open(&again).expect("what was written can be read") == capture);
        if let Ok(host) = inventory::read(&capture) {
            assert_eq!(inventory::read(&capture).expect("as before"), host);
            let _ = inventory::read(&capture.redacted());
        }
    }
}

#[test]
fn archives() {
    let scratch = Scratch::new();
    check(&samples!("archive"), |bytes| round_trip(&scratch, bytes));
}

/// A tar whose headers are sound, with one member that holds (or is called, or leads to) what was made up.
fn archive_with(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        if tar.append_data(&mut header, name, *bytes).is_err() {
            break;
        }
    }
    tar.into_inner().expect("memory")
}

#[test]
fn open_nodes_of_a_capture() {
    let scratch = Scratch::new();
    check(&samples!("open-nodes"), |bytes| {
        round_trip(&scratch, &archive_with(&[("nicdock-capture", b"1\n"), ("open-nodes", bytes)]));
    });
}

#[test]
fn errors_of_a_capture() {
    let scratch = Scratch::new();
    check(&samples!("errors"), |bytes| {
        round_trip(&scratch, &archive_with(&[("nicdock-capture", b"1\n"), ("errors", bytes)]));
    });
}

#[test]
fn names_and_links_of_a_capture() {
    let scratch = Scratch::new();
    check(&samples!("names"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let mut tar = tar::Builder::new(archive_with(&[("nicdock-capture", b"1\n")]));
        let written: Vec<u8> = {
            let mut bytes = tar.get_mut().clone();
            // Behind the first member, before the end.
            bytes.truncate(1024);
            tar = tar::Builder::new(bytes);
            for line in text.lines().take(50) {
                let (name, target) = line.split_once('\t').unwrap_or((line, ""));
                let mut header = tar::Header::new_gnu();
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Symlink);
                let _ = tar.append_link(&mut header, name, target);
            }
            tar.into_inner().expect("memory")
        };
        round_trip(&scratch, &written);
    });
}

#[test]
fn a_machine_that_was_described_is_read_from_its_capture() {
    let scratch = Scratch::new();
    for (name, machine) in hosts::all() {
        let capture = machine.capture();
        assert!(scratch.open(&written(&capture)).expect(name) == capture, "{name}");
    }
}
