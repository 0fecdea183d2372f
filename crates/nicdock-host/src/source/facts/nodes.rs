use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rustix::fs::{major, minor};

/// Who may open what below `/dev/infiniband`. Links are not followed: a node is a node.
pub fn lines(root: &str) -> io::Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(format!("{root}/dev/infiniband"))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.file_type().is_char_device() {
            let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
            lines.push(format!("{mode:04o} {uid} {gid} {major}:{minor} {}\n", entry.file_name().display()));
        }
    }
    lines.sort_unstable();
    Ok(lines.concat())
}
