//! The options that say which NICs are given, and how: to a container that is started, and to one that runs.

use crate::request::{AddressWithPrefix, NetdevMode, NicRequest, Selector};

#[derive(clap::Args)]
pub struct NicOptions {
    /// Which NIC: an RDMA device, a netdev, a PCI address, kind=, numa=, subnet=, any; joined with commas; 2x… takes two
    #[arg(long = "nic", value_name = "SEL", required = true)]
    selectors: Vec<Selector>,
    /// Address inside, instead of the NIC's own (may be repeated)
    #[arg(long = "ip", value_name = "ADDR/LEN")]
    addresses: Vec<AddressWithPrefix>,
    /// Name of the netdev inside
    #[arg(long = "as", value_name = "NAME")]
    netdev_name: Option<String>,
    /// What becomes of the netdev
    #[arg(long, default_value = "move")]
    netdev: NetdevMode,
    /// Take a NIC although the host uses it
    #[arg(long)]
    take_in_use: bool,
    /// Also give the umad and issm nodes (subnet management)
    #[arg(long)]
    umad: bool,
    /// Also give the rdma_cm node (connections by IP address); needs the netdev inside
    #[arg(long)]
    rdma_cm: bool,
}

impl NicOptions {
    pub fn request(&self) -> NicRequest {
        NicRequest {
            selectors: self.selectors.clone(),
            addresses: self.addresses.clone(),
            netdev_name: self.netdev_name.clone(),
            netdev: self.netdev,
            take_in_use: self.take_in_use,
            umad: self.umad,
            rdma_cm: self.rdma_cm,
        }
    }
}
