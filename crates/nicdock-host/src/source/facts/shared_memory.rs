use std::io;

/// statvfs(3). Where `/dev/shm` is no file system of its own, the size is that of the one it is in, which is as large as it can get.
pub fn line(root: &str) -> io::Result<String> {
    let size = rustix::fs::statvfs(format!("{root}/dev/shm"))?;
    Ok(format!("{} {}\n", size.f_blocks * size.f_frsize, size.f_bavail * size.f_frsize))
}
