//! Kinds of sockets, by name (include/linux/socket.h).

use serde::{Deserialize, Serialize};

/// An address family that a program may make sockets of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    pub name: String,
    pub number: u32,
}

/// What every container may use: libfabric, UCX and Open MPI need no other.
const DEFAULT: [(&str, u32); 5] = [("unix", 1), ("inet", 2), ("inet6", 10), ("packet", 17), ("ib", 27)];

/// The others that `--allow-family` knows, with what they let a program reach.
const MORE: [(&str, u32, &str); 12] = [
    ("ax25", 3, "amateur radio devices of the container's network namespace"),
    ("pppox", 24, "PPP sessions of the container's network namespace"),
    ("rds", 21, "any RDMA device of the host: RDS picks one by address, in the kernel"),
    ("can", 29, "CAN devices of the container's network namespace"),
    ("tipc", 30, "TIPC nodes"),
    ("bluetooth", 31, "the host's Bluetooth controllers"),
    ("alg", 38, "the kernel's ciphers, whose drivers have had holes"),
    ("nfc", 39, "the host's NFC devices"),
    ("vsock", 40, "the hypervisor or the host's virtual machines"),
    ("qipcrtr", 42, "the host's modems"),
    ("smc", 43, "any RDMA device of the host: SMC picks one by address, in the kernel"),
    ("xdp", 44, "packets of the container's own netdev"),
];

impl Family {
    pub fn default_set() -> Vec<Self> {
        DEFAULT.map(|(name, number)| Self { name: name.to_owned(), number }).to_vec()
    }

    /// What it lets a program reach; nothing to say of the default ones.
    pub fn reaches(&self) -> Option<&'static str> {
        MORE.iter().find(|(_, number, _)| *number == self.number).map(|(_, _, reaches)| *reaches)
    }
}

impl std::str::FromStr for Family {
    type Err = String;

    /// A name, as `vsock` or `AF_VSOCK`. Not `netlink`: of that only some protocols are safe (see [`super::Netlink`]).
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix("af_").unwrap_or(&lower);
        let known = DEFAULT.into_iter().chain(MORE.map(|(name, number, _)| (name, number)));
        let found = known.clone().find(|(known, _)| *known == name);
        found.map(|(name, number)| Self { name: name.to_owned(), number }).ok_or_else(|| {
            let names: Vec<&str> = known.map(|(name, _)| name).collect();
            format!("'{text}' is no family that can be allowed; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_known_by_its_name() {
        assert_eq!("AF_VSOCK".parse::<Family>().unwrap().number, 40);
        assert!("netlink".parse::<Family>().unwrap_err().contains("vsock"));
        assert!("rds".parse::<Family>().unwrap().reaches().unwrap().contains("any RDMA device"));
    }
}
