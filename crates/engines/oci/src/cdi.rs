//! CDI devices: a JSON file that Podman, Docker and containerd read, by which `--device nicdock.io/nic=NAME` is a NIC
//! (Container Device Interface, SPEC.md).

mod file;

pub use file::{Change, FOLDER, file, install, remove};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nicdock_host::model::{Host, Nic, NicKind};
use serde::Serialize;

use crate::hook;

/// Names may begin with a digit since this version (SPEC.md, "Released versions").
const VERSION: &str = "0.5.0";
const KIND: &str = "nicdock.io/nic";
/// Any NIC.
const ANY: &str = "any";

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    cdi_version: &'static str,
    kind: &'static str,
    devices: Vec<Device>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    container_edits: Edits,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Edits {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    device_nodes: Vec<Node>,
    hooks: Vec<Hook>,
}

/// By path alone: its number may be another device's by the time a container is made.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Node {
    path: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // The specification's names
struct Hook {
    hook_name: &'static str,
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: u32,
}

/// A specification, and names that CDI cannot spell.
#[derive(Debug, PartialEq, Eq)]
pub struct Devices {
    pub spec: Spec,
    pub left_out: BTreeSet<String>,
}

/// Each NIC by every name that a user would try, each kind by its name, and any. `program` is nicdock's path.
pub fn devices(host: &Host, program: &Path) -> Devices {
    let program = &*program.to_string_lossy();
    let mut by_name: BTreeMap<String, (Vec<Node>, String)> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for nic in &host.nics {
        by_name.insert(nic.kind.to_string(), (Vec::new(), format!("kind={},any", nic.kind)));
    }
    if !host.nics.is_empty() {
        by_name.insert(ANY.to_owned(), (Vec::new(), ANY.to_owned()));
    }
    for nic in &host.nics {
        for name in names(nic) {
            if !is_spelled(&name) {
                left_out.insert(name);
            } else if !by_name.contains_key(&name) {
                // Two NICs never share a name of the same sort; one of another sort stays the first's.
                by_name.insert(name.clone(), (nodes(nic), name));
            }
        }
    }
    let device = |(name, (device_nodes, selector)): (String, (Vec<Node>, String))| {
        let create = hook::CREATE.iter().map(|word| (*word).to_owned()).chain([selector]).collect();
        let stop = hook::STOP.iter().map(|word| (*word).to_owned()).collect();
        let hooks = vec![hook_of("createRuntime", program, create), hook_of("poststop", program, stop)];
        Device { name, container_edits: Edits { device_nodes, hooks } }
    };
    let devices = by_name.into_iter().map(device).collect();
    Devices { spec: Spec { cdi_version: VERSION, kind: KIND, devices }, left_out }
}

impl Spec {
    /// As the file has it.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().map(|device| &*device.name)
    }
}

/// Is it a file of these devices?
pub fn is_ours(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|value| value["kind"] == KIND)
}

fn hook_of(hook_name: &'static str, path: &str, args: Vec<String>) -> Hook {
    let args = ["nicdock".to_owned()].into_iter().chain(args).collect();
    let env = vec![hook::ENVIRONMENT.to_owned()];
    Hook { hook_name, path: path.to_owned(), args, env, timeout: hook::TIMEOUT }
}

fn names(nic: &Nic) -> impl Iterator<Item = String> {
    let rdma = nic.rdma_devices.iter().map(|device| device.name.clone());
    let netdevs = nic.netdevs.iter().map(|netdev| netdev.name.clone());
    let pci = nic.pci.map(|address| address.to_string());
    [nic.name.clone()].into_iter().chain(rdma).chain(netdevs).chain(pci)
}

/// The engine and systemd know these then, and keep them when they write the device cgroup anew. A soft device is made anew inside, with another number: its old one
/// may be somebody else's by then.
fn nodes(nic: &Nic) -> Vec<Node> {
    if matches!(nic.kind, NicKind::SoftRoce | NicKind::SoftIwarp) {
        return Vec::new();
    }
    let uverbs = nic.rdma_devices.iter().filter_map(|device| device.uverbs.as_ref());
    uverbs.map(|node| Node { path: node.path.clone() }).collect()
}

/// Letters and digits at both ends, and `_`, `-`, `.`, `:` between (SPEC.md, "CDI Spec", `devices[].name`).
fn is_spelled(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let between = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nicdock_host::constructed::{Machine, hosts};
    use nicdock_host::inventory;
    use serde_json::{Value, json};

    fn of(machine: Machine) -> Devices {
        let host = inventory::read(&machine.capture()).unwrap();
        devices(&host, Path::new("/usr/bin/nicdock"))
    }

    #[test]
    fn a_nic_has_a_device_by_each_name_and_a_kind_by_its_own() {
        let devices = of(hosts::infiniband_8());
        let names: BTreeSet<&str> = devices.spec.names().collect();
        for name in ["any", "ib", "mlx5_0", "ibp24s0", "0000:18:00.0"] {
            assert!(names.contains(name), "{name}: {names:?}");
        }
        let text: Value = serde_json::from_str(&devices.spec.text()).unwrap();
        assert_eq!((&text["cdiVersion"], &text["kind"]), (&json!("0.5.0"), &json!("nicdock.io/nic")));
        let all = text["devices"].as_array().unwrap();
        let device =
            |name: &str| all.iter().find(|device| device["name"] == name).unwrap()["containerEdits"].clone();
        let edits = device("mlx5_0");
        assert_eq!(edits["deviceNodes"], json!([{ "path": "/dev/infiniband/uverbs0" }]));
        let hooks = edits["hooks"].as_array().unwrap();
        assert_eq!(hooks[0]["hookName"], "createRuntime");
        assert_eq!(hooks[0]["args"], json!(["nicdock", "oci", "hook", "create", "--nic", "mlx5_0"]));
        assert_eq!(hooks[1]["hookName"], "poststop");
        // What a kind will be is not known ahead.
        assert_eq!(device("ib").get("deviceNodes"), None);
        assert_eq!(device("ib")["hooks"][0]["args"][5], "kind=ib,any");
    }

    #[test]
    fn names_that_cdi_cannot_spell_are_left_out() {
        for good in ["a", "0000:c1:00.0", "mlx5_0", "2x"] {
            assert!(is_spelled(good), "{good}");
        }
        for bad in ["", "a/b", "a b", "_a", "a_", "\u{e9}", "a@b"] {
            assert!(!is_spelled(bad), "{bad}");
        }
    }

    #[test]
    fn a_netdev_without_rdma_is_a_device_too() {
        let devices = of(hosts::none());
        let names: Vec<&str> = devices.spec.names().collect();
        assert!(names.contains(&"ethernet") && names.contains(&"any"), "{names:?}");
    }
}
