//! The options of a request as annotations of a container: `nicdock.io/ip=10.1.1.2/24`. They refine what is given, and never select a NIC.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use nicdock_audit::weakness::Weakness;
use nicdock_core::plan::{GIDS, of_netlink, of_nodes, of_view};
use nicdock_core::request::{LINK_TIMEOUT, Memlock, NetdevMode, Netlink, NicRequest, Profile, Selector};
use oci_spec::runtime::Spec;

use crate::spec::{devices, fabric_node};

pub const PREFIX: &str = "nicdock.io/";
/// By name, and what each says; `nicdock oci --help` has them.
pub const NAMES: [(&str, &str); 9] = [
    ("ip", "addresses inside, with commas: 10.1.1.2/24"),
    ("ifname", "the netdev's name inside"),
    ("netdev", "move or keep"),
    ("umad", "true: the umad and issm nodes, too"),
    ("rdma-cm", "true: the rdma_cm node, too"),
    ("link-timeout", "seconds that its link may take; 0 does not wait"),
    ("memlock", "memory that it may lock: unlimited, 64M"),
    ("view", "nic or off: what it is shown of /sys"),
    ("allow-netlink", "generic"),
];

/// Those that a variable of the environment may say, too: `NICDOCK_IP` for `nicdock.io/ip`. Images bring variables, so none of them shows a container more than [`Options::check`] lets it.
const BY_ENVIRONMENT: [&str; 5] = ["ip", "ifname", "netdev", "link-timeout", "memlock"];

/// A container's annotations, with what its environment says where they do not: engines without annotations have no other way.
pub fn with_environment(spec: &Spec) -> HashMap<String, String> {
    let mut all = spec.annotations().clone().unwrap_or_default();
    let variables = spec.process().as_ref().and_then(|process| process.env().as_ref());
    for variable in variables.into_iter().flatten() {
        let Some((name, value)) = variable.strip_prefix("NICDOCK_").and_then(|text| text.split_once('='))
        else {
            continue;
        };
        let name = name.to_ascii_lowercase().replace('_', "-");
        if BY_ENVIRONMENT.contains(&&*name) {
            all.entry(format!("{PREFIX}{name}")).or_insert_with(|| value.to_owned());
        }
    }
    all
}

/// Options that are said by nodes beside a NIC's own: the one for addresses, and those for management. Only who starts a container names devices.
pub fn named_by_nodes(spec: &Spec) -> impl Iterator<Item = &'static str> {
    devices(spec).filter_map(|device| match fabric_node(device.path())? {
        "rdma_cm" => Some("rdma-cm"),
        name if name.starts_with("umad") || name.starts_with("issm") => Some("umad"),
        _ => None,
    })
}

/// What the annotations say.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    request: NicRequest,
    pub memlock: Memlock,
    pub view: Profile,
    pub netlink: Vec<Netlink>,
}

#[derive(Debug, thiserror::Error)]
pub enum AnnotationError {
    #[error("annotation {PREFIX}{0}: there is none of this name; there are {names}", names = names())]
    Unknown(String),
    #[error("annotation {PREFIX}{name}={value}: {why}")]
    Value { name: String, value: String, why: String },
    #[error(
        "annotation {PREFIX}{option} opens more than the NIC, and an image could have brought it: accept \"{id}\" in {file} ([accept] weaknesses), or leave \
         the option out", file = crate::accepted::FILE
    )]
    Opens { id: String, option: &'static str },
}

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl Options {
    /// Others' annotations are passed by.
    pub fn of(annotations: &HashMap<String, String>) -> Result<Self, AnnotationError> {
        let mut this = Self {
            request: NicRequest { link_timeout: Some(LINK_TIMEOUT), ..NicRequest::of(Vec::new()) },
            memlock: Memlock::Unlimited,
            view: Profile::Nic,
            netlink: Vec::new(),
        };
        let mut ours: Vec<(&str, &str)> = annotations
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, &**value)))
            .collect();
        ours.sort_unstable();
        for (name, value) in ours {
            this.set(name, value)?;
        }
        Ok(this)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), AnnotationError> {
        let wrong =
            |why: String| AnnotationError::Value { name: name.to_owned(), value: value.to_owned(), why };
        let request = &mut self.request;
        match name {
            "ip" => request.addresses = list(value).map_err(wrong)?,
            "ifname" => request.netdev_name = Some(value.to_owned()),
            "netdev" => request.netdev = parsed::<NetdevMode>(value).map_err(wrong)?,
            "umad" => request.umad = parsed(value).map_err(wrong)?,
            "rdma-cm" => request.rdma_cm = parsed(value).map_err(wrong)?,
            "link-timeout" => {
                let seconds: u32 = parsed(value).map_err(wrong)?;
                request.link_timeout = (seconds > 0).then_some(seconds);
            }
            "memlock" => self.memlock = parsed(value).map_err(wrong)?,
            "view" => {
                self.view = match value {
                    "nic" => Profile::Nic,
                    "off" => Profile::Off,
                    _ => return Err(wrong("it is nic or off".to_owned())),
                }
            }
            "allow-netlink" => self.netlink = list(value).map_err(wrong)?,
            _ => return Err(AnnotationError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    /// The weaknesses that they bring, each with the option that does.
    fn opens(&self) -> Vec<(String, &'static str)> {
        let request = &self.request;
        let of = |found: Vec<Weakness>, option| found.into_iter().map(move |one| (one.id, option));
        let keeps = request.netdev == NetdevMode::Keep;
        of(of_view(self.view), "view")
            .chain(keeps.then(|| (GIDS.to_owned(), "netdev")))
            .chain(of(of_nodes(request.umad, false).collect(), "umad"))
            .chain(of(of_nodes(false, request.rdma_cm).collect(), "rdma-cm"))
            .chain(of(of_netlink(&self.netlink).collect(), "allow-netlink"))
            .collect()
    }

    /// Refuses options that show or reach more than the NIC and are not `accepted`. Who wrote them is not known: Podman copies the annotations of an
    /// image's manifest (`CompleteSpec()`, pkg/specgen/generate/container.go). Those `named` otherwise, by a device, are the user's own.
    pub fn check(&self, named: &[&str], accepted: &BTreeSet<String>) -> Result<(), AnnotationError> {
        let mut opens = self.opens().into_iter();
        let refused = opens.find(|(id, option)| !accepted.contains(id) && !named.contains(option));
        refused.map_or(Ok(()), |(id, option)| Err(AnnotationError::Opens { id, option }))
    }

    /// One for each selector.
    pub fn requests(&self, selectors: Vec<Selector>) -> Vec<NicRequest> {
        let one = |selector| NicRequest { selectors: vec![selector], ..self.request.clone() };
        selectors.into_iter().map(one).collect()
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error: T::Err| error.to_string())
}

fn list<T: FromStr<Err: std::fmt::Display>>(value: &str) -> Result<Vec<T>, String> {
    value.split(',').map(|part| parsed(part.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Options, AnnotationError> {
        Options::of(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn every_name_that_is_documented_is_read() {
        let values =
            ["10.1.1.2/24, fd00::2/64", "fab0", "keep", "true", "true", "0", "64M", "off", "generic"];
        for ((name, _), value) in NAMES.into_iter().zip(values) {
            let options = of(&[(&format!("{PREFIX}{name}"), value)]).unwrap();
            assert_ne!(options, of(&[]).unwrap(), "{name}");
        }
    }

    #[test]
    fn the_environment_refines_and_never_shows_more() {
        let spec: Spec = serde_json::from_value(serde_json::json!({
            "ociVersion": "1.0.2",
            "annotations": { "nicdock.io/ifname": "fab0" },
            "process": { "user": { "uid": 0, "gid": 0 }, "args": ["sh"], "cwd": "/",
                "env": ["PATH=/bin", "NICDOCK_IP=10.1.1.2/24", "NICDOCK_IFNAME=x", "NICDOCK_LINK_TIMEOUT=0",
                    "NICDOCK_VIEW=off", "NICDOCK_UMAD=true", "NICDOCK_NIC=rxe0", "NICDOCK_ALLOW_NETLINK=generic"] },
        }))
        .unwrap();
        let mut all: Vec<(String, String)> = with_environment(&spec).into_iter().collect();
        all.sort();
        let wanted = [("ifname", "fab0"), ("ip", "10.1.1.2/24"), ("link-timeout", "0")];
        assert_eq!(all, wanted.map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned())));
    }

    #[test]
    fn what_opens_more_than_the_nic_is_accepted_or_named_by_a_device() {
        let nobody = BTreeSet::new();
        for (name, value, id) in [
            ("view", "off", "view.off"),
            ("netdev", "keep", "gids"),
            ("umad", "true", "umad"),
            ("rdma-cm", "true", "rdma_cm"),
            ("allow-netlink", "generic", "netlink.generic"),
        ] {
            let options = of(&[(&format!("{PREFIX}{name}"), value)]).unwrap();
            let said = options.check(&[], &nobody).unwrap_err().to_string();
            assert!(said.contains(&format!("\"{id}\"")), "{said}");
            assert!(options.check(&[], &BTreeSet::from([id.to_owned()])).is_ok(), "{id}");
            assert!(options.check(&[name], &nobody).is_ok(), "{name}");
        }
        let harmless = of(&[
            ("nicdock.io/ip", "10.1.1.2/24"),
            ("nicdock.io/netdev", "move"),
            ("nicdock.io/view", "nic"),
        ]);
        assert!(harmless.unwrap().check(&[], &nobody).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_and_others_annotations_are_passed_by() {
        assert_eq!(of(&[("io.podman.annotations.x", "y"), ("nicdock", "z")]).unwrap(), of(&[]).unwrap());
        for (name, value, part) in [
            ("nicdock.io/address", "10.1.1.2/24", "there are ip, ifname"),
            ("nicdock.io/ip", "10.1.1.2", "10.1.1.2"),
            ("nicdock.io/umad", "yes", "true"),
            ("nicdock.io/view", "open", "nic or off"),
            ("nicdock.io/allow-netlink", "rdma", "generic"),
            ("nicdock.io/nic", "rxe1", "none of this name"),
        ] {
            let said = of(&[(name, value)]).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}
