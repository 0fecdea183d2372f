//! Protocols of netlink, by name (include/uapi/linux/netlink.h).

use serde::{Deserialize, Serialize};

/// A protocol of netlink that a program may make sockets of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Netlink {
    /// Links, addresses and routes of the own network namespace.
    Route = 0,
    /// Sockets of the own network namespace.
    SockDiag = 4,
    /// Modules' own protocols, one beside the other: a filter of system calls cannot tell them apart.
    Generic = 16,
}

impl Netlink {
    /// What every container may use.
    pub fn default_set() -> Vec<Self> {
        vec![Self::Route, Self::SockDiag]
    }

    /// As socket(2) takes it.
    pub fn number(self) -> u32 {
        self as u32
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::SockDiag => "sock_diag",
            Self::Generic => "generic",
        }
    }

    /// What it lets a program reach; nothing to say of the default ones.
    pub fn reaches(self) -> Option<&'static str> {
        (self == Self::Generic).then_some(
            "what each module of the kernel offers there: SMC's, which any program has the kernel load (up to Linux 6.12 at least), lists every RDMA device of the \
             host, with the host's name",
        )
    }
}

impl std::str::FromStr for Netlink {
    type Err = String;

    /// One that can be allowed beyond the default ones. Not `rdma` nor `kobject_uevent`: no option gives these.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "generic" => Ok(Self::Generic),
            _ => Err(format!(
                "'{text}' is no protocol of netlink that can be allowed: there is generic; route and sock_diag always are"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_generic_netlink_can_be_had_beside_what_all_have() {
        assert_eq!("generic".parse(), Ok(Netlink::Generic));
        for refused in ["rdma", "kobject_uevent", "audit", ""] {
            assert!(refused.parse::<Netlink>().unwrap_err().contains("generic"), "{refused}");
        }
        assert!(Netlink::default_set().iter().all(|protocol| protocol.reaches().is_none()));
    }
}
