//! A packed capture: a gzipped tar. What is read may be anybody's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Component, Path};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header};

use super::{CaptureError, MAX_BYTES, Member};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A tar ends in two blocks of zeroes.
const END_LEN: u64 = 1024;

pub fn write(members: &[(String, Member)], to: impl Write) -> io::Result<()> {
    let mut tar = Builder::new(GzEncoder::new(to, Compression::best()));
    for (name, member) in members {
        let mut header = Header::new_gnu();
        // Neither times nor users: the same capture is the same file.
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(if matches!(member, Member::Directory) { 0o755 } else { 0o644 });
        match member {
            Member::File(bytes) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, name, bytes.as_slice())?;
            }
            Member::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, name, target)?;
            }
            Member::Directory => {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                tar.append_data(&mut header, name, io::empty())?;
            }
        }
    }
    tar.into_inner()?.finish()?.flush()
}

pub fn read(path: &Path) -> Result<BTreeMap<String, Member>, CaptureError> {
    let open = |source| CaptureError::open(path, source);
    // Looked at without being taken: it may be a pipe.
    let mut file = BufReader::new(File::open(path).map_err(open)?);
    let is_gzip = file.fill_buf().map_err(open)?.starts_with(&GZIP_MAGIC);
    if is_gzip {
        read_tar(path, Bounded::new(MultiGzDecoder::new(file)))
    } else {
        read_tar(path, Bounded::new(file))
    }
}

fn read_tar(path: &Path, stream: Bounded<impl Read>) -> Result<BTreeMap<String, Member>, CaptureError> {
    let mut archive = Archive::new(stream);
    let members = read_members(path, &mut archive);
    let mut stream = archive.into_inner();
    // What is behind the end is read too: there is gzip's checksum.
    let drained = io::copy(&mut stream, &mut io::sink());
    if stream.exceeded {
        return Err(CaptureError::too_large(path));
    }
    let members = members?;
    drained.map_err(|error| broken(path, &error))?;
    if stream.trailing_zeroes < END_LEN {
        let reason = if members.is_empty() { "it is empty" } else { "its end is missing" };
        return Err(CaptureError::Truncated { path: path.to_owned(), reason: reason.into() });
    }
    Ok(members)
}

fn read_members(
    path: &Path,
    archive: &mut Archive<impl Read>,
) -> Result<BTreeMap<String, Member>, CaptureError> {
    let broken = |error: io::Error| broken(path, &error);
    let mut members = BTreeMap::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = name(path, &entry.path_bytes())?;
        let member = match kind {
            EntryType::Regular => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(broken)?;
                Member::File(bytes)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                if target.contains(&0) {
                    return Err(CaptureError::member(path, name, "is a link to a name with a NUL byte"));
                }
                Member::Link(String::from_utf8_lossy(&target).into_owned())
            }
            EntryType::Directory => Member::Directory,
            _ => return Err(CaptureError::member(path, name, "is neither a file, a link nor a directory")),
        };
        // The directory itself, as `tar -C DIR .` packs it.
        if !name.is_empty() {
            members.insert(name, member);
        }
    }
    Ok(members)
}

/// A member's name: relative, without `..`, and one that a file can have (a GNU long name may hold a NUL byte).
fn name(path: &Path, bytes: &[u8]) -> Result<String, CaptureError> {
    let refuse = |reason| CaptureError::member(path, String::from_utf8_lossy(bytes), reason);
    let name = std::str::from_utf8(bytes).map_err(|_| refuse("has a name that is not UTF-8"))?;
    if name.contains('\0') {
        return Err(refuse("has a name with a NUL byte"));
    }
    let mut parts = Vec::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => return Err(refuse("climbs out with '..'")),
            Component::RootDir | Component::Prefix(_) => return Err(refuse("has an absolute name")),
        }
    }
    Ok(parts.join("/"))
}

fn broken(path: &Path, error: &io::Error) -> CaptureError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => CaptureError::Truncated { path, reason },
        // What flate2 says of a bad checksum or deflate stream, and tar of a header.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => CaptureError::Damaged { path, reason },
        _ => CaptureError::NotACapture { path, reason },
    }
}

/// Passes at most [`MAX_BYTES`], and remembers how many zeroes came last.
struct Bounded<R> {
    inner: R,
    left: u64,
    exceeded: bool,
    trailing_zeroes: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: MAX_BYTES, exceeded: false, trailing_zeroes: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            self.exceeded = true;
            self.left = 0;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        let data = &buffer[..count];
        match data.iter().rposition(|byte| *byte != 0) {
            Some(last) => self.trailing_zeroes = (count - last - 1) as u64,
            None => self.trailing_zeroes += count as u64,
        }
        Ok(count)
    }
}
