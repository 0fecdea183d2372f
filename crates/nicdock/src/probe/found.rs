//! The RDMA devices that a program sees here, as libraries find them: `/sys/class/infiniband_verbs/*/ibdev`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nicdock_netlink::name;
use nicdock_sys::uverbs::DeviceNumber;

const VERBS: &str = "/sys/class/infiniband_verbs";

/// One RDMA device to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, `usnic_0`.
    pub name: String,
    /// The entry in `/sys/class/infiniband_verbs`, `uverbs0`.
    pub uverbs: String,
    /// Where the node should be, or was said to be.
    pub node: PathBuf,
    /// The node's numbers, from sysfs.
    pub number: DeviceNumber,
}

/// What is visible.
#[derive(Debug, Default)]
pub struct Found {
    /// By name.
    pub targets: Vec<Target>,
    /// Entries that cannot be read. libfabric's usnic provider gives up at the first of them.
    pub unreadable: Vec<String>,
}

/// Why there is nothing to probe.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error(
        "no RDMA device is visible here: /sys/class/infiniband_verbs {0}. In a container: was it started with a NIC \
         (nicdock run --nic NAME)? On a host: is the driver loaded (nicdock ls, lsmod | grep ib_uverbs)?"
    )]
    None(&'static str),
    #[error("there is no RDMA device '{wanted}' here; visible are: {}", .visible.join(", "))]
    Unknown { wanted: String, visible: Vec<String> },
    #[error("{path} is the node of no RDMA device that is visible here; those are: {}", .visible.join(", "))]
    ForeignNode { path: String, visible: Vec<String> },
    #[error("cannot look at {path}: {error}")]
    Unreadable { path: String, error: String },
}

/// Every visible device, or the one that `wanted` names: an RDMA device, a uverbs node's name or its path.
pub fn find(wanted: Option<&str>) -> Result<Found, ProbeError> {
    let found = look()?;
    let Some(wanted) = wanted else { return Ok(found) };
    let targets = if wanted.contains('/') {
        vec![by_path(&found.targets, Path::new(wanted))?]
    } else {
        vec![by_name(&found.targets, wanted)?]
    };
    Ok(Found { targets, ..found })
}

fn look() -> Result<Found, ProbeError> {
    let entries = match fs::read_dir(VERBS) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ProbeError::None("is not there"));
        }
        Err(error) => return Err(ProbeError::Unreadable { path: VERBS.into(), error: error.to_string() }),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("uverbs")).collect();
    names.sort();
    let mut found = Found::default();
    for name in names {
        match target(&name) {
            Ok(target) => found.targets.push(target),
            Err(error) => found.unreadable.push(format!("{VERBS}/{name}: {error}")),
        }
    }
    found.targets.sort_by(|a, b| by_number(&a.name).cmp(&by_number(&b.name)));
    if found.targets.is_empty() {
        return Err(ProbeError::None(if found.unreadable.is_empty() {
            "is empty"
        } else {
            "has no entry that can be read"
        }));
    }
    Ok(found)
}

fn target(uverbs: &str) -> io::Result<Target> {
    let read = |file: &str| fs::read_to_string(format!("{VERBS}/{uverbs}/{file}"));
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let called = fs::read(format!("{VERBS}/{uverbs}/ibdev"))?;
    let name = name::text(called.trim_ascii_end());
    if !is_name(&name) {
        return Err(invalid());
    }
    let number = parse_number(&read("dev")?).ok_or_else(invalid)?;
    let node = Path::new("/dev/infiniband").join(uverbs);
    Ok(Target { name, uverbs: uverbs.to_owned(), node, number })
}

/// A name is part of paths below /sys.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/') && !name.starts_with('.')
}

/// `231:193`.
fn parse_number(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `rxe10` comes after `rxe9`.
fn by_number(name: &str) -> (&str, usize, &str) {
    (name.trim_end_matches(|c: char| c.is_ascii_digit()), name.len(), name)
}

fn by_name(targets: &[Target], wanted: &str) -> Result<Target, ProbeError> {
    let named = targets.iter().find(|t| t.name == wanted);
    let named = named.or_else(|| targets.iter().find(|t| t.uverbs == wanted));
    named.cloned().ok_or_else(|| ProbeError::Unknown { wanted: wanted.into(), visible: visible(targets) })
}

/// A node may have any name: its numbers say whose it is.
fn by_path(targets: &[Target], path: &Path) -> Result<Target, ProbeError> {
    let shown = path.display().to_string();
    let status = fs::metadata(path)
        .map_err(|error| ProbeError::Unreadable { path: shown.clone(), error: error.to_string() })?;
    let number = (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
    let of_node = targets.iter().find(|t| t.number == number);
    let target = of_node.ok_or_else(|| ProbeError::ForeignNode { path: shown, visible: visible(targets) })?;
    Ok(Target { node: path.to_owned(), ..target.clone() })
}

fn visible(targets: &[Target]) -> Vec<String> {
    targets.iter().map(|t| format!("{} ({})", t.name, t.uverbs)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        let target = |name: &str, uverbs: &str, minor| Target {
            name: name.into(),
            uverbs: uverbs.into(),
            node: Path::new("/dev/infiniband").join(uverbs),
            number: (231, minor),
        };
        vec![target("rxe0", "uverbs1", 193), target("usnic_0", "uverbs0", 192)]
    }

    #[test]
    fn a_device_is_named_by_itself_or_by_its_node() {
        for wanted in ["usnic_0", "uverbs0"] {
            assert_eq!(by_name(&targets(), wanted).unwrap().name, "usnic_0");
        }
    }

    #[test]
    fn an_unknown_device_is_an_error_that_lists_those_there() {
        let error = by_name(&targets(), "rxe7").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no RDMA device 'rxe7' here; visible are: rxe0 (uverbs1), usnic_0 (uverbs0)"
        );
    }

    #[test]
    fn devices_are_in_the_order_of_their_numbers() {
        let mut names = ["rxe10", "usnic_0", "rxe9", "mlx5_1", "mlx5_0"];
        names.sort_by(|a, b| by_number(a).cmp(&by_number(b)));
        assert_eq!(names, ["mlx5_0", "mlx5_1", "rxe9", "rxe10", "usnic_0"]);
    }

    #[test]
    fn a_path_that_is_no_node_of_a_device_is_refused() {
        let error = by_path(&targets(), Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("/dev/null is the node of no RDMA device"), "{error}");
    }

    #[test]
    fn names_that_would_leave_their_folder_are_refused() {
        for bad in ["", "..", ".", "../x", "a/b", "a b", "a\n"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name("usnic_0") && is_name("mlx5_bond_0") && is_name("rocep1s0f0"));
    }
}
