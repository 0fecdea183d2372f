//! What the plan promised is what the container has, else its program is not started.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use super::{Doing, PhaseError};
use crate::kernel::netns;
use crate::kernel::rtnl::Rtnl;
use crate::view::Shown;

/// The container's first process is in the namespace that was filled, in which the caller is.
pub fn same_network(init: u32) -> Result<(), PhaseError> {
    let what = || format!("verifying the network namespace of the container (process {init})");
    if netns::is_shared_with(init).doing(what)? {
        return Ok(());
    }
    Err(PhaseError::new(what(), io::Error::other("it is not the one that has the NIC")))
}

/// Compares; the caller is in the container's mount and network namespaces.
pub fn verify(shown: &Shown) -> Result<(), PhaseError> {
    let mut inside = Rtnl::open().doing(|| "opening rtnetlink in the container".into())?;
    let links = inside.links().doing(|| "listing the container's interfaces".into())?;
    let with_lo = |names: &[String]| names.iter().cloned().chain(["lo".to_owned()]).collect::<BTreeSet<_>>();
    // Tunnel modules make their fallback interfaces in every namespace; they reach no NIC.
    let fallback = |name: &str| {
        ["tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"]
            .contains(&name)
    };
    let found = links.into_iter().map(|l| l.name).filter(|n| !fallback(n)).collect();
    compare("network interfaces", &with_lo(&shown.netdevs), &found)?;
    compare("/sys/class/net", &with_lo(&shown.netdevs), &listing("/sys/class/net")?)?;
    compare("/sys/class/infiniband", &set(&shown.rdma_devices), &listing("/sys/class/infiniband")?)?;
    let in_class =
        |prefix: &str| shown.nodes.iter().filter(|n| n.starts_with(prefix)).cloned().collect::<BTreeSet<_>>();
    let mut verbs = listing("/sys/class/infiniband_verbs")?;
    verbs.remove("abi_version");
    compare("/sys/class/infiniband_verbs", &in_class("uverbs"), &verbs)?;
    let functions = shown.functions.iter().chain(&shown.bridges).cloned().collect();
    compare("/sys/bus/pci/devices", &functions, &listing("/sys/bus/pci/devices")?)?;
    compare("/dev/infiniband", &set(&shown.nodes), &listing("/dev/infiniband")?)
}

fn set(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

/// The names in a folder; none if it does not exist.
fn listing(folder: &str) -> Result<BTreeSet<String>, PhaseError> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            Ok(entries.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned()).collect())
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
    Err(PhaseError::new(format!("verifying {what}"), error))
}
