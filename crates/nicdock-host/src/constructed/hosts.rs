//! Hosts that nobody here has, put together from kernel sources and public documentation. Addresses are from the
//! ranges for documentation (RFC 5737, RFC 3849, RFC 7042).

mod cisco;
mod efa;
mod infiniband;
mod many;
mod mlx5;
mod none;
mod reported;

pub use cisco::cisco_usnic;
pub use efa::efa;
pub use infiniband::infiniband_8;
pub use many::many;
pub use mlx5::mlx5_sriov;
pub use none::none;
pub use reported::{
    erdma, hfi1, hw_and_rxe, mlx4_two_ports, mlx4_vpi, roce_lag, routing_on_host, split_default,
    subfunctions, switchdev,
};

use super::Machine;

/// Each host under the name that its capture has.
pub fn all() -> [(&'static str, Machine); 15] {
    [
        ("cisco-usnic", cisco_usnic()),
        ("mlx5-sriov", mlx5_sriov()),
        ("efa", efa()),
        ("infiniband-8", infiniband_8()),
        ("none", none()),
        ("subfunctions", subfunctions()),
        ("switchdev", switchdev()),
        ("roce-lag", roce_lag()),
        ("erdma", erdma()),
        ("mlx4-two-ports", mlx4_two_ports()),
        ("mlx4-vpi", mlx4_vpi()),
        ("hfi1", hfi1()),
        ("hw-and-rxe", hw_and_rxe()),
        ("routing-on-host", routing_on_host()),
        ("split-default", split_default()),
    ]
}

/// Intel's root port of Skylake servers (`0x2030`, pci.ids), which these hosts share.
const ROOT_PORT: (u16, u16) = (0x8086, 0x2030);
/// Ethernet controller: `PCI_CLASS_NETWORK_ETHERNET`.
const ETHERNET: u32 = 0x02_0000;

/// A GUID from a MAC address (EUI-64 with the universal bit turned), as drivers for Ethernet make it
/// (`addrconf_addr_eui48()`).
fn eui64(mac: &str) -> u64 {
    let mac = mac.parse::<crate::model::Mac>().expect("a MAC address").0;
    let bytes = [mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]];
    u64::from_be_bytes(bytes)
}
