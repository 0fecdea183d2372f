//! What is foreign and what is the container's own: told by the parent, or learned here.

mod learned;

pub use learned::{interfaces_by_index, learn};

use serde::{Deserialize, Serialize};

use crate::weakness::Weakness;

/// Everything that the audit looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Version of this format: 1.
    pub schema: u32,
    /// What must not be found or reached.
    pub foreign: Things,
    /// What the container was given; a word that is here too never counts as foreign.
    pub own: Things,
    /// `shared` or `exclusive`; `None` where no RDMA core is loaded.
    #[serde(default)]
    pub rdma_netns: Option<String>,
    /// The netdevs that nicdock gave it, as they are called inside; `None` where no lease tells.
    #[serde(default)]
    pub given: Option<Vec<String>>,
    /// Network protocol families beyond those of every container that it may use (`socket(2)`).
    #[serde(default)]
    pub allowed_families: Vec<u64>,
    /// What was chosen to be open.
    #[serde(default)]
    pub weaknesses: Vec<Weakness>,
    /// The kernel's file systems without a device (proc_filesystems(5)), as the host sees them; `None` where nobody told.
    #[serde(default)]
    pub filesystems: Option<Vec<String>>,
    /// The system calls that the kernel has and that the container's profile refuses; none where that is not nicdock's.
    #[serde(default)]
    pub refused_calls: Vec<SystemCall>,
    /// Where nicdock keeps its state on the host; `None` where nobody told.
    #[serde(default)]
    pub state: Option<Folder>,
    /// Nobody told: this was learned from what is visible here.
    #[serde(default)]
    pub learned: bool,
}

/// Names and numbers of NICs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Things {
    pub netdevs: Vec<String>,
    pub rdma_devices: Vec<String>,
    pub nodes: Vec<Node>,
    /// MAC, IP and GID addresses as text.
    pub addresses: Vec<String>,
    /// `0000:01:00.0`; the own ones with the bridges above them.
    pub pci: Vec<String>,
    /// GUIDs, board and serial numbers.
    pub serials: Vec<String>,
}

/// A folder of a file system, as proc_pid_mountinfo(5) names it whatever it is mounted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// `MAJOR:MINOR` of the file system.
    pub device: String,
    /// Its path from the file system's root.
    pub root: String,
}

impl Folder {
    /// Whether a line of mountinfo shows this folder or one in it.
    pub fn is_shown_by(&self, line: &str) -> bool {
        let mut fields = line.split(' ').skip(2);
        let (device, root) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let below = root.strip_prefix(&self.root);
        device == self.device && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A system call of the native entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCall {
    pub name: String,
    pub number: u32,
}

/// A character device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `uverbs3`
    pub name: String,
    pub major: u32,
    pub minor: u32,
}

impl Target {
    /// Reads what the parent wrote.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let target: Self = serde_json::from_slice(text).map_err(|e| format!("not a target: {e}"))?;
        if target.schema == 1 {
            Ok(target)
        } else {
            Err(format!("a target of schema {}, and this program knows 1", target.schema))
        }
    }

    /// Whether there is nothing to look for.
    pub fn knows_nothing_foreign(&self) -> bool {
        self.foreign == Things::default()
    }

    /// The names of foreign netdevs and RDMA devices.
    pub fn foreign_names(&self) -> impl Iterator<Item = &String> {
        // Every network namespace has a loopback interface of its own.
        let own = |name: &&String| {
            *name != "lo" && !self.own.netdevs.contains(name) && !self.own.rdma_devices.contains(name)
        };
        self.foreign.netdevs.iter().chain(&self.foreign.rdma_devices).filter(own)
    }

    /// The foreign ones among `names`, as evidence.
    pub fn foreign_among<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        let foreign: Vec<&String> = self.foreign_names().chain(&self.foreign.pci).collect();
        let is_own = |name: &String| self.own.pci.contains(name);
        names.into_iter().filter(|name| foreign.contains(name) && !is_own(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_the_containers_own_too_is_not_foreign() {
        let things = |names: &[&str]| Things {
            netdevs: names.iter().map(ToString::to_string).collect(),
            ..Things::default()
        };
        let target = Target {
            schema: 1,
            foreign: things(&["eth0", "eth1"]),
            own: things(&["eth0"]),
            ..Target::default()
        };
        assert_eq!(target.foreign_names().collect::<Vec<_>>(), ["eth1"]);
    }

    #[test]
    fn a_folder_is_known_by_its_place_and_not_by_a_word() {
        let state = Folder { device: "0:25".into(), root: "/nicdock".into() };
        let shows = |device: &str, root: &str| {
            state.is_shown_by(&format!("36 35 {device} {root} /mnt rw - tmpfs tmpfs rw"))
        };
        assert!(shows("0:25", "/nicdock") && shows("0:25", "/nicdock/leases"));
        // A user's clone of that name, and a folder beside it.
        assert!(
            !shows("8:1", "/nicdock/target") && !shows("0:25", "/nicdock-tests") && !state.is_shown_by("")
        );
    }

    #[test]
    fn a_target_of_another_schema_is_refused() {
        assert!(Target::parse(br#"{"schema": 2, "foreign": {}, "own": {}}"#).is_err());
        assert!(Target::parse(br#"{"schema": 1, "foreign": {}, "own": {}}"#).is_ok());
    }
}
