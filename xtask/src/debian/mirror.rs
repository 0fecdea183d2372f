//! Which mirror the machine's own apt sources name: both formats apt knows. Pure but for reading the files.

use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The Debian mirror this machine uses.
pub fn mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<_> = parts.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    let found = files.iter().find_map(|file| mirror_in(file, &fs::read_to_string(file).ok()?));
    let Some(mirror) = found else {
        bail!(
            "no Debian mirror in /etc/apt/sources.list and /etc/apt/sources.list.d: add a `deb` line of Debian's main archive"
        );
    };
    Ok(mirror)
}

fn mirror_in(file: &Path, text: &str) -> Option<String> {
    match file.extension()?.to_str()? {
        "list" => one_line(text),
        "sources" => deb822(text),
        _ => None,
    }
}

/// `deb [options] URI suite component…`
fn one_line(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        is_main_archive(uri, suite).then(|| uri.to_owned())
    })
}

/// Stanzas of `Field: value`, separated by empty lines.
fn deb822(text: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let (uri, suite) =
            (field("URIs")?.split_whitespace().next()?, field("Suites")?.split_whitespace().next()?);
        let enabled = !field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
        let binary = field("Types")?.split_whitespace().any(|kind| kind == "deb");
        (enabled && binary && is_main_archive(uri, suite)).then(|| uri.to_owned())
    })
}

/// Every suite is in the archive that Debian's mirrors call `debian`; security updates live elsewhere.
fn is_main_archive(uri: &str, suite: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian") && !suite.ends_with("-security")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deb822_file_names_the_mirror() {
        let text = "Types: deb\n# a comment\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n\n\
                    Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(
            mirror_in(Path::new("debian.sources"), text).as_deref(),
            Some("http://mirror.example/debian")
        );
    }

    #[test]
    fn a_one_line_file_names_the_mirror() {
        let text = "# deb http://old.example/debian sid main\n\
                    deb http://mirror.example/debian-security bookworm-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ bookworm main\n";
        assert_eq!(
            mirror_in(Path::new("sources.list"), text).as_deref(),
            Some("https://mirror.example/debian/")
        );
    }

    #[test]
    fn other_archives_disabled_stanzas_and_disabled_files_do_not_count() {
        let other = "deb https://example/node_20.x nodistro main\n";
        let off = "Types: deb\nEnabled: no\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(mirror_in(Path::new("node.list"), other), None);
        assert_eq!(mirror_in(Path::new("debian.sources"), off), None);
        assert_eq!(
            mirror_in(Path::new("x.list.disabled"), "deb http://mirror.example/debian sid main\n"),
            None
        );
    }
}
