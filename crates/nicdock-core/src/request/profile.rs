//! How much of the host a container is shown.

use serde::{Deserialize, Serialize};

/// How much of the host's /sys is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The container's NICs, CPUs and memory; nothing else
    #[default]
    Nic,
    /// Everything but other NICs
    Open,
    /// Everything: every NIC of the host is seen
    Off,
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "nic" => Ok(Self::Nic),
            "open" => Ok(Self::Open),
            "off" => Ok(Self::Off),
            _ => Err(format!("'{text}' is no view: expected nic, open or off")),
        }
    }
}
