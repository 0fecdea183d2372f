//! `/proc/PID/mountinfo` (proc(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// By which statx(2) knows it (`STATX_MNT_ID`).
    pub id: u64,
    /// The number of the file system (`st_dev` of stat(2), but one for all subvolumes), as `MAJOR:MINOR`.
    pub device: String,
    /// The folder of the file system that is seen.
    pub root: PathBuf,
    pub point: PathBuf,
    pub read_only: bool,
    /// Its peer group, to all of which mounts spread (`shared:N`).
    pub peers: Option<u64>,
    /// The file system's type.
    pub kind: String,
    /// What whoever mounted it named.
    pub source: String,
    /// The file system's own options, with commas.
    pub options: String,
}

/// Every mount of a list; lines that are none are passed over. A path may hold any byte.
pub fn parse(list: &[u8]) -> impl Iterator<Item = Mounted> {
    list.split(|byte| *byte == b'\n').filter_map(parse_line)
}

/// One line; `None` if it is no mount.
pub fn parse_line(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    let id = number(fields.next()?)?;
    let (device, root) = (fields.nth(1)?, fields.next()?);
    let (point, flags) = (fields.next()?, fields.next()?);
    // Optional fields end with a hyphen.
    let mut peers = None;
    for field in fields.by_ref().take_while(|field| *field != b"-") {
        peers = peers.or_else(|| number(field.strip_prefix(b"shared:")?));
    }
    let (kind, source, options) = (fields.next()?, fields.next(), fields.next());
    let path = |text| PathBuf::from(OsString::from_vec(unescape(text)));
    let text = |text| String::from_utf8_lossy(text).into_owned();
    Some(Mounted {
        id,
        device: text(device),
        peers,
        source: source.map(text).unwrap_or_default(),
        root: path(root),
        point: path(point),
        read_only: flags.split(|byte| *byte == b',').any(|flag| flag == b"ro"),
        kind: text(kind),
        options: options.map(text).unwrap_or_default(),
    })
}

/// Blanks, line ends and backslashes are written as `\` and three octal digits (`mangle_path()` of fs/seq_file.c).
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            let value =
                digits.iter().try_fold(0_u32, |value, digit| Some(value * 8 + (*digit as char).to_digit(8)?));
            value.and_then(|value| u8::try_from(value).ok())
        };
        let escaped = after.get(..3).filter(|_| first == b'\\').and_then(octal);
        out.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_mount_point_with_blanks_is_read_as_it_is() {
        let list = b"36 35 98:0 / /my\\040data/a\\134b rw,noatime master:1 shared:2 - sysfs /dev/root rw\n\
                     37 35 0:4 / /plain rw - proc proc rw\n";
        let found: Vec<Mounted> = parse(list).collect();
        let found: Vec<_> =
            found.iter().map(|mounted| (mounted.point.as_path(), mounted.kind.as_str())).collect();
        assert_eq!(found, [(Path::new("/my data/a\\b"), "sysfs"), (Path::new("/plain"), "proc")]);
    }

    #[test]
    fn a_line_is_read_by_its_fields() {
        let line = b"36 35 0:5 /x /sys ro,nosuid shared:1 - tmpfs tmpfs rw,size=4m";
        let mounted = parse_line(line).unwrap();
        assert_eq!(
            (mounted.point.to_str(), mounted.read_only, &*mounted.kind),
            (Some("/sys"), true, "tmpfs")
        );
        assert_eq!((mounted.root.to_str(), &*mounted.options), (Some("/x"), "rw,size=4m"));
        assert_eq!((mounted.id, &*mounted.device), (36, "0:5"));
        assert!(parse_line(b"nonsense").is_none());
    }

    #[test]
    fn a_path_that_is_not_utf8_hides_no_other_mount() {
        let list = b"36 35 98:0 / /\xff rw - tmpfs none rw\n37 35 0:4 / /x rw - sysfs none rw\n";
        assert_eq!(parse(list).map(|mounted| mounted.kind).collect::<Vec<_>>(), ["tmpfs", "sysfs"]);
    }
}
