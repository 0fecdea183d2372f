//! What the composer asks of a sysfs: the pure part asks it of any tree that is shaped like one.

use std::io;

/// A sysfs; every path is relative to it.
pub trait Tree {
    /// Where a symbolic link points, as it is written.
    fn link(&self, path: &str) -> io::Result<String>;
    /// The names in a folder; none if there is no such folder.
    fn entries(&self, path: &str) -> io::Result<Vec<String>>;
    /// Whether there is such a file or folder (a link is neither).
    fn exists(&self, path: &str) -> bool;
    /// A file's content.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// `../../devices/x` seen from `class/net` is `devices/x`; `None` for what leads out of the tree.
pub fn resolve(folder: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." => {}
            "" => return None,
            other => parts.push(other),
        }
    }
    if parts.is_empty() { None } else { Some(parts.join("/")) }
}

/// The folder that a path is in, and its name there.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Every folder above a path, the outermost first.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Whether `path` is `folder` or lies in it.
pub fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_path_below_sys() {
        assert_eq!(
            resolve("class/net", "../../devices/virtual/net/lo").as_deref(),
            Some("devices/virtual/net/lo")
        );
        assert_eq!(resolve("class/net", "../../../etc"), None);
        assert_eq!(resolve("class/net", "../.."), None);
        assert_eq!(resolve("class/net", "/etc"), None);
    }

    #[test]
    fn a_longer_name_is_not_inside() {
        assert!(is_inside("devices/a/b", "devices/a") && is_inside("devices/a", "devices/a"));
        assert!(!is_inside("devices/ab", "devices/a"));
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
    }
}
