//! On which terms a container has its NICs that an engine starts: options.

use super::choices;
use nicdock_core::request::{Memlock, Netlink, Profile};

#[derive(clap::Args)]
pub struct TermOptions {
    /// RLIMIT_MEMLOCK: 'unlimited' or a size like 64M
    #[arg(long, default_value = "unlimited", value_name = "SIZE")]
    pub memlock: Memlock,
    /// What it is shown of /sys: 'nic' its NICs only, 'off' what its engine shows
    #[arg(long, default_value = "nic", value_parser = choices::view_of_an_engines())]
    pub view: Profile,
    /// Leave capabilities and mounts to the container's own configuration, as a whole system with its own init needs; what they open is told
    #[arg(long)]
    pub keep_privileges: bool,
    #[command(flatten)]
    pub netlink: NetlinkOptions,
}

/// Of netlink.
#[derive(clap::Args)]
pub struct NetlinkOptions {
    /// Allow one more protocol of netlink: generic. systemd-networkd, NetworkManager, wg, iw, devlink, ipvsadm and smcd need it, ethtool
    /// does without; RDMA programs do not need it. By it a container can list every RDMA device of the host where the kernel has SMC
    #[arg(long = "allow-netlink", value_name = "PROTOCOL")]
    pub allowed: Vec<Netlink>,
}

impl NetlinkOptions {
    /// As words of a command line.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.allowed.iter().flat_map(|protocol| ["--allow-netlink", protocol.name()]).map(str::to_owned)
    }
}
