//! What a container has, by name, in its own network namespace.

/// What a container has; everything else is foreign.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub netdevs: Vec<String>,
    /// It is in the host's network namespace: there are other interfaces, which /sys does not show.
    pub of_host_network: bool,
    pub rdma_devices: Vec<String>,
    /// Node names: `uverbs0`, `umad0`, `issm0`, `rdma_cm`.
    pub nodes: Vec<String>,
    /// PCI functions with the bridges above them, as addresses.
    pub functions: Vec<String>,
    /// Those of them of which it has a sub-function only: what is the whole card's is not shown.
    pub shared_functions: Vec<String>,
    pub bridges: Vec<String>,
    /// Also show the functions' registers and configuration space ([`super::device::REGISTERS`]).
    pub registers: bool,
}

impl Shown {
    /// The nodes whose names begin with `prefix`.
    pub fn nodes_of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a String> {
        self.nodes.iter().filter(move |name| name.starts_with(prefix))
    }
}
