//! What is a container's own: its grants, or what another engine has put into its network namespace.

use std::io;

use nicdock_audit::weakness::Weakness;
use nicdock_host::model::PciAddress;

use crate::plan::Grant;
use nicdock_sys::{ethtool, netns};

/// What a container was given.
#[derive(Default)]
pub struct Own {
    pub grants: Vec<Grant>,
    /// Without grants: the interfaces in its network namespace, and the PCI functions that they are of.
    pub netdevs: Vec<String>,
    pub functions: Vec<PciAddress>,
    /// What was chosen to be open to it.
    pub weaknesses: Vec<Weakness>,
    /// Its system calls are filtered by the profile of `nicdock run`.
    pub has_profile: bool,
}

impl Own {
    pub fn of_grants(grants: Vec<Grant>, weaknesses: Vec<Weakness>) -> Self {
        Self { grants, weaknesses, ..Self::default() }
    }

    /// By the network namespace of a process that no lease of nicdock's knows; nothing if it is the caller's.
    pub fn found_with(pid: u32) -> io::Result<Self> {
        let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net"));
        if link(&pid.to_string())? == link("self")? {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
        let names =
            text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned());
        let netdevs: Vec<String> = names.filter(|name| name != "lo").collect();
        let functions = netns::within(netns::of_process(pid)?, || {
            Ok(netdevs.iter().filter_map(|name| ethtool::bus_address(name)?.parse().ok()).collect())
        })?;
        Ok(Self { netdevs, functions, ..Self::default() })
    }

    pub fn is_nothing(&self) -> bool {
        self.grants.is_empty() && self.netdevs.is_empty()
    }
}
