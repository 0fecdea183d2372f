//! Remembers what the host has set on a netdev, before it is taken.

use super::{Doing, PhaseError};
use crate::plan::Grant;
use crate::settings;
use nicdock_netlink::rtnl::Rtnl;

/// Remembers the settings of every netdev that is about to be taken; gives what will be lost, in sentences.
pub fn remember(grants: &mut [Grant]) -> Result<Vec<String>, PhaseError> {
    let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
    let mut lost = Vec::new();
    for given in grants.iter_mut().flat_map(|grant| &mut grant.netdevs) {
        let name = &given.host.name;
        let settings = settings::read(&mut host, given.host.ifindex, name)?;
        lost.extend(settings.qdiscs.unkept().map(|what| format!("warning: {name}: {what}")));
        given.settings = Some(settings);
    }
    Ok(lost)
}
