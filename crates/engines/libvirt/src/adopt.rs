//! NICs that a domain was given by hand, with `<hostdev mode='capabilities'>`, become nicdock's.

use nicdock_host::model::{Host, Nic};
use nicdock_netlink::name;
use roxmltree::Document;

use super::by_hand::{NODES, by_hand, child};
use super::domain::{DomainError, with};
use super::edits::Edits;
use super::wish::{LINK_TIMEOUT, Wish};
use nicdock_core::kind::Kind;
use nicdock_core::request::{NetdevMode, NicRequest};

/// A domain that was converted.
#[derive(Debug)]
pub struct Adopted {
    pub xml: String,
    pub wish: Wish,
    /// What the container has not had, or had too much of, in sentences.
    pub missing: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error(
        "it has no <hostdev mode='capabilities'> for a netdev or for a node of /dev/infiniband: nicdock libvirt edit gives it a NIC"
    )]
    Nothing,
    #[error(
        "it has NICs of nicdock's in its metadata already: write that of the <hostdev> there, too, and take the <hostdev> out (virsh edit)"
    )]
    Both,
    #[error(
        "it has only the connection manager's node (rdma_cm) by <hostdev>, and no NIC: nicdock libvirt edit --rdma-cm gives it both"
    )]
    OnlyRdmaCm,
    #[error("no NIC of this host has {0}: see nicdock ls (a domain that runs has its netdev: end it first)")]
    Unknown(String),
    #[error("its <hostdev> for {device} says address {text}, which is none: {reason}")]
    Address { device: String, text: String, reason: String },
}

impl AdoptError {
    pub fn kind(&self) -> Kind {
        if matches!(self, Self::Unknown(_)) { Kind::NoMatch } else { Kind::BadInput }
    }
}

/// Converts them. `terms` says everything but the NICs.
pub fn adopt(xml: &str, host: &Host, mut terms: Wish) -> Result<Adopted, AdoptError> {
    let document = Document::parse(xml).map_err(DomainError::from)?;
    let found = by_hand(document.root_element());
    if found.is_empty() {
        return Err(AdoptError::Nothing);
    }
    if super::wish::elements(document.root_element()).next().is_some() {
        return Err(AdoptError::Both);
    }
    let mut edits = Edits::new(xml);
    let mut taken: Vec<(&Nic, NicRequest)> = Vec::new();
    let mut missing = Vec::new();
    let mut rdma_cm = false;
    for (hostdev, device) in &found {
        edits.remove(*hostdev);
        if device.strip_prefix(NODES) == Some("rdma_cm") {
            rdma_cm = true;
            continue;
        }
        let node = device.strip_prefix(NODES);
        let has = |nic: &&Nic| match node {
            Some(node) => nic.nodes().any(|found| found.name() == node),
            None => nic.netdevs.iter().any(|netdev| netdev.name == name::canonical(device)),
        };
        let nic = host.nics.iter().find(has).ok_or_else(|| AdoptError::Unknown(device.clone()))?;
        let at = taken.iter().position(|(known, _)| known.key() == nic.key()).unwrap_or_else(|| {
            taken.push((nic, request(nic)));
            taken.len() - 1
        });
        let request = &mut taken[at].1;
        if let Some(node) = node {
            request.umad |= !node.starts_with("uverbs");
            missing.push(format!(
                "{device}: made for root alone (mode 0700), and every other NIC is seen in /sys"
            ));
            continue;
        }
        request.netdev = NetdevMode::Move;
        missing.push(format!(
            "{device}: moved without addresses, routes and link, and nobody makes it as it was afterwards"
        ));
        if child(*hostdev, "route").is_some() {
            missing.push(format!(
                "{device}: nobody sets the <route> that it names, and it is taken out: inside are the host's routes of the NIC"
            ));
        }
        for ip in hostdev.children().filter(|node| node.has_tag_name("ip")) {
            let part = |name: &str| ip.attribute(name).unwrap_or_default();
            let text = format!("{}/{}", part("address"), part("prefix"));
            let address = text.parse().map_err(|error: nicdock_core::request::ParseAddressError| {
                AdoptError::Address { device: device.clone(), text, reason: error.to_string() }
            })?;
            request.addresses.push(address);
            missing.push(format!(
                "{device}: libvirt's container driver does not set the address that <ip> names"
            ));
        }
    }
    if taken.is_empty() {
        return Err(AdoptError::OnlyRdmaCm);
    }
    for (nic, request) in &mut taken {
        request.rdma_cm = rdma_cm;
        if request.netdev == NetdevMode::Keep {
            missing.push(format!(
                "{}: the netdev stays on the host, as there was no <hostdev> for it",
                nic.name
            ));
        }
    }
    terms.nics = taken.into_iter().map(|(_, request)| request).collect();
    let xml = with(&edits.done(), &terms)?;
    Ok(Adopted { xml, wish: terms, missing })
}

/// The NIC by its name, with its netdev left where it is.
fn request(nic: &Nic) -> NicRequest {
    let selectors = nic.name.parse().into_iter().collect();
    NicRequest { netdev: NetdevMode::Keep, link_timeout: Some(LINK_TIMEOUT), ..NicRequest::of(selectors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nicdock_host::constructed::hosts::cisco_usnic;

    use crate::{Fresh, Said, fresh, said};
    use nicdock_core::request::Memlock;
    use nicdock_core::request::Profile;

    fn terms() -> Wish {
        let (memlock, view) = (Memlock::Unlimited, Profile::Nic);
        Wish { nics: Vec::new(), memlock, view, keep_privileges: false, netlink: Vec::new() }
    }

    /// Of a domain with these elements, on a host with `usnic_0`, which has enp6s0 and uverbs0, and another.
    fn adopted(hostdevs: &str) -> Result<Adopted, AdoptError> {
        let host = nicdock_host::inventory::read(&cisco_usnic().capture()).unwrap();
        let command = ["/bin/sh".to_owned()];
        let xml = fresh(&Fresh { name: "mpi", root: "/srv/mpi", memory_mib: 64, command: &command });
        adopt(&xml.replace("</devices>", &format!("{hostdevs}</devices>")), &host, terms())
    }

    fn node(name: &str) -> String {
        format!(
            "<hostdev mode='capabilities' type='misc'><source><char>/dev/infiniband/{name}</char></source></hostdev>"
        )
    }

    fn netdev(name: &str, more: &str) -> String {
        format!(
            "<hostdev mode='capabilities' type='net'><source><interface>{name}</interface></source>{more}</hostdev>"
        )
    }

    #[test]
    fn a_netdev_and_the_node_of_its_device_are_one_nic() {
        let more =
            "<ip address='10.1.1.2' prefix='24'/><route address='10.2.0.0' prefix='16' gateway='10.1.1.1'/>";
        let found = adopted(&(netdev("enp6s0", more) + &node("uverbs0") + &node("rdma_cm"))).unwrap();
        assert!(!found.xml.contains("hostdev"));
        let Said::Nics(domain) = said(&found.xml).unwrap() else { panic!("nothing is said") };
        let [nic] = &domain.wish.nics[..] else { panic!("{:?}", domain.wish.nics) };
        assert_eq!(nic.selectors[0].to_string(), "usnic_0");
        assert!(nic.rdma_cm && nic.netdev == NetdevMode::Move && nic.addresses.len() == 1);
        assert!(found.missing.iter().any(|line| line.contains("<route>")));
    }

    #[test]
    fn a_node_alone_leaves_the_netdev_where_it_is() {
        let found = adopted(&node("uverbs0")).unwrap();
        assert_eq!(found.wish.nics[0].netdev, NetdevMode::Keep);
        assert!(found.missing.iter().any(|line| line.contains("stays on the host")));
    }

    #[test]
    fn what_cannot_be_converted_is_said() {
        assert!(matches!(adopted(""), Err(AdoptError::Nothing)));
        assert!(matches!(adopted(&node("rdma_cm")), Err(AdoptError::OnlyRdmaCm)));
        assert!(matches!(adopted(&netdev("eth9", "")), Err(AdoptError::Unknown(_))));
        let bad = netdev("enp6s0", "<ip address='10.1.1.2'/>");
        assert!(matches!(adopted(&bad), Err(AdoptError::Address { .. })));
        let own = "<nicdock:nics xmlns:nicdock='https://nicdock.dev/libvirt/1'><nicdock:nic select='a'/></nicdock:nics>";
        let both = format!("</devices><metadata>{own}</metadata><devices>{}", node("uverbs0"));
        assert!(matches!(adopted(&both), Err(AdoptError::Both)));
    }
}
