//! Finds which NICs a container asks for by their nodes (`--device /dev/infiniband/uverbs0`).

use std::collections::BTreeMap;
use std::path::Path;

use nicdock_core::kind::Kind;
use nicdock_core::node::NodeError;
use nicdock_core::request::Selector;
use nicdock_host::model::{Host, Nic, NicKind, Node};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use serde_json::Value;

use super::text;
use crate::spec::{devices, fabric_node};

/// `IB_UVERBS_MAJOR`, and the first and last of `IB_UVERBS_BASE_MINOR` (drivers/infiniband/core/uverbs_main.c); further nodes have numbers as they come.
const MAJOR: i64 = 231;
const MINORS: std::ops::Range<i64> = 192..224;

/// Nodes of RDMA devices, by their path or, where the engine was told another path inside, by their number.
pub fn of(spec: &Spec) -> Vec<&LinuxDevice> {
    let is_one = |device: &&LinuxDevice| {
        let by_number = device.major() == MAJOR && MINORS.contains(&device.minor());
        by_number && is_character(device)
            || fabric_node(device.path()).is_some_and(|name| name.starts_with("uverbs"))
    };
    devices(spec).filter(is_one).collect()
}

fn is_character(device: &LinuxDevice) -> bool {
    matches!(device.typ(), LinuxDeviceType::C | LinuxDeviceType::U)
}

/// Errors: the container may use every device (`--privileged`), which asks for no NIC and closes nothing.
pub fn check_not_all(spec: &Spec) -> Result<(), NodeError> {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let mut rules = resources.and_then(|resources| resources.devices().as_ref()).into_iter().flatten();
    let is_all = rules.any(|rule| {
        let any_type = matches!(rule.typ(), None | Some(LinuxDeviceType::A));
        // -1 is any number to runtimes.
        let any = |number: Option<i64>| number.is_none_or(|number| number < 0);
        rule.allow() && any_type && any(rule.major()) && any(rule.minor())
    });
    if !is_all {
        return Ok(());
    }
    let why = "the container may use every device of the host: leave --privileged away, or start it with --runtime runc, without a NIC of nicdock's";
    Err(NodeError::refused(Kind::NotClosed, why))
}

/// The NICs that the nodes belong to, each once.
///
/// Errors: a node is no NIC's, or has another NIC's number or another path inside than on the host.
pub fn nics<'a>(host: &'a Host, asked: &[&LinuxDevice]) -> Result<Vec<&'a Nic>, NodeError> {
    let mut found: BTreeMap<&str, &Nic> = BTreeMap::new();
    for device in asked {
        let path = device.path().display();
        let wrong = |kind: Kind, why: String| NodeError::refused(kind, format!("device {path}: {why}"));
        let numbers = (device.major(), device.minor());
        let of_path = nodes(host).find(|(_, node)| Path::new(&node.path) == device.path());
        let of_number = nodes(host).find(|(_, node)| {
            (i64::from(node.major), i64::from(node.minor)) == numbers && is_character(device)
        });
        let nic = match (of_path, of_number) {
            (Some((nic, _)), Some((other, _))) if nic.name == other.name => nic,
            (_, Some((nic, node))) => {
                let why = format!(
                    "its number {}:{} is that of {}, of {}",
                    numbers.0, numbers.1, node.path, nic.name
                );
                return Err(wrong(Kind::BadInput, format!("{why}; a node has the same path inside")));
            }
            (Some((nic, node)), None) => {
                let why =
                    format!("{} of {} has the number {}:{} now", node.path, nic.name, node.major, node.minor);
                return Err(wrong(
                    Kind::BadInput,
                    format!("its number is {}:{}, and {why}", numbers.0, numbers.1),
                ));
            }
            (None, None) => {
                return Err(wrong(Kind::NoMatch, "no NIC has this node: see nicdock ls".to_owned()));
            }
        };
        found.insert(&nic.name, nic);
    }
    Ok(found.into_values().collect())
}

fn nodes(host: &Host) -> impl Iterator<Item = (&Nic, &Node)> {
    host.nics.iter().flat_map(|nic| {
        nic.rdma_devices.iter().filter_map(move |device| Some((nic, device.uverbs.as_ref()?)))
    })
}

/// The NIC by its name.
pub fn selector(nic: &Nic) -> Result<Selector, NodeError> {
    // The count keeps a name that begins like one from being read so.
    let read: Option<Selector> = format!("1x{}", nic.name).parse().ok();
    let is_name = |one: &Selector| one.terms.len() == 1 && one.names().eq([&*nic.name]);
    if let Some(selector) = read.filter(is_name) {
        return Ok(selector);
    }
    let why = format!("{}: a NIC of this name cannot be asked for by its node", nic.name);
    Err(NodeError::refused(Kind::Unsupported, why))
}

/// A soft device is made anew inside, with another number; its old one may be somebody else's by then. So the engine neither makes its node nor allows it.
pub fn leave_out_soft(config: &mut Value, host: &Host, spec: &Spec) -> Result<(), NodeError> {
    let is_soft = |nic: &Nic| matches!(nic.kind, NicKind::SoftRoce | NicKind::SoftIwarp);
    let soft: Vec<(i64, i64)> = nodes(host)
        .filter(|(nic, _)| is_soft(nic))
        .map(|(_, node)| (node.major.into(), node.minor.into()))
        .filter(|numbers| of(spec).iter().any(|device| (device.major(), device.minor()) == *numbers))
        .collect();
    if soft.is_empty() {
        return Ok(());
    }
    let is_kept = |one: &Value| {
        let numbers = one["major"].as_i64().zip(one["minor"].as_i64());
        one["type"] != "c" || numbers.is_none_or(|numbers| !soft.contains(&numbers))
    };
    for way in [&["linux", "devices"][..], &["linux", "resources", "devices"]] {
        text::list(config, way)?.retain(is_kept);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nicdock_host::constructed::hosts;
    use nicdock_host::inventory;
    use serde_json::json;

    fn spec(devices: &Value, rules: &Value) -> Spec {
        serde_json::from_value(json!({ "ociVersion": "1.0.2", "linux": { "devices": devices, "resources": { "devices": rules } } }))
            .unwrap()
    }

    fn device(path: &str, (major, minor): (u32, u32)) -> Value {
        json!({ "path": path, "type": "c", "major": major, "minor": minor })
    }

    #[test]
    fn a_node_is_held_against_the_nic_that_has_it() {
        let host = inventory::read(&hosts::infiniband_8().capture()).unwrap();
        let of_nic = |at: usize| {
            let (nic, node) = nodes(&host).nth(at).unwrap();
            (nic.name.clone(), node.path.clone(), (node.major, node.minor))
        };
        let ((first, path, numbers), (_, other, others)) = (of_nic(0), of_nic(1));
        let found = |devices: Value| {
            let spec = spec(&devices, &json!([]));
            nics(&host, &of(&spec)).map(|list| list.iter().map(|nic| nic.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(found(json!([device(&path, numbers), device("/dev/fuse", (10, 229))])).unwrap(), [first]);
        assert_eq!(found(json!([device(&path, numbers), device(&other, others)])).unwrap().len(), 2);
        assert_eq!(found(json!([])).unwrap().len(), 0);
        for (devices, part) in [
            (json!([device(&path, others)]), "is that of"),
            (json!([device("/dev/foo", (231, 192))]), "same path inside"),
            (json!([device(&path, (511, 7))]), "now"),
            (json!([device("/dev/infiniband/uverbs99", (511, 7))]), "no NIC has this node"),
        ] {
            let said = found(devices.clone()).unwrap_err().to_string();
            assert!(said.contains(part), "{devices}: {said}");
        }
    }

    #[test]
    fn what_every_device_is_allowed_to_is_refused() {
        let rule = |text: Value| {
            check_not_all(&spec(&json!([]), &json!([{ "allow": false, "access": "rwm" }, text])))
        };
        assert!(rule(json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm" })).is_ok());
        assert!(rule(json!({ "allow": true, "type": "c", "access": "m" })).is_ok());
        for all in [
            json!({ "allow": true, "access": "rwm" }),
            json!({ "allow": true, "type": "a", "major": -1, "minor": -1, "access": "rwm" }),
        ] {
            assert!(rule(all).unwrap_err().to_string().contains("--privileged"));
        }
    }

    #[test]
    fn other_nodes_are_options() {
        let spec = spec(
            &json!([
                device("/dev/infiniband/rdma_cm", (10, 59)),
                device("/dev/infiniband/umad0", (231, 0)),
                device("/dev/null", (1, 3))
            ]),
            &json!([]),
        );
        let named: Vec<&str> = crate::annotations::named_by_nodes(&spec).collect();
        assert_eq!(named, ["rdma-cm", "umad"]);
        assert!(of(&spec).is_empty());
    }
}
