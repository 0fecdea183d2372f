//! `log.*`: the kernel's log and other records that name every NIC. syslog(2) itself is `syscall.syslog.*`.

use std::fs;

use crate::probe::{Finding, Probe};

const FILES: [&str; 9] = [
    "/dev/kmsg",
    "/proc/kmsg",
    "/var/log/dmesg",
    "/var/log/kern.log",
    "/var/log/messages",
    "/run/udev/data",
    "/run/systemd/netif",
    "/sys/kernel/debug/printk",
    "/sys/fs/pstore",
];

pub fn probes() -> Vec<Probe> {
    FILES
        .into_iter()
        .map(|path| {
            Probe::new(format!("log.{}", path[1..].replace(['/', '.'], "_")), move |context| {
                look(path, &context.words)
            })
        })
        .collect()
}

/// `fstat()` of /proc/kmsg says no size either; but a procfs is none of the file systems that hold something empty.
fn is_empty_file(file: &std::os::fd::OwnedFd) -> bool {
    /// `PROC_SUPER_MAGIC` (include/uapi/linux/magic.h)
    const PROC: i64 = 0x9fa0;
    let is_file = rustix::fs::fstat(file)
        .is_ok_and(|stat| stat.st_size == 0 && rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    is_file && rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type != PROC)
}

/// A record is open if it has a foreign word: an image may bring files of such names.
fn look(path: &str, words: &crate::words::Words) -> Finding {
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.filter_map(Result::ok) {
            let content = fs::read(entry.path()).unwrap_or_default();
            if let Some((_, word)) = words.find(&content, &[]) {
                return Finding::open(format!("'{word}' in {}", entry.path().display()));
            }
        }
        return Finding::closed(format!("nothing foreign in {path}"));
    }
    match crate::kernel::node::open(path, rustix::fs::OFlags::RDONLY) {
        Err(errno) => Finding::refused(&format!("open({path})"), errno),
        // An empty file may have been put in its place; the log itself is there as soon as it can be opened.
        Ok(file) if path.ends_with("kmsg") && !is_empty_file(&file) => {
            Finding::open(format!("open({path}): succeeded"))
        }
        Ok(file) => {
            let mut content = Vec::new();
            let _ = std::io::Read::read_to_end(
                &mut std::io::Read::take(fs::File::from(file), 16 << 20),
                &mut content,
            );
            words.find(&content, &[]).map_or_else(
                || Finding::closed(format!("nothing foreign in {path}")),
                |(_, word)| Finding::open(format!("'{word}' in {path}")),
            )
        }
    }
}
