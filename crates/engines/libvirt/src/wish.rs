//! What a domain says of NICs in its metadata: read, and written.

use std::str::FromStr;

use roxmltree::Node;

use super::NAMESPACE;
use super::edits::escape;
use nicdock_core::attach::Terms;
use nicdock_core::request::Profile;
use nicdock_core::request::{Memlock, NetdevMode, Netlink, NicRequest};

/// The NICs of a domain, and on which terms it has them.
#[derive(Clone, Debug)]
pub struct Wish {
    /// One for each element: each has addresses and a name of its own.
    pub nics: Vec<NicRequest>,
    pub memlock: Memlock,
    pub view: Profile,
    /// Capabilities and mounts are the domain's own affair.
    pub keep_privileges: bool,
    /// Protocols of netlink beyond the default ones.
    pub netlink: Vec<Netlink>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WishError {
    #[error("its metadata has an element of {0}: this nicdock knows {NAMESPACE}")]
    Version(String),
    #[error("its metadata has nicdock:{0}, which this nicdock does not know")]
    Element(String),
    #[error("nicdock:{element} in its metadata has an attribute {name}, which this nicdock does not know")]
    Attribute { element: String, name: String },
    #[error("nicdock:{element} in its metadata says {name}=\"{value}\": {reason}")]
    Value { element: String, name: String, value: String, reason: String },
    #[error("nicdock:nic in its metadata does not say which NIC: it needs select=\"…\"")]
    NoSelector,
    #[error("nicdock:nics in its metadata names no NIC")]
    Empty,
}

/// Seconds that a link may take unless the domain says how many, and the most that it may: libvirtd answers nobody for as long as a hook
/// takes, and virsh gives up after 30 (`keepalive_interval` in libvirtd.conf).
pub const LINK_TIMEOUT: u32 = 20;

/// Of every version: one that is not known is refused, not passed over.
pub const EVERY_VERSION: &str = "https://nicdock.dev/libvirt/";

/// nicdock's elements in a domain's metadata.
pub fn elements<'a, 'd>(domain: Node<'a, 'd>) -> impl Iterator<Item = Node<'a, 'd>> {
    let metadata = domain.children().filter(|node| node.has_tag_name("metadata"));
    metadata.flat_map(|node| node.children()).filter(|node| {
        let namespace = node.tag_name().namespace().unwrap_or_default();
        node.is_element() && namespace.starts_with(EVERY_VERSION)
    })
}

impl Wish {
    /// From `nicdock:nics`.
    pub fn read(nics: Node<'_, '_>) -> Result<Self, WishError> {
        check(nics, "nics", &["memlock", "view", "keep-privileges", "allow-netlink"])?;
        let view = |text: &str| match text {
            "nic" => Ok(Profile::Nic),
            "off" => Ok(Profile::Off),
            _ => Err("expected nic or off".to_owned()),
        };
        let wish = Self {
            nics: nics.children().filter(Node::is_element).map(nic).collect::<Result<_, _>>()?,
            memlock: one(nics, "memlock", Memlock::from_str)?.unwrap_or(Memlock::Unlimited),
            view: one(nics, "view", view)?.unwrap_or(Profile::Nic),
            keep_privileges: flag(nics, "keep-privileges")?,
            netlink: one(nics, "allow-netlink", Netlink::from_str)?.into_iter().collect(),
        };
        if wish.nics.is_empty() { Err(WishError::Empty) } else { Ok(wish) }
    }

    /// The lines of the element.
    pub fn xml(&self) -> Vec<String> {
        let mut open = format!("<nicdock:nics xmlns:nicdock=\"{NAMESPACE}\"");
        let mut say = |name: &str, value: &str| {
            open.extend([" ", name, "=\"", &escape(value), "\""]);
        };
        if let Memlock::Bytes(bytes) = self.memlock {
            say("memlock", &bytes.to_string());
        }
        if self.view == Profile::Off {
            say("view", "off");
        }
        if self.keep_privileges {
            say("keep-privileges", "yes");
        }
        // There is one that can be allowed.
        self.netlink.first().iter().for_each(|protocol| say("allow-netlink", protocol.name()));
        let nics = self.nics.iter().map(|nic| format!("  {}", element(nic)));
        std::iter::once(open + ">").chain(nics).chain(["</nicdock:nics>".to_owned()]).collect()
    }

    /// As they were asked for.
    pub fn named(&self) -> String {
        let selectors = self.nics.iter().flat_map(|nic| &nic.selectors);
        selectors.map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }

    pub fn terms(&self) -> Terms {
        // The gate's filter refuses it in any case.
        Terms::of_start("libvirt", self.view, false, self.keep_privileges, self.netlink.clone(), self.memlock)
    }
}

fn nic(node: Node<'_, '_>) -> Result<NicRequest, WishError> {
    let known =
        ["select", "ip", "as", "netdev", "umad", "rdma-cm", "take-in-use", "link-timeout", "no-link-wait"];
    check(node, "nic", &known)?;
    let seconds = |text: &str| match text.parse() {
        Ok(seconds @ ..=LINK_TIMEOUT) => Ok(seconds),
        _ => Err(format!("expected at most {LINK_TIMEOUT} seconds, for virsh gives up after 30")),
    };
    let link_timeout = one(node, "link-timeout", seconds)?.unwrap_or(LINK_TIMEOUT);
    let addresses = node.attribute("ip").into_iter().flat_map(str::split_whitespace);
    Ok(NicRequest {
        selectors: vec![one(node, "select", FromStr::from_str)?.ok_or(WishError::NoSelector)?],
        addresses: addresses
            .map(|text| text.parse().map_err(|error| bad(node, "ip", text, &error)))
            .collect::<Result<_, _>>()?,
        netdev_name: node.attribute("as").map(str::to_owned),
        netdev: one(node, "netdev", NetdevMode::from_str)?.unwrap_or(NetdevMode::Move),
        take_in_use: flag(node, "take-in-use")?,
        umad: flag(node, "umad")?,
        rdma_cm: flag(node, "rdma-cm")?,
        link_timeout: (!flag(node, "no-link-wait")?).then_some(link_timeout),
    })
}

fn element(nic: &NicRequest) -> String {
    let mut element = "<nicdock:nic".to_owned();
    let mut say = |name: &str, value: &str| {
        element.extend([" ", name, "=\"", &escape(value), "\""]);
    };
    let all = |texts: Vec<String>| texts.join(" ");
    say("select", &all(nic.selectors.iter().map(ToString::to_string).collect()));
    if !nic.addresses.is_empty() {
        say("ip", &all(nic.addresses.iter().map(ToString::to_string).collect()));
    }
    nic.netdev_name.iter().for_each(|name| say("as", name));
    if nic.netdev == NetdevMode::Keep {
        say("netdev", "keep");
    }
    if let Some(seconds) = nic.link_timeout.filter(|seconds| *seconds != LINK_TIMEOUT) {
        say("link-timeout", &seconds.to_string());
    }
    let flags = [
        (nic.umad, "umad"),
        (nic.rdma_cm, "rdma-cm"),
        (nic.take_in_use, "take-in-use"),
        (nic.link_timeout.is_none(), "no-link-wait"),
    ];
    for (given, name) in flags {
        if given {
            say(name, "yes");
        }
    }
    element + "/>"
}

/// It is of this version and has nothing that would be passed over.
fn check(node: Node<'_, '_>, name: &str, attributes: &[&str]) -> Result<(), WishError> {
    let namespace = node.tag_name().namespace().unwrap_or_default();
    if namespace != NAMESPACE {
        return Err(WishError::Version(namespace.to_owned()));
    }
    if node.tag_name().name() != name {
        return Err(WishError::Element(node.tag_name().name().to_owned()));
    }
    let mut given = node.attributes();
    match given.find(|given| given.namespace().is_some() || !attributes.contains(&given.name())) {
        None => Ok(()),
        Some(given) => Err(WishError::Attribute { element: name.to_owned(), name: given.name().to_owned() }),
    }
}

fn bad(node: Node<'_, '_>, name: &str, value: &str, reason: &dyn std::fmt::Display) -> WishError {
    WishError::Value {
        element: node.tag_name().name().to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
        reason: reason.to_string(),
    }
}

fn one<T, E: std::fmt::Display>(
    node: Node<'_, '_>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, WishError> {
    let Some(value) = node.attribute(name) else { return Ok(None) };
    parse(value).map(Some).map_err(|error| bad(node, name, value, &error))
}

fn flag(node: Node<'_, '_>, name: &str) -> Result<bool, WishError> {
    let parse = |text: &str| match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no"),
    };
    Ok(one(node, name, parse)?.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    fn read(inner: &str) -> Result<Wish, WishError> {
        let text = format!("<domain><metadata>{inner}</metadata></domain>");
        let document = Document::parse(&text).unwrap();
        Wish::read(elements(document.root_element()).next().unwrap())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = format!(
            "<n:nics xmlns:n='{NAMESPACE}' memlock='64M' view='off' allow-netlink='generic'><n:nic select='kind=roce,any' ip='10.1.1.2/24 fd00::1/64' as='fab0' \
             rdma-cm='yes'/><n:nic select='rxe1' netdev='keep' link-timeout='5'/>\
             <n:nic select='rxe2' no-link-wait='yes'/></n:nics>"
        );
        let wish = read(&text).unwrap();
        assert_eq!((wish.memlock, wish.view), (Memlock::Bytes(64 << 20), Profile::Off));
        assert_eq!(wish.netlink, [Netlink::Generic]);
        assert_eq!((wish.nics.len(), wish.nics[0].addresses.len()), (3, 2));
        let timeouts: Vec<Option<u32>> = wish.nics.iter().map(|nic| nic.link_timeout).collect();
        assert_eq!(timeouts, [Some(LINK_TIMEOUT), Some(5), None]);
        assert!(wish.nics[0].rdma_cm && wish.nics[1].netdev == NetdevMode::Keep);
        let again = read(&wish.xml().join("\n")).unwrap();
        assert_eq!(again.xml(), wish.xml());
    }

    #[test]
    fn what_is_not_known_is_refused_and_not_passed_over() {
        let nics =
            |inner: &str| read(&format!("<n:nics xmlns:n='{NAMESPACE}'>{inner}</n:nics>")).unwrap_err();
        assert_eq!(nics(""), WishError::Empty);
        assert_eq!(nics("<n:nic/>"), WishError::NoSelector);
        assert!(matches!(nics("<n:nic select='a' mtu='9000'/>"), WishError::Attribute { .. }));
        assert!(matches!(nics("<n:nic select='a' umad='1'/>"), WishError::Value { .. }));
        assert!(matches!(nics("<n:nic select='a' ip='10.1.1.2'/>"), WishError::Value { .. }));
        assert!(matches!(nics("<n:nic select='a' link-timeout='21'/>"), WishError::Value { .. }));
        assert!(matches!(nics("<nic select='a'/>"), WishError::Version(_)));
        let later = read("<n:nics xmlns:n='https://nicdock.dev/libvirt/2'/>").unwrap_err();
        assert!(later.to_string().contains("libvirt/2"));
    }
}
