//! The guest's first file system: a cpio archive in the "newc" format (Linux, Documentation/driver-api/early-userspace).

use std::path::Path;

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

/// Collects files; [`Initramfs::finish`] gives the archive.
#[derive(Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
}

impl Initramfs {
    pub fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY | 0o755, &[]);
    }

    pub fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, REGULAR | 0o755, content);
    }

    pub fn write(mut self, to: &Path) -> std::io::Result<()> {
        self.entry("TRAILER!!!", 0, &[]);
        std::fs::write(to, self.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(content.len()).expect("no file of the initramfs is near 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a short name");
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let header = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        for field in header {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_and_content_is_aligned_to_four_bytes() {
        let mut archive = Initramfs::default();
        archive.directory("bin");
        archive.file("job", b"12345");
        let text = String::from_utf8(archive.bytes.clone()).expect("ASCII");
        let headers: Vec<_> = text.match_indices("070701").map(|(at, _)| at % 4).collect();
        assert_eq!(headers, [0, 0]);
        assert_eq!(archive.bytes.len() % 4, 0);
        assert!(text.contains("job\0"));
    }
}
