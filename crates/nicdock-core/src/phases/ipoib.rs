//! `IPoIB` netdevs: they hang on an RDMA device, and where RDMA namespaces are exclusive they do not move with it.
//!
//! Moving an RDMA device removes and adds it for each client (`rdma_dev_change_netns()`, drivers/infiniband/core/device.c), and so
//! `ib_ipoib` destroys its netdevs, wherever they are, with their children, and makes new ones (`ipoib_remove_one()`,
//! `ipoib_add_one()`): up to Linux 6.16 in the first network namespace, later where the RDMA device is.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nicdock_host::model::Netdev;
use nicdock_netlink::name;

use super::gone::names_on_bus;
use super::{Doing, PhaseError};
use crate::plan::{Grant, NetdevGrant};
use nicdock_netlink::rtnl::{Link, Rtnl};

/// The part of a link-layer address that is the queue pair's (`ipoib_dev_init_default()`), which only the driver sets.
const QUEUE_PAIR: usize = 4;
/// With the subnet's prefix: what `ipoib_check_lladdr()` lets nobody change. A subnet manager may have given the port another prefix meanwhile
/// (`ipoib_dev_addr_changed_valid()`). The rest is the port's GUID, which can be set.
const FIXED: usize = 12;
const ADDRESS: usize = 20;

/// The netdevs are there when the move of the RDMA device has ended; this is for a busy machine.
const ANEW: Duration = Duration::from_secs(5);

/// The netdev that has come in the place of the planned one, and whether it is `inside` already.
pub fn find_anew(
    host: &mut Rtnl,
    inside: &mut Rtnl,
    grant: &Grant,
    given: &NetdevGrant,
) -> Result<(Link, bool), PhaseError> {
    let name = &given.host.name;
    let begin = Instant::now();
    loop {
        let names = names_on_bus(grant, given);
        let links = host.links().doing(|| "listing the host's interfaces".into())?;
        let is_it =
            |link: &Link| names.contains(&link.name) && !link.is_virtual && is_port(&link.name, given);
        if let Some(link) = links.into_iter().find(is_it) {
            return Ok((link, false));
        }
        let links = inside.links().doing(|| "listing the container's interfaces".into())?;
        let guid = |mac: &[u8]| (mac.len() == ADDRESS).then(|| mac[FIXED..].to_vec());
        let planned = given.host.mac.as_ref().and_then(|mac| guid(&mac.0));
        let is_it = |link: &Link| !link.is_virtual && planned.is_some() && guid(&link.mac) == planned;
        if let Some(link) = links.into_iter().find(is_it) {
            return Ok((link, true));
        }
        if begin.elapsed() > ANEW {
            let reason = format!("ib_ipoib made no new one for {} when that was moved", grant.nic.name);
            return Err(PhaseError::new(
                format!("finding {name}"),
                io::Error::new(io::ErrorKind::NotFound, reason),
            )
            .with_advice("see dmesg; the shared mode moves no RDMA device (rdma system set netns shared)"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether an interface of the host is the planned netdev's port's: of a NIC with two ports each has one.
pub fn is_port(name: &str, given: &NetdevGrant) -> bool {
    let port = || fs::read_to_string(name::path(&format!("/sys/class/net/{name}/dev_port")));
    !given.host.is_ipoib() || port().is_ok_and(|port| port.trim() == given.host.dev_port.to_string())
}

/// The one among `links` that is the planned netdev although a program gave it another GUID.
pub fn with_the_queue_pair_of<'a>(links: &'a [Link], planned: &Netdev) -> Option<&'a Link> {
    let pair = planned.mac.as_ref().filter(|mac| mac.0.len() == ADDRESS).map(|mac| &mac.0[..QUEUE_PAIR])?;
    let mut same = links.iter().filter(|link| !link.is_virtual && link.mac.starts_with(pair));
    same.next().filter(|_| same.next().is_none())
}

/// The address to set on `link` so that it is the planned one, of its own queue pair; `None` if it is that already.
pub fn address(link: &Link, planned: &Netdev) -> Option<Vec<u8>> {
    let mut mac = planned.mac.as_ref()?.0.clone();
    if mac.len() == ADDRESS && link.mac.len() == ADDRESS {
        mac[..FIXED].copy_from_slice(&link.mac[..FIXED]);
    }
    (mac != link.mac).then_some(mac)
}

/// Removes what a container has made on an interface of its namespace: unlike a VLAN, a child is not destroyed with that, but comes to
/// the host (`ipoib_link_ops.netns_refund`). Gives what was removed, in sentences.
pub fn remove_children(inside: &mut Rtnl, links: &[Link], parent: &Link) -> Result<Vec<String>, PhaseError> {
    let mut removed = Vec::new();
    for child in children(links, parent) {
        match inside.delete_link(child.ifindex) {
            // A program inside was faster.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
            result => result.doing(|| format!("removing {}, a child of {}", child.name, parent.name))?,
        }
        removed.push(format!("removed {}, which was made inside as a child of {}", child.name, parent.name));
    }
    Ok(removed)
}

/// What is to be said of children that are on the host when the netdev has come back: nobody knows whether the container made them, or
/// since then the host.
pub fn children_to_tell(links: &[Link], parent: &Link) -> Vec<String> {
    let tell = |child: &Link| {
        format!(
            "warning: {0} is there, a child of {1}: if it was made inside it is not the host's; it is removed by ip link delete {0}",
            child.name, parent.name
        )
    };
    children(links, parent).map(tell).collect()
}

fn children<'a>(links: &'a [Link], parent: &Link) -> impl Iterator<Item = &'a Link> {
    let index = parent.ifindex;
    links.iter().filter(move |link| link.ipoib_parent == Some(index))
}

#[cfg(test)]
mod tests {
    use nicdock_host::model::Mac;

    use super::*;

    fn link(mac: &[u8]) -> Link {
        Link { mac: mac.to_vec(), ..Link::default() }
    }

    fn planned(mac: &[u8]) -> Netdev {
        let machine = nicdock_host::constructed::hosts::infiniband_8();
        let host = nicdock_host::inventory::read(&machine.capture()).unwrap();
        let netdev = host.nics.into_iter().flat_map(|nic| nic.netdevs).find(Netdev::is_ipoib).unwrap();
        Netdev { mac: Some(Mac(mac.to_vec())), ..netdev }
    }

    fn of(queue_pair: u8, guid: u8) -> Vec<u8> {
        [&[0x80, 0, 0, queue_pair, 0xfe, 0x80][..], &[0; 6], &[guid; 8]].concat()
    }

    #[test]
    fn an_address_is_never_set_with_another_queue_pair() {
        assert_eq!(address(&link(&of(2, 7)), &planned(&of(1, 7))), None);
        assert_eq!(address(&link(&of(2, 8)), &planned(&of(1, 7))), Some(of(2, 7)));
        // The subnet has another prefix by now.
        let mut other = of(2, 8);
        other[5] = 0x81;
        let (set, mut wanted) = (address(&link(&other), &planned(&of(1, 7))), of(2, 7));
        wanted[5] = 0x81;
        assert_eq!(set, Some(wanted));
        assert_eq!(address(&link(&[2; 6]), &planned(&[4; 6])), Some(vec![4; 6]));
    }

    #[test]
    fn a_netdev_with_another_guid_is_known_by_its_queue_pair_if_there_is_one_alone() {
        let links = [link(&of(1, 9)), link(&of(2, 7))];
        let found =
            |queue_pair| with_the_queue_pair_of(&links, &planned(&of(queue_pair, 7))).map(|link| &link.mac);
        assert_eq!((found(1), found(3)), (Some(&of(1, 9)), None));
        assert!(with_the_queue_pair_of(&[link(&of(1, 8)), link(&of(1, 9))], &planned(&of(1, 7))).is_none());
    }
}
