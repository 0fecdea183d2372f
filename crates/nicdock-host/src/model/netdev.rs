//! Network interfaces with what the host has configured on them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A link-layer address: 6 bytes on Ethernet, 20 on `IPoIB`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub Vec<u8>);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let byte = |part: &str| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()).flatten();
        let bytes: Option<Vec<u8>> = text.trim().split(':').map(byte).collect();
        bytes
            .filter(|b| b.len() <= 32)
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a link-layer address"))
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A network interface in the namespace that the host was read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Netdev {
    /// As the text that stands for it ([`nicdock_netlink::name`]); so are all names of interfaces and RDMA devices.
    pub name: String,
    pub ifindex: u32,
    pub altnames: Vec<String>,
    /// The address in use and the one burnt in (`IFLA_PERM_ADDRESS`); equal unless somebody changed the first.
    pub mac: Option<Mac>,
    pub permanent_mac: Option<Mac>,
    /// `ARPHRD_*` (1 Ethernet, 32 InfiniBand).
    pub link_type: u16,
    /// Port number on a function with several (`/sys/class/net/X/dev_port`, counted from 0).
    pub dev_port: u32,
    pub mtu: u32,
    /// `IFF_UP`: set up by the administrator.
    pub up: bool,
    /// Link seen by the driver; `None` while the interface is down.
    pub carrier: Option<bool>,
    /// Link speed in Mbit/s, where the driver tells.
    pub speed_mbps: Option<u32>,
    /// Kernel name of the virtual kind (`IFLA_INFO_KIND`: veth, bond, …); `None` on hardware.
    pub virtual_kind: Option<String>,
    /// Path below `/sys`, without links.
    pub sysfs: String,
    pub addresses: Vec<Address>,
    /// Routes that leave by this interface, in every table but `local` (the kernel makes those itself).
    pub routes: Vec<Route>,
    /// What is on top of it, by name (`/sys/class/net/X/upper_*`): VLANs and their like, bonds, tunnels that are bound to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uppers: Vec<String>,
    /// What the kernel told of it, of an address or of a route, and is not understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// What the host would lose for good if it were taken to another network namespace and came back, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// `RTPROT_KERNEL` (include/uapi/linux/rtnetlink.h).
const PROTOCOL_KERNEL: u8 = 2;

/// `ARPHRD_INFINIBAND` (include/uapi/linux/if_arp.h).
const ARPHRD_INFINIBAND: u16 = 32;

impl Netdev {
    /// IP over InfiniBand.
    pub fn is_ipoib(&self) -> bool {
        self.link_type == ARPHRD_INFINIBAND
    }

    /// Routes that somebody made; the kernel makes its own again with each address.
    pub fn own_routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.protocol != PROTOCOL_KERNEL)
    }
}

/// How long an address stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    Forever,
    /// Seconds, from the moment of reading.
    Seconds(u32),
}

/// One address of an interface (`RTM_NEWADDR`, rtnetlink(7)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Address {
    pub ip: IpAddr,
    pub prefix_len: u8,
    /// `RT_SCOPE_*`: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: u32,
    pub valid: Lifetime,
    pub preferred: Lifetime,
    /// The netlink message as the kernel gave it (header included), to put back exactly what was there.
    #[serde(with = "super::netdev::hex")]
    pub raw: Vec<u8>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix_len)
    }
}

/// One route that leaves by an interface (`RTM_NEWROUTE`, rtnetlink(7)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Destination; `None` is the default route.
    pub destination: Option<(IpAddr, u8)>,
    pub ipv6: bool,
    pub gateway: Option<IpAddr>,
    pub table: u32,
    /// `RTPROT_*`: 2 is the kernel's own (made with the address), 3 boot, 4 static, 16 DHCP.
    pub protocol: u8,
    pub metric: Option<u32>,
    /// The netlink message as the kernel gave it (header included), to put back exactly what was there.
    #[serde(with = "super::netdev::hex")]
    pub raw: Vec<u8>,
}

impl fmt::Display for Route {
    /// `route to 10.1.0.0/16 via 10.0.0.1`, `default route`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some((ip, length)) => write!(f, "route to {ip}/{length}")?,
            None => f.write_str("default route")?,
        }
        self.gateway.map_or(Ok(()), |gateway| write!(f, " via {gateway}"))
    }
}

/// Bytes as hexadecimal text in JSON.
pub mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write;
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |b: u8| u8::try_from((b as char).to_digit(16)?).ok();
        text.as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
                _ => None,
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| serde::de::Error::custom("not hexadecimal bytes"))
    }
}
