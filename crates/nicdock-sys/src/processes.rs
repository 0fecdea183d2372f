//! The processes that /proc shows.

use std::fs;
use std::io;

/// Every process.
///
/// # Errors
/// There is no /proc.
pub fn all() -> io::Result<impl Iterator<Item = u32>> {
    let listed = fs::read_dir("/proc")?.flatten();
    Ok(listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// What process `pid` calls itself, which may be any bytes (prctl(2), `PR_SET_NAME`): without control characters. Empty if it has ended.
pub fn command(pid: u32) -> String {
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    command.trim_end().replace(char::is_control, "?")
}
