//! On which terms a container has its NICs that an engine starts: options.

use super::attach::view;
use crate::request::Memlock;
use crate::view::Profile;

#[derive(clap::Args)]
pub struct TermOptions {
    /// RLIMIT_MEMLOCK: 'unlimited' or a size like 64M
    #[arg(long, default_value = "unlimited", value_name = "SIZE")]
    pub memlock: Memlock,
    /// What it is shown of /sys: 'nic' its NICs only, 'off' what its engine shows
    #[arg(long, default_value = "nic", value_parser = view)]
    pub view: Profile,
    /// Leave capabilities and mounts to the container's own configuration, as a whole system with its own init needs; what they open is told
    #[arg(long)]
    pub keep_privileges: bool,
}
