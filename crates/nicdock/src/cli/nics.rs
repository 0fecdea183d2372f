//! The options that say which NICs are given, and how: to a container that is started, and to one that runs.

use super::choices;
use nicdock_core::request::{AddressWithPrefix, LINK_TIMEOUT, NetdevMode, NicRequest, Selector};

#[derive(clap::Args)]
pub struct NicOptions {
    #[arg(long = "nic", value_name = "SEL", required = true, help = choices::selector("Which NIC"))]
    selectors: Vec<Selector>,
    /// Address inside, instead of the NIC's own (may be repeated)
    #[arg(long = "ip", value_name = "ADDR/LEN")]
    addresses: Vec<AddressWithPrefix>,
    /// Name of the netdev inside
    #[arg(long = "as", value_name = "NAME")]
    netdev_name: Option<String>,
    /// What becomes of the netdev
    #[arg(long, default_value = "move", value_parser = choices::netdev())]
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
    /// How long its link may take to be there inside (carrier, RDMA port ACTIVE) before the program starts (30; in a domain of libvirt's 20).
    /// When the time is up, the NIC goes back and nothing is started
    #[arg(long, value_name = "SECONDS", conflicts_with = "no_link_wait")]
    link_timeout: Option<u32>,
    /// Start at once, whether the link is there or not
    #[arg(long)]
    no_link_wait: bool,
}

impl NicOptions {
    /// The same options as words of a command line.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |name: &str, value: String| words.extend([name.to_owned(), value]);
        self.selectors.iter().for_each(|selector| say("--nic", selector.to_string()));
        self.addresses.iter().for_each(|address| say("--ip", address.to_string()));
        self.netdev_name.iter().for_each(|name| say("--as", name.clone()));
        if self.netdev == NetdevMode::Keep {
            say("--netdev", "keep".to_owned());
        }
        self.link_timeout.iter().for_each(|seconds| say("--link-timeout", seconds.to_string()));
        let flags = [
            (self.take_in_use, "--take-in-use"),
            (self.umad, "--umad"),
            (self.rdma_cm, "--rdma-cm"),
            (self.no_link_wait, "--no-link-wait"),
        ];
        words.extend(flags.into_iter().filter(|(given, _)| *given).map(|(_, name)| name.to_owned()));
        words
    }

    pub fn request(&self) -> NicRequest {
        self.request_within(LINK_TIMEOUT)
    }

    /// With so many seconds for the link, unless the user says how many.
    pub fn request_within(&self, link_timeout: u32) -> NicRequest {
        NicRequest {
            selectors: self.selectors.clone(),
            addresses: self.addresses.clone(),
            netdev_name: self.netdev_name.clone(),
            netdev: self.netdev,
            take_in_use: self.take_in_use,
            umad: self.umad,
            rdma_cm: self.rdma_cm,
            link_timeout: (!self.no_link_wait).then(|| self.link_timeout.unwrap_or(link_timeout)),
        }
    }
}
