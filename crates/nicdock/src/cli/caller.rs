//! Reports a hook's failure to the program that called the hook: what made a start fail is for who started it, too.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getppid, pidfd_getfd, pidfd_open};
use serde_json::json;

/// On the caller's standard error: LXC takes a hook's own for its log, at the level DEBUG.
pub fn tell(error: &str) {
    let pidfd = getppid().and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let stderr = pidfd.and_then(|pidfd| pidfd_getfd(pidfd, 2, PidfdGetfdFlags::empty()).ok());
    if let Some(stderr) = stderr {
        let _ = File::from(stderr).write_all(format!("nicdock: {error}\n").as_bytes());
    }
}

/// crun gives its hooks /dev/null for standard error (`do_hooks()`, src/libcrun/container.c). Podman shows what crun's log says, if that is one record, else what
/// crun has said on standard error (`readConmonPipeData()`, libpod/oci_conmon_common.go). So it gets both.
pub fn tell_unheard(error: &str) {
    let is_null =
        |file: &fs::Metadata| file.file_type().is_char_device() && file.rdev() == rustix::fs::makedev(1, 3);
    if !fs::metadata("/proc/self/fd/2").is_ok_and(|file| is_null(&file)) {
        return;
    }
    tell(error);
    in_log(error);
}

/// In the log of the runtime that calls, or of nicdock's in its place.
pub fn in_log(error: &str) {
    let arguments =
        getppid().and_then(|pid| fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok());
    let Some(path) = arguments.as_deref().and_then(log) else { return };
    let record = json!({ "msg": format!("nicdock: {error}"), "level": "error" });
    if let Ok(mut log) = File::options().append(true).create(true).open(path) {
        let _ = log.write_all(format!("{record}\n").as_bytes());
    }
}

/// The file of a runtime's `--log`, by its command line (proc_pid_cmdline(5)).
fn log(arguments: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(arguments);
    let mut words = text.split('\0');
    let word = words.find(|word| *word == "--log" || word.starts_with("--log="))?;
    let path = word.strip_prefix("--log=").or_else(|| words.next())?;
    path.starts_with('/').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtimes_log_is_found_in_its_command_line() {
        assert_eq!(
            log(b"/usr/bin/crun\0--systemd-cgroup\0--log=/run/a/oci-log\0create\0").as_deref(),
            Some("/run/a/oci-log")
        );
        assert_eq!(log(b"runc\0--log\0/run/l\0--log-format\0json\0").as_deref(), Some("/run/l"));
        for none in [&b"crun\0create\0"[..], b"crun\0--log", b"crun\0--log=relative\0", b""] {
            assert_eq!(log(none), None);
        }
    }
}
