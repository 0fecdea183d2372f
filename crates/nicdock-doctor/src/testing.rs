//! States of machines for the checks' tests.

use nicdock_host::constructed::{Machine, hosts};
use nicdock_host::environment::{Environment, Image};
use nicdock_host::inventory;
use nicdock_host::model::{Host, NicKind};

use crate::subject::{LeaseState, Subject};

/// A state of a machine.
#[derive(Clone)]
pub struct Case {
    pub host: Host,
    pub environment: Environment,
    pub image: Option<Image>,
    pub leases: Result<Vec<LeaseState>, String>,
}

/// One in which a check fires, one in which it is ok, one in which it is unknown.
pub struct Cases {
    pub fires: Case,
    pub ok: Case,
    pub unknown: Case,
}

impl Case {
    /// The machine with its fabric NICs alone, and nothing known of what is around them.
    pub fn of(machine: Machine) -> Self {
        let mut host = inventory::read(&machine.capture()).expect("a described machine can be read");
        host.nics.retain(|nic| nic.kind != NicKind::Ethernet);
        Self { host, environment: Environment::default(), image: None, leases: Ok(Vec::new()) }
    }

    /// Two usNICs.
    pub fn usnic() -> Self {
        Self::of(hosts::cisco_usnic())
    }

    /// A ConnectX-5 with VFs.
    pub fn roce() -> Self {
        Self::of(hosts::mlx5_sriov())
    }

    /// Eight rails.
    pub fn infiniband() -> Self {
        Self::of(hosts::infiniband_8())
    }

    /// With another host.
    pub fn host(mut self, change: impl FnOnce(&mut Host)) -> Self {
        change(&mut self.host);
        self
    }

    /// With another environment.
    pub fn environment(mut self, change: impl FnOnce(Environment) -> Environment) -> Self {
        self.environment = change(self.environment);
        self
    }

    /// With all its NICs asked about.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            host: &self.host,
            nics: self.host.nics.iter().collect(),
            environment: &self.environment,
            image: self.image.as_ref(),
            leases: &self.leases,
        }
    }
}
