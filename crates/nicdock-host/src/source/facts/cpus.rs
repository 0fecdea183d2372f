use std::fs;
use std::io;

/// `Cpus_allowed_list` of `/proc/PID/status` (proc_pid_status(5)).
pub fn line(process: Option<u32>) -> io::Result<String> {
    let of = process.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let status = fs::read_to_string(format!("/proc/{of}/status"))?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map(|list| format!("{}\n", list.trim())).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}
