//! Single values of `/sys`, with a warning for each that is there and cannot be used.

use std::cell::RefCell;
use std::io;
use std::str::FromStr;

use nicdock_netlink::name;

use crate::source::Source;

/// `ENODEV`: the device went away while it was being looked at.
const ENODEV: i32 = 19;

/// A capture's file may hold anything, of any length: a warning stays readable.
const QUOTED_LEN: usize = 80;

/// `/sys` of a source. Paths are relative to it: `devices/pci0000:00/0000:00:03.0/class`.
pub struct Sysfs<'a> {
    source: &'a dyn Source,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Sysfs<'a> {
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, warnings: RefCell::default() }
    }

    pub fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    pub fn into_warnings(self) -> Vec<String> {
        self.warnings.into_inner()
    }

    /// A file's text without the final newline; `None` where there is no such file.
    pub fn text(&self, path: &str) -> Option<String> {
        match self.source.read(&format!("sys/{path}")) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).trim().to_owned()),
            Err(error) => self.absent(path, &error),
        }
    }

    /// A file that has the name of an interface or RDMA device, as the text that stands for it.
    pub fn name(&self, path: &str) -> Option<String> {
        match self.source.read(&format!("sys/{path}")) {
            Ok(bytes) => Some(name::text(bytes.strip_suffix(b"\n").unwrap_or(&bytes))),
            Err(error) => self.absent(path, &error),
        }
    }

    /// As [`text`](Self::text), for files that many drivers refuse to answer (`speed` of a link without carrier).
    pub fn text_if_told(&self, path: &str) -> Option<String> {
        let bytes = self.source.read(&format!("sys/{path}")).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A value that `parse` understands; anything else is a warning and `None`.
    pub fn value<T>(&self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(path)?;
        let value = parse(&text);
        if value.is_none() {
            let quoted: String = text.escape_debug().take(QUOTED_LEN).collect();
            self.warn(format!("/sys/{path} says '{quoted}', which is not understood"));
        }
        value
    }

    /// A decimal number.
    pub fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.value(path, |text| text.parse().ok())
    }

    /// The names in a directory; empty where there is no such directory.
    pub fn list(&self, path: &str) -> Vec<String> {
        self.source.list(&format!("sys/{path}")).unwrap_or_else(|error| {
            self.absent::<()>(path, &error);
            Vec::new()
        })
    }

    /// Where a link leads, as a path relative to `/sys`; `None` where there is no such link.
    pub fn target(&self, path: &str) -> Option<String> {
        let target = match self.source.link(&format!("sys/{path}")) {
            Ok(target) => target,
            Err(error) => return self.absent(path, &error),
        };
        let resolved = resolve(path, &target);
        if resolved.is_none() {
            self.warn(format!("/sys/{path} leads out of /sys, to '{}'", target.escape_debug()));
        }
        resolved
    }

    /// The last part of where a link leads: a driver's, a group's or a function's name.
    pub fn target_name(&self, path: &str) -> Option<String> {
        let target = self.target(path)?;
        target.rsplit('/').next().map(str::to_owned)
    }

    fn absent<T>(&self, path: &str, error: &io::Error) -> Option<T> {
        let gone = error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV);
        if !gone {
            self.warn(format!("cannot read /sys/{path}: {error}"));
        }
        None
    }
}

/// `0x15b3`, as PCI attributes are printed.
pub fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Follows `..` in a link's text from the directory that the link is in; `None` beyond the top.
fn resolve(link: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    (!target.starts_with('/')).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_within_sysfs_only() {
        let link = "class/net/eth0";
        let target = "../../devices/pci0000:00/0000:00:03.0/net/eth0";
        assert_eq!(resolve(link, target).as_deref(), Some("devices/pci0000:00/0000:00:03.0/net/eth0"));
        assert_eq!(resolve(link, "../../../etc/passwd"), None);
        assert_eq!(resolve(link, "/etc/passwd"), None);
    }
}
