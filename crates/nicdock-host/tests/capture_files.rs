//! Captures come from anybody: what is broken or hostile gives an error that names the file and the next step.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nicdock_host::capture::{Capture, CaptureError};
use nicdock_host::constructed::hosts;
use nicdock_host::inventory;
use nicdock_host::source::{Entry, OpenNodes};
use tar::{Builder, EntryType, Header};

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nicdock-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn packed(capture: &Capture) -> Vec<u8> {
    let mut bytes = Vec::new();
    capture.write(&mut bytes).unwrap();
    bytes
}

/// A tar with one member beside the version, with any name and kind.
fn tar_with(name: &str, kind: EntryType, data: &[u8]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    tar.append_data(&mut header, "nicdock-capture", &b"1\n"[..]).unwrap();
    let mut header = Header::new_gnu();
    // set_path() refuses what an attacker would write.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, data).unwrap();
    tar.into_inner().unwrap()
}

fn error(path: &Path) -> CaptureError {
    match Capture::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

#[test]
fn a_written_capture_is_the_same_when_read_packed_unpacked_or_without_gzip() {
    let scratch = Scratch::new("roundtrip");
    for (name, machine) in hosts::all() {
        let capture = machine.capture();
        let bytes = packed(&capture);
        assert!(Capture::open(&scratch.file(name, &bytes)).unwrap() == capture, "{name} packed");

        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut tar).unwrap();
        assert!(Capture::open(&scratch.file("plain", &tar)).unwrap() == capture, "{name} without gzip");

        let unpacked = scratch.0.join(format!("{name}.d"));
        tar::Archive::new(&tar[..]).unpack(&unpacked).unwrap();
        let read = Capture::open(&unpacked).unwrap();
        // Directories on the way are members of an unpacked tree.
        assert_eq!(inventory::read(&read).unwrap(), inventory::read(&capture).unwrap(), "{name} unpacked");
    }
}

#[test]
fn that_not_every_process_could_be_looked_into_is_kept_and_told() {
    let scratch = Scratch::new("unprivileged");
    let capture = hosts::efa().capture();
    let open_nodes = OpenNodes { nodes: Vec::new(), complete: false };
    let unprivileged = Capture::from_parts(capture.entries().clone(), open_nodes);
    let read = Capture::open(&scratch.file("capture", &packed(&unprivileged))).unwrap();
    assert!(read == unprivileged);
    let warnings = inventory::read(&read.redacted()).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("run as root"), "{warnings:?}");
}

#[test]
fn the_same_capture_gives_the_same_bytes() {
    let [(_, machine), ..] = hosts::all();
    let capture = machine.capture();
    assert_eq!(packed(&capture), packed(&capture));
}

#[test]
fn a_capture_of_this_machine_is_read_as_this_machine() {
    let live = inventory::read(&nicdock_host::source::Live).unwrap();
    let capture = Capture::of(nicdock_host::source::Live).unwrap();
    let read = inventory::read(&capture).unwrap();
    // Lifetimes and connections change between two readings.
    let names = |host: &nicdock_host::model::Host| {
        host.nics.iter().map(|nic| (nic.name.clone(), nic.pci, nic.kind)).collect::<Vec<_>>()
    };
    assert_eq!(names(&live), names(&read));
    assert_eq!(live.pci, read.pci);
}

#[test]
fn a_file_cut_anywhere_is_an_error_that_says_so() {
    let scratch = Scratch::new("truncated");
    let [(_, machine), ..] = hosts::all();
    let bytes = packed(&machine.capture());
    for cut in (2..bytes.len() - 1).step_by(bytes.len() / 40) {
        let path = scratch.file("cut.tar.gz", &bytes[..cut]);
        let error = error(&path);
        assert!(matches!(error, CaptureError::Truncated { .. }), "{cut}: {error}");
        let text = error.to_string();
        assert!(text.contains("cut.tar.gz") && text.contains("copy it again"), "{text}");
    }
}

#[test]
fn a_plain_tar_cut_between_members_is_noticed() {
    let scratch = Scratch::new("truncated-plain");
    let tar = tar_with("proc/x", EntryType::Regular, b"hello");
    let path = scratch.file("cut.tar", &tar[..1024]);
    assert!(matches!(error(&path), CaptureError::Truncated { .. }));
    let path = scratch.file("cut.tar", &tar[..tar.len() - 1024]);
    assert!(matches!(error(&path), CaptureError::Truncated { .. }));
}

#[test]
fn one_flipped_bit_is_an_error() {
    let scratch = Scratch::new("flipped");
    let [(_, machine), ..] = hosts::all();
    let bytes = packed(&machine.capture());
    for at in (20..bytes.len()).step_by(bytes.len() / 40) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        assert!(Capture::open(&scratch.file("flipped", &bytes)).is_err(), "byte {at}");
    }
}

#[test]
fn what_is_no_capture_is_named_so() {
    let scratch = Scratch::new("not");
    for (name, bytes) in [("empty", &b""[..]), ("text", b"hello"), ("zeroes", &[0; 4096])] {
        let text = error(&scratch.file(name, bytes)).to_string();
        assert!(text.contains(name) && text.contains("capture"), "{text}");
    }
    let text = error(&scratch.0).to_string();
    assert!(text.contains("no file 'nicdock-capture'"), "{text}");
    let text = error(&scratch.0.join("missing.tar.gz")).to_string();
    assert!(text.contains("missing.tar.gz"), "{text}");
}

#[test]
fn a_capture_of_a_later_format_is_refused() {
    let scratch = Scratch::new("version");
    scratch.file("nicdock-capture", b"2\n");
    assert!(matches!(error(&scratch.0), CaptureError::Version { .. }));
}

#[test]
fn names_that_climb_out_or_are_absolute_are_refused() {
    let scratch = Scratch::new("names");
    for name in ["../evil", "sys/../../evil", "/etc/passwd"] {
        let path = scratch.file("hostile.tar", &tar_with(name, EntryType::Regular, b"x"));
        let error = error(&path);
        assert!(matches!(&error, CaptureError::Member { member, .. } if member == name), "{error}");
    }
}

#[test]
fn device_nodes_pipes_and_hard_links_are_refused() {
    let scratch = Scratch::new("kinds");
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::Link, EntryType::GNUSparse] {
        let path = scratch.file("hostile.tar", &tar_with("sys/x", kind, b""));
        assert!(
            matches!(
                error(&path),
                CaptureError::Member { .. } | CaptureError::NotACapture { .. } | CaptureError::Damaged { .. }
            ),
            "{kind:?}"
        );
    }
}

#[test]
fn a_link_in_a_capture_is_data_and_is_never_followed() {
    let scratch = Scratch::new("links");
    scratch.file("nicdock-capture", b"1\n");
    fs::create_dir(scratch.0.join("sys")).unwrap();
    std::os::unix::fs::symlink("/etc", scratch.0.join("sys/etc")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", scratch.0.join("open-nodes-elsewhere")).unwrap();
    let capture = Capture::open(&scratch.0).unwrap();
    assert_eq!(capture.entries().get("sys/etc"), Some(&Entry::Link("/etc".into())));
    assert!(capture.entries().keys().all(|path| !path.contains("passwd")));
}

#[test]
fn a_pipe_in_an_unpacked_capture_is_refused_without_waiting_on_it() {
    let scratch = Scratch::new("pipe");
    scratch.file("nicdock-capture", b"1\n");
    let made = std::process::Command::new("mkfifo").arg(scratch.0.join("pipe")).status();
    assert!(made.unwrap().success());
    assert!(matches!(error(&scratch.0), CaptureError::Member { .. }));
}

/// A tar header for a file of this many bytes, which follow as zeroes.
fn bomb(to: &Path, name: &str, kind: EntryType, size: u64) -> io::Result<()> {
    let mut gzip = GzEncoder::new(File::create(to)?, Compression::fast());
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    gzip.write_all(header.as_bytes())?;
    io::copy(&mut io::repeat(0).take(size), &mut gzip)?;
    gzip.finish().map(drop)
}

#[test]
fn gigabytes_of_zeroes_are_given_up_early() {
    let scratch = Scratch::new("bomb");
    let path = scratch.0.join("bomb.tar.gz");
    for (name, kind) in [("sys/zeroes", EntryType::Regular), ("longname", EntryType::GNULongName)] {
        bomb(&path, name, kind, 300 << 20).unwrap();
        assert!(path.metadata().unwrap().len() < 4 << 20);
        let error = error(&path);
        assert!(matches!(error, CaptureError::TooLarge { limit: 256, .. }), "{error}");
    }
    let sparse = File::create(scratch.0.join("unpacked")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(matches!(error(&scratch.0), CaptureError::TooLarge { .. }));
}
