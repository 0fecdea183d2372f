use nicdock_host::environment::{Environment, Image};
use nicdock_host::model::{Host, Nic, NicKind, PciFunction, RdmaDevice};

use crate::finding::Finding;

/// Whose NICs are judged.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    pub host: &'a Host,
    /// The NICs that are asked about.
    pub nics: Vec<&'a Nic>,
    pub environment: &'a Environment,
    /// What the container's image has; `None` where no image was named.
    pub image: Option<&'a Image>,
    /// `Err`: why the leases are not known.
    pub leases: &'a Result<Vec<LeaseState>, String>,
}

/// A lease, as far as a check needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// `Nic::name`, or the lease's file where it cannot be read.
    pub nic: String,
    /// As `nicdock leases` has it: `held`, `abandoned`, …; `unreadable`.
    pub state: String,
    /// Who has it, or what keeps it.
    pub what: String,
}

impl Subject<'_> {
    /// What `judge` finds of each NIC; `None` of those that it is not about.
    pub fn each(&self, judge: impl Fn(&Nic) -> Option<Finding>) -> Vec<Finding> {
        let one = |nic: &&Nic| judge(nic).map(|finding| Finding { nic: Some(nic.name.clone()), ..finding });
        self.nics.iter().filter_map(one).collect()
    }

    /// The same of NICs of these kinds.
    pub fn each_of(&self, kinds: &[NicKind], judge: impl Fn(&Nic) -> Finding) -> Vec<Finding> {
        self.each(|nic| kinds.contains(&nic.kind).then(|| judge(nic)))
    }

    /// The same of each RDMA device.
    pub fn each_device(&self, judge: impl Fn(&Nic, &RdmaDevice) -> Option<Finding>) -> Vec<Finding> {
        let of = |nic: &Nic| {
            let found = nic.rdma_devices.iter().filter_map(|device| judge(nic, device));
            found.map(|finding| Finding { nic: Some(nic.name.clone()), ..finding }).collect::<Vec<_>>()
        };
        self.nics.iter().flat_map(|nic| of(nic)).collect()
    }

    /// The NIC's own function, or that whose virtual function it is: a VF has no link of its own.
    pub fn physical_function(&self, nic: &Nic) -> Option<&PciFunction> {
        let function = self.host.function(nic.pci?)?;
        function.pf.map_or(Some(function), |pf| self.host.function(pf))
    }

    /// Does a container have it, or is it set aside for one?
    pub fn is_held(&self, nic: &Nic) -> bool {
        let has = |lease: &LeaseState| lease.nic == nic.name && matches!(&*lease.state, "held" | "reserved");
        self.leases.as_ref().is_ok_and(|leases| leases.iter().any(has))
    }
}
