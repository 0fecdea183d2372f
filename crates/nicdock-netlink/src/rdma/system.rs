use super::abi::{attr, command, message_type};
use crate::ParseError;
use crate::wire::{Attributes, Messages};

/// How RDMA devices are shared among network namespaces (`ib_devices_shared_netns` in
/// `drivers/infiniband/core/device.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetnsMode {
    /// Every device is seen and can be opened everywhere.
    Shared,
    /// A device is in one namespace.
    Exclusive,
}

/// Reads the answer to [`Request::system`](super::Request::system); `None` from a kernel without the setting
/// (before 5.2), which shares.
pub fn parse_netns_mode(bytes: &[u8]) -> Result<Option<NetnsMode>, ParseError> {
    for message in Messages::new(bytes) {
        let message = message?;
        if message.kind != message_type(command::SYS_GET) {
            continue;
        }
        for attribute in Attributes::new(message.payload()) {
            let attribute = attribute?;
            if attribute.kind == attr::SYS_NETNS_MODE {
                let shared = attribute.u8()? != 0;
                return Ok(Some(if shared { NetnsMode::Shared } else { NetnsMode::Exclusive }));
            }
        }
    }
    Ok(None)
}
