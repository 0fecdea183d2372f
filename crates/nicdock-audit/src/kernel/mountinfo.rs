//! The mounts that this process sees (proc_pid_mountinfo(5)).

use std::io;
use std::path::PathBuf;

pub struct Mounted {
    pub point: PathBuf,
    pub read_only: bool,
    /// The type of its file system.
    pub kind: String,
}

pub fn list() -> io::Result<Vec<Mounted>> {
    Ok(parse(&std::fs::read_to_string("/proc/self/mountinfo")?))
}

/// Optional fields end at a hyphen, after which the type is the first.
fn parse(list: &str) -> Vec<Mounted> {
    let mounted = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(4);
        let (point, options) = (unescape(fields.next()?), fields.next()?);
        let read_only = options.split(',').any(|option| option == "ro");
        Some(Mounted { point, read_only, kind: after.split(' ').next()?.to_owned() })
    };
    list.lines().filter_map(mounted).collect()
}

/// Blanks and backslashes are in octal (`mangle()`, fs/seq_file.c).
fn unescape(text: &str) -> PathBuf {
    let with = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    with.iter().fold(text.to_owned(), |text, (code, character)| text.replace(code, character)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_types() {
        let list = "22 1 0:20 / /sys rw - sysfs sysfs rw\n30 1 0:20 /a /srv/a\\040b ro shared:1 - sysfs s ro\n31 1 0:5 / /x rw - proc p rw\n";
        let found: Vec<_> = parse(list).into_iter().map(|one| (one.point, one.read_only, one.kind)).collect();
        let expected = [("/sys", false, "sysfs"), ("/srv/a b", true, "sysfs"), ("/x", false, "proc")];
        assert_eq!(
            found,
            expected.map(|(point, read_only, kind)| (point.into(), read_only, kind.to_owned()))
        );
    }
}
