//! What the plan promised is what the container has, else its program is not started.

mod mounts;
mod namespaces;

pub use namespaces::check as namespaces;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::enter::Entered;
use super::{Doing, PhaseError};
use crate::kind::Kind;
use crate::plan::Plan;
use crate::request::Profile;
use crate::view::Shown;
use nicdock_netlink::name;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_sys::mount;

/// Compares; the caller is in the container's mount and network namespaces.
pub fn verify(plan: &Plan, entered: &Entered) -> Result<(), PhaseError> {
    // Opened now: what is listed is below the root that the process has when the list is opened.
    let list = mount::read_inside(&entered.process, "mountinfo");
    mounts::check(plan, &list.doing(|| "reading the container's mounts".into())?)?;
    shows(&entered.shown, plan.container.view)
}

/// The part of it that can be asked of a container that runs, too. The caller has its root.
pub fn shows(shown: &Shown, view: Profile) -> Result<(), PhaseError> {
    if !shown.of_host_network {
        interfaces(shown)?;
    }
    if !shown.of_host_network || view != Profile::Off {
        let mut classes = listing("/sys/class/net")?;
        classes.retain(|name| view != Profile::Off || !is_fallback(name));
        compare("/sys/class/net", &with_lo(&shown.netdevs), &classes)?;
    }
    compare("/dev/infiniband", &set(&shown.nodes), &listing("/dev/infiniband")?)?;
    if view == Profile::Off {
        return Ok(());
    }
    compare("/sys/class/infiniband", &set(&shown.rdma_devices), &listing("/sys/class/infiniband")?)?;
    let mut verbs = listing("/sys/class/infiniband_verbs")?;
    verbs.remove("abi_version");
    compare("/sys/class/infiniband_verbs", &shown.nodes_of("uverbs").cloned().collect(), &verbs)?;
    if view == Profile::Nic {
        let functions = shown.functions.iter().chain(&shown.bridges).cloned().collect();
        compare("/sys/bus/pci/devices", &functions, &listing("/sys/bus/pci/devices")?)?;
    }
    Ok(())
}

fn interfaces(shown: &Shown) -> Result<(), PhaseError> {
    let mut inside = Rtnl::open().doing(|| "opening rtnetlink in the container".into())?;
    let links = inside.links().doing(|| "listing the container's interfaces".into())?;
    let found = links.into_iter().map(|l| l.name).filter(|n| !is_fallback(n)).collect();
    compare("network interfaces", &with_lo(&shown.netdevs), &found)
}

/// Tunnel modules make their fallback interfaces in every namespace; they reach no NIC.
pub fn is_fallback(name: &str) -> bool {
    ["tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"]
        .contains(&name)
}

fn with_lo(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().chain(["lo".to_owned()]).collect()
}

fn set(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

/// The names in a folder; none if it does not exist.
fn listing(folder: &str) -> Result<BTreeSet<String>, PhaseError> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            Ok(entries.filter_map(Result::ok).map(|e| name::text(e.file_name().as_bytes())).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(PhaseError::new(format!("listing {folder} in the container"), error)),
    }
}

fn compare(what: &str, promised: &BTreeSet<String>, found: &BTreeSet<String>) -> Result<(), PhaseError> {
    if promised == found {
        return Ok(());
    }
    let error = io::Error::other(format!("the plan promised {promised:?}, the container has {found:?}"));
    Err(PhaseError::new(format!("verifying {what}"), error).of_kind(Kind::NotClosed))
}
