//! A program that looks and listens, by every way there is, for a NIC that is plugged in while it runs.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// Of a file no more is read: what names a NIC is short, or a table of short lines.
const LARGEST: u64 = 256 * 1024;

/// Looks until its input ends, and prints one line for each thing seen: `found WHAT in PATH`, `link MESSAGE`, `new PATH`.
/// A line `try MAJOR MINOR` on its input is answered with what a node of those numbers gives.
///
/// `words` are what nothing may show: addresses and names.
pub fn run(words: &[&str]) -> io::Result<()> {
    println!("uevents {}", answer(&netlink(libc::NETLINK_KOBJECT_UEVENT, 1)));
    println!("rdma {}", answer(&netlink(libc::NETLINK_RDMA, 0)));
    // RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR (include/uapi/linux/rtnetlink.h)
    let links = netlink(libc::NETLINK_ROUTE, 0x111)?;
    let watch = inotify()?;
    let first = look(words, &watch);
    println!("ready {}", first.files);
    let mut seen = BTreeSet::new();
    let (mut rounds, mut input) = (0, String::new());
    loop {
        let look = look(words, &watch);
        rounds += 1;
        for (word, path) in look.found {
            if seen.insert((word.clone(), path.clone())) {
                println!("found {word} in {}", path.display());
            }
        }
        for path in look.directories.difference(&first.directories) {
            if seen.insert((String::new(), path.clone())) {
                println!("new {}", path.display());
            }
        }
        drain(links.as_raw_fd(), "link");
        drain(watch.as_raw_fd(), "inotify");
        match next_line(&mut input)? {
            None => break,
            Some(line) => {
                if let ["try", major, minor] = line.split(' ').collect::<Vec<_>>()[..] {
                    println!("tried {}", attempt(super::number(major), super::number(minor)));
                }
            }
        }
    }
    println!("looked {rounds} times at {} files", first.files);
    Ok(())
}

#[derive(Default)]
struct Look {
    files: u32,
    found: Vec<(String, PathBuf)>,
    directories: BTreeSet<PathBuf>,
}

/// Every name below /sys, /dev and /proc, and every file's content.
fn look(words: &[&str], watch: &OwnedFd) -> Look {
    let mut look = Look::default();
    for root in ["/sys", "/dev", "/proc"] {
        walk(Path::new(root), words, watch, &mut look);
    }
    look
}

fn walk(folder: &Path, words: &[&str], watch: &OwnedFd, look: &mut Look) {
    let is_sysfs = folder.starts_with("/sys");
    add_watch(watch, folder);
    if is_sysfs {
        look.directories.insert(folder.to_owned());
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        let target =
            if kind.is_symlink() { fs::read_link(&path).unwrap_or_default() } else { PathBuf::new() };
        let names = format!("{}\n{}", path.display(), target.display());
        if kind.is_dir() {
            check(names.as_bytes(), &path, words, look);
            // Processes come and go, and are of this PID namespace; one's own tells of mounts.
            let is_process =
                folder == Path::new("/proc") && entry.file_name().as_encoded_bytes()[0].is_ascii_digit();
            if !is_process {
                walk(&path, words, watch, look);
            }
        } else if kind.is_file()
            && !["kmsg", "kcore", "kpagecount", "kpageflags", "kpagecgroup"].iter().any(|n| path.ends_with(n))
        {
            look.files += 1;
            check(&[names.as_bytes(), &content(&path)].concat(), &path, words, look);
        } else {
            check(names.as_bytes(), &path, words, look);
        }
    }
}

fn content(path: &Path) -> Vec<u8> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut content = Vec::new();
    // Some files wait until there is something to say.
    if let Ok(file) = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        let _ = file.take(LARGEST).read_to_end(&mut content);
    }
    content
}

fn check(bytes: &[u8], path: &Path, words: &[&str], look: &mut Look) {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    look.found
        .extend(words.iter().filter(|w| text.contains(**w)).map(|w| ((*w).to_owned(), path.to_owned())));
}

/// Another NIC's node: made, then opened.
fn attempt(major: i64, minor: i64) -> String {
    let path = "/dev/foreign";
    let _ = fs::remove_file(path);
    if let Err(error) = super::mknod(path, major, minor) {
        return format!("mknod {error}");
    }
    let opened = fs::OpenOptions::new().read(true).write(true).open(path).map(drop);
    let _ = fs::remove_file(path);
    answer(&opened)
}

fn answer<T>(result: &io::Result<T>) -> String {
    result.as_ref().map_or_else(|e| e.raw_os_error().unwrap_or(0).to_string(), |_| "open".into())
}

fn netlink(protocol: i32, groups: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let socket = owned(unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol)
    })?;
    // SAFETY: sockaddr_nl is a plain structure of which zeroes are a valid value.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).expect("a small number");
    address.nl_groups = groups;
    let size = libc::socklen_t::try_from(size_of_val(&address)).expect("a small number");
    // SAFETY: the address lives, and has the size that is given.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

fn inotify() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    owned(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })
}

fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Watches for what is made and removed in a folder; the same again changes nothing. /proc tells nothing.
fn add_watch(watch: &OwnedFd, folder: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(folder.as_os_str().as_bytes()) else { return };
    let events = libc::IN_CREATE | libc::IN_DELETE | libc::IN_MOVED_TO | libc::IN_MOVED_FROM;
    if !folder.starts_with("/proc") {
        // SAFETY: the path is a C string.
        unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), events) };
    }
}

/// Prints what a descriptor has, as text. What is made at our own order is not news.
fn drain(descriptor: RawFd, kind: &str) {
    let mut buffer = [0_u8; 16 * 1024];
    loop {
        // SAFETY: the buffer is writable and as large as is said.
        let length = unsafe { libc::read(descriptor, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Ok(length @ 1..) = usize::try_from(length) else { return };
        let text: String = buffer[..length]
            .iter()
            .map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' })
            .collect();
        if !text.contains("foreign") {
            println!("{kind} {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

/// A line of input if there is one, an empty one if not, `None` at its end.
fn next_line(pending: &mut String) -> io::Result<Option<String>> {
    let mut poll = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which lives.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 100) };
    if ready > 0 {
        let mut buffer = [0; 4096];
        let length = io::stdin().read(&mut buffer)?;
        if length == 0 {
            return Ok(None);
        }
        pending.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    let line = pending.split_once('\n').map(|(line, rest)| (line.to_owned(), rest.to_owned()));
    let (line, rest) = line.unwrap_or_else(|| (String::new(), std::mem::take(pending)));
    *pending = rest;
    Ok(Some(line))
}
