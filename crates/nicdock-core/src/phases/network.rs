//! Moves the netdevs into the container's network namespace and configures them there.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::soft_rdma::Wanted;
use super::{Doing, Patience, PhaseError, draining, ipoib, link, rdma_move, soft_rdma, stale};
use nicdock_host::model::Netdev;

use crate::lease::{Journal, Step};
use crate::plan::{Grant, NetdevGrant, RdmaGrant, come_anew};
use crate::say::notice;
use crate::settings::Left;
use nicdock_netlink::name;
use nicdock_netlink::rtnl::{Link, Rtnl};
use nicdock_sys::netns;

/// Fills the caller's namespace, `here`, from the host's, `home`, which `host` speaks to, and waits for the links.
pub fn fill(
    host: &mut Rtnl,
    home: &OwnedFd,
    here: &OwnedFd,
    grants: &[Grant],
    journal: Journal<'_>,
) -> Result<(), PhaseError> {
    let netns = netns::inode(here).doing(|| "looking at the container's network namespace".into())?;
    let mut inside = Rtnl::open().doing(|| "opening rtnetlink in the container's namespace".into())?;
    let (come_anew, stay): (Vec<&Grant>, Vec<&Grant>) = grants.iter().partition(|grant| come_anew(grant));
    let settle = |grant: &Grant| {
        grant.rdma.iter().try_for_each(|rdma| settle_rdma(grant, rdma, (home, here, netns), journal))
    };
    for grant in come_anew {
        let links = host_links(host)?;
        grant.netdevs.iter().try_for_each(|given| check_identity(&links, given))?;
        settle(grant)?;
        for given in &grant.netdevs {
            take_anew(host, &mut inside, (here, netns), (grant, given), journal)?;
        }
    }
    for given in stay.iter().flat_map(|grant| &grant.netdevs) {
        check_identity(&host_links(host)?, given)?;
        take(host, given.host.ifindex, given, (here, netns), journal)?;
        configure(&mut inside, given)?;
    }
    stay.into_iter().try_for_each(settle)?;
    link::wait(&mut inside, grants)
}

/// Moves an interface inside under its name there.
fn take(
    host: &mut Rtnl,
    ifindex: u32,
    given: &NetdevGrant,
    (here, netns): (&OwnedFd, u64),
    journal: Journal<'_>,
) -> Result<(), PhaseError> {
    let name = &given.host.name;
    journal.begin(&Step::TakeNetdev { netdev: name.clone(), netns })?;
    host.move_link(ifindex, &given.name, here)
        .doing(|| format!("moving {name} into the container as {}", given.name))?;
    Ok(journal.begin(&Step::Configure { netdev: name.clone() })?)
}

/// The same for the netdev that came anew when its RDMA device was moved.
fn take_anew(
    host: &mut Rtnl,
    inside: &mut Rtnl,
    there: (&OwnedFd, u64),
    (grant, given): (&Grant, &NetdevGrant),
    journal: Journal<'_>,
) -> Result<(), PhaseError> {
    match ipoib::find_anew(host, inside, grant, given)? {
        (link, true) if link.name != given.name => inside
            .rename(link.ifindex, &given.name)
            .doing(|| format!("renaming {} to {} in the container", link.name, given.name))?,
        (_, true) => {}
        (link, false) => {
            if let Some(settings) = &given.settings {
                // What fails here fails again with its MTU, or is told at its return.
                settings.restore_ipoib(&link.name, &mut Left::default());
            }
            take(host, link.ifindex, given, there, journal)?;
        }
    }
    configure(inside, given)
}

/// The plan was made a moment ago: the interfaces behind its numbers must still be the same ones, and in this namespace.
pub fn check_identities(grants: &[Grant]) -> Result<(), PhaseError> {
    let links = host_links(&mut Rtnl::open().doing(|| "opening rtnetlink".into())?)?;
    grants.iter().flat_map(|grant| &grant.netdevs).try_for_each(|given| check_identity(&links, given))
}

fn host_links(host: &mut Rtnl) -> Result<Vec<Link>, PhaseError> {
    host.links().doing(|| "listing the host's interfaces".into())
}

/// In the caller's namespace.
pub fn set_loopback_up() -> Result<(), PhaseError> {
    let mut inside = Rtnl::open().doing(|| "opening rtnetlink in the container's namespace".into())?;
    let links = inside.links().doing(|| "listing the container's interfaces".into())?;
    match links.iter().find(|link| link.name == "lo") {
        Some(lo) => inside.set_up(lo.ifindex, true).doing(|| "setting lo up".into()),
        None => Ok(()),
    }
}

fn check_identity(links: &[Link], given: &NetdevGrant) -> Result<(), PhaseError> {
    let planned = &given.host;
    let same = |link: &Link| {
        link.ifindex == planned.ifindex
            && link.name == planned.name
            && planned.mac.as_ref().is_none_or(|mac| mac.0 == link.mac)
    };
    if links.iter().any(same) {
        return Ok(());
    }
    let error =
        io::Error::new(io::ErrorKind::NotFound, "it was renamed, moved or removed since the plan was made");
    Err(PhaseError::new(format!("taking {}", planned.name), error)
        .with_advice("run nicdock ls, and try again"))
}

/// An engine may keep whatever comes into its containers from IPv6 (Docker, `net.ipv6.conf.default.disable_ipv6`), and the kernel takes no address of it then
/// (`inet6_addr_add()`, net/ipv6/addrconf.c). A NIC with such an address has IPv6.
fn allow_ipv6(given: &NetdevGrant) -> io::Result<()> {
    let is_wanted = if given.addresses.is_empty() {
        given.host.addresses.iter().any(|address| address.ip.is_ipv6())
    } else {
        given.addresses.iter().any(|address| address.ip.is_ipv6())
    };
    let path = Path::new("/proc/sys/net/ipv6/conf").join(name::path(&given.name)).join("disable_ipv6");
    // Those two are the folders of all interfaces.
    let has_one = !["all", "default"].contains(&&*given.name);
    // That of the caller's network namespace.
    if !is_wanted || !has_one || fs::read_to_string(&path).map_or(true, |now| now.trim_end() == "0") {
        return Ok(());
    }
    fs::write(path, "0")
}

fn configure(inside: &mut Rtnl, given: &NetdevGrant) -> Result<(), PhaseError> {
    let name = &given.name;
    let link = find(inside, name)?;
    set_mtu_and_mac(inside, &link, &given.host, name)?;
    inside.set_up(link.ifindex, true).doing(|| format!("setting {name} up"))?;
    allow_ipv6(given).doing(|| format!("allowing IPv6 on {name}"))?;
    if given.addresses.is_empty() {
        for address in &given.host.addresses {
            inside
                .restore_address(&address.raw, link.ifindex, name, true)
                .doing(|| format!("adding {address} to {name}"))?;
        }
    } else {
        for address in &given.addresses {
            inside
                .add_address(link.ifindex, address.ip, address.prefix_len)
                .doing(|| format!("adding {address} to {name}"))?;
        }
    }
    // Routes of addresses that were replaced would lead nowhere.
    for route in given.host.own_routes().filter(|_| given.addresses.is_empty()) {
        if let Err(error) = inside.restore_route(&route.raw, given.host.ifindex, link.ifindex) {
            // Its source may be another interface's address, another leg of it another interface.
            notice(format_args!(
                "warning: the container is without the {route} by {name}, which cannot be there: {error}"
            ));
        }
    }
    Ok(())
}

/// As the host had them. A MAC address that is right already is left alone: not every driver can set one.
pub fn set_mtu_and_mac(rtnl: &mut Rtnl, link: &Link, planned: &Netdev, name: &str) -> Result<(), PhaseError> {
    let mac = ipoib::address(link, planned);
    rtnl.set_mtu_and_mac(link.ifindex, planned.mtu, mac.as_deref())
        .doing(|| format!("setting MTU and MAC address of {name}"))
}

fn settle_rdma(
    grant: &Grant,
    rdma: &RdmaGrant,
    (home, here, netns): (&OwnedFd, &OwnedFd, u64),
    journal: Journal<'_>,
) -> Result<(), PhaseError> {
    let name = &rdma.device.name;
    if let (Some(soft), Some(netdev)) = (&rdma.remake, grant.netdevs.first()) {
        journal.begin(&Step::MakeRdma { device: name.clone() })?;
        let wanted = Wanted { kind: &soft.kind, name, netdev: &netdev.name };
        return soft_rdma::make(&wanted, journal.ledger, Patience::First, || draining::host(grant));
    }
    if rdma.moves {
        journal.begin(&Step::TakeRdma { device: name.clone(), netns })?;
        // It gets a number anew (rdma_dev_change_netns()).
        return stale::around(journal.ledger, || rdma_move::take(rdma, home, here))?;
    }
    Ok(())
}

fn find(inside: &mut Rtnl, name: &str) -> Result<Link, PhaseError> {
    let links = inside.links().doing(|| "listing interfaces".into())?;
    links
        .into_iter()
        .find(|l| l.name == name)
        .ok_or(io::ErrorKind::NotFound)
        .doing(|| format!("finding {name}"))
}
