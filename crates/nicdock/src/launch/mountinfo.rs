//! `/proc/PID/mountinfo` (proc(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    pub point: PathBuf,
    /// The file system's type.
    pub kind: String,
}

/// Every mount of a list; lines that are none are passed over. A path may hold any byte.
pub fn parse(list: &[u8]) -> impl Iterator<Item = Mounted> {
    list.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        // Optional fields end with a hyphen.
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        let point = PathBuf::from(OsString::from_vec(unescape(point)));
        Some(Mounted { point, kind: String::from_utf8_lossy(kind).into_owned() })
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
    use super::*;

    #[test]
    fn a_mount_point_with_blanks_is_read_as_it_is() {
        let list = b"36 35 98:0 / /my\\040data/a\\134b rw,noatime master:1 shared:2 - sysfs /dev/root rw\n\
                     37 35 0:4 / /plain rw - proc proc rw\n";
        let found: Vec<Mounted> = parse(list).collect();
        assert_eq!(
            found,
            [
                Mounted { point: "/my data/a\\b".into(), kind: "sysfs".into() },
                Mounted { point: "/plain".into(), kind: "proc".into() }
            ]
        );
    }

    #[test]
    fn a_path_that_is_not_utf8_hides_no_other_mount() {
        let list = b"36 35 98:0 / /\xff rw - tmpfs none rw\n37 35 0:4 / /x rw - sysfs none rw\n";
        assert_eq!(parse(list).map(|mounted| mounted.kind).collect::<Vec<_>>(), ["tmpfs", "sysfs"]);
    }
}
