//! What a user asks for: selectors and options, as values.

mod address;
mod family;
pub mod limits;
mod netlink;
mod profile;
mod selector;
pub mod sockets;

pub use address::{AddressWithPrefix, ParseAddressError};
pub use family::Family;
pub use limits::{Limits, PROCESSES, Processes, Size};
pub use netlink::Netlink;
pub use profile::Profile;
pub use selector::{Selector, TERMS};
pub use sockets::Sockets;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What to run and which NICs it is to have.
#[derive(Clone, Debug)]
pub struct Request {
    pub nics: NicRequest,
    /// A running container whose network namespace and NICs to share, instead of taking any.
    pub join: Option<String>,
    pub name: Option<String>,
    pub root: Root,
    /// Show, read-only, what a bundle binds from outside of it.
    pub bundle_binds: bool,
    pub memlock: Memlock,
    pub user: User,
    pub volumes: Vec<Volume>,
    pub env: Vec<String>,
    pub workdir: Option<String>,
    pub terminal: bool,
    pub extra_capabilities: Vec<String>,
    pub weaken: bool,
    pub view: Profile,
    /// Show the registers of the NIC's PCI function.
    pub registers: bool,
    /// Address families beyond the default ones.
    pub families: Vec<Family>,
    /// Protocols of netlink beyond the default ones.
    pub netlink: Vec<Netlink>,
    /// A user namespace of the container's own.
    pub userns: bool,
    pub rdma_limits: RdmaLimits,
    pub limits: Limits,
    pub command: Vec<String>,
}

/// Which NICs a container is to have, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicRequest {
    pub selectors: Vec<Selector>,
    /// Replace the NIC's own addresses; empty keeps them.
    pub addresses: Vec<AddressWithPrefix>,
    /// Name of the netdev inside.
    pub netdev_name: Option<String>,
    pub netdev: NetdevMode,
    pub take_in_use: bool,
    /// Also give umad and issm nodes.
    pub umad: bool,
    /// Also give the `rdma_cm` node.
    pub rdma_cm: bool,
    /// Seconds that the link may take to be there before the program starts; `None`: it is not waited for.
    pub link_timeout: Option<u32>,
}

impl NicRequest {
    /// These NICs and nothing more.
    pub fn of(selectors: Vec<Selector>) -> Self {
        Self {
            selectors,
            addresses: Vec::new(),
            netdev_name: None,
            netdev: NetdevMode::Move,
            take_in_use: false,
            umad: false,
            rdma_cm: false,
            link_timeout: Some(LINK_TIMEOUT),
        }
    }
}

/// What a link is given unless told, in seconds: autonegotiation and a subnet manager take 2 to 30.
pub const LINK_TIMEOUT: u32 = 30;

/// Where the container's file system comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// A directory, writable.
    Directory(PathBuf),
    /// The host's own file system, read-only under a writable layer in memory.
    Host,
    /// An OCI bundle: its root, process and bind mounts.
    Bundle(PathBuf),
    /// Nobody said: there is a plan for the NICs, and nothing to run.
    Unnamed,
}

/// What becomes of the netdev.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetdevMode {
    /// It moves into the container's network namespace.
    Move,
    /// It stays on the host; the container gets the RDMA device only.
    Keep,
    /// It stays on the host, as the job does that is given the NIC: in the host's network namespace.
    Host,
}

impl std::str::FromStr for NetdevMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "move" => Ok(Self::Move),
            "keep" => Ok(Self::Keep),
            _ => Err(format!("'{text}' is no netdev mode: expected move or keep")),
        }
    }
}

/// `RLIMIT_MEMLOCK`: what bounds the memory a NIC can reach (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memlock {
    Unlimited,
    Bytes(u64),
}

impl Memlock {
    /// As rlimits are set; `None` is no limit.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

impl std::str::FromStr for Memlock {
    type Err = String;

    /// `unlimited`, or a number of bytes with an optional K, M, G or T (powers of 1,024).
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let Size(bytes) = text
            .parse()
            .map_err(|_| format!("'{text}' is no size: expected 'unlimited' or a number like 64M"))?;
        Ok(Self::Bytes(bytes))
    }
}

/// What the container may have of each of its RDMA devices (the cgroup controller `rdma`); `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdmaLimits {
    /// `hca_handle`: contexts, one for each open of the node.
    pub handles: Option<u32>,
    /// `hca_object`: protection domains, queue pairs, completion queues, memory regions, …
    pub objects: Option<u32>,
}

impl RdmaLimits {
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Numeric user and group of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl std::str::FromStr for User {
    type Err = String;

    /// `UID` or `UID:GID`; the group is the user's number when it is left out.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |_| format!("'{text}' is no user: expected UID or UID:GID in numbers");
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        Ok(Self { uid: uid.parse().map_err(bad)?, gid: gid.parse().map_err(bad)? })
    }
}

/// A directory or file of the host shown in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub source: PathBuf,
    pub destination: String,
    pub read_only: bool,
}

impl std::str::FromStr for Volume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let volume = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(source), Some(destination), options @ (None | Some("ro" | "rw")), None) => Self {
                source: source.into(),
                destination: destination.to_owned(),
                read_only: options == Some("ro"),
            },
            _ => return Err(format!("'{text}' is no volume: expected SRC:DST or SRC:DST:ro")),
        };
        volume.check()?;
        Ok(volume)
    }
}

impl Volume {
    /// Both paths absolute, and the destination nowhere that nicdock itself composes.
    pub fn check(&self) -> Result<(), String> {
        let destination = &self.destination;
        if !self.source.is_absolute()
            || self.source.components().any(|part| part == std::path::Component::ParentDir)
            || !destination.starts_with('/')
            || destination.split('/').any(|p| p == "..")
        {
            return Err(format!(
                "volume {}:{destination}: both paths must be absolute, without '..'",
                self.source.display()
            ));
        }
        let first = destination.split('/').find(|part| !part.is_empty() && *part != ".");
        if first.is_none() || matches!(first, Some("sys" | "proc" | "dev")) {
            return Err(format!("volume {destination}: /, /sys, /proc and /dev are composed by nicdock"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memlock_is_a_size_or_unlimited() {
        assert_eq!("64M".parse(), Ok(Memlock::Bytes(64 << 20)));
        assert_eq!("unlimited".parse(), Ok(Memlock::Unlimited));
        assert!("".parse::<Memlock>().is_err());
    }

    #[test]
    fn a_volume_cannot_cover_what_nicdock_composes() {
        for text in [
            "/tmp:/sys",
            "/tmp://./sys/class",
            "/tmp:/dev/infiniband",
            "/tmp:/",
            "/tmp:/a/../sys",
            "/tmp/../etc:/a",
            "tmp:/a",
            "/a",
        ] {
            assert!(text.parse::<Volume>().is_err(), "{text}");
        }
        assert!("/tmp:/data:ro".parse::<Volume>().unwrap().read_only);
    }

    #[test]
    fn a_user_without_a_group_gets_the_group_of_the_same_number() {
        assert_eq!("1000".parse(), Ok(User { uid: 1000, gid: 1000 }));
        assert_eq!("1000:5".parse(), Ok(User { uid: 1000, gid: 5 }));
        assert!("root".parse::<User>().is_err());
    }
}
