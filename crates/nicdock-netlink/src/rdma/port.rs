use super::abi::{attr, command, message_type};
use crate::ParseError;
use crate::wire::{Attributes, Messages};

/// One port of an RDMA device (`fill_port_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub device_index: u32,
    pub device_name: String,
    /// Counted from 1, as below `/sys/class/infiniband/X/ports`.
    pub number: u32,
    /// `enum ib_port_state`: 1 down, 2 init, 3 armed, 4 active.
    pub state: Option<u8>,
    /// `enum ib_port_phys_state`: 2 polling, 3 disabled, 5 link up.
    pub physical_state: Option<u8>,
    pub lid: Option<u32>,
    /// The netdev, if there is one and it is in the caller's network namespace.
    pub netdev_index: Option<u32>,
    pub netdev: Option<String>,
}

/// The words of `enum ib_port_state` (include/rdma/ib_verbs.h), as sysfs prints them; `None` for a number without one.
pub fn port_state_name(state: u8) -> Option<&'static str> {
    const NAMES: [&str; 5] = ["DOWN", "INIT", "ARMED", "ACTIVE", "ACTIVE_DEFER"];
    NAMES.get(usize::from(state).checked_sub(1)?).copied()
}

/// Reads the answer to [`Request::ports`](super::Request::ports). Attributes of newer kernels are passed over.
pub fn parse_ports(bytes: &[u8]) -> Result<Vec<Port>, ParseError> {
    // The dump answers with PORT_GET, the single request with GET (`nldev_port_get_doit` of older kernels).
    let kinds = [message_type(command::PORT_GET), message_type(command::GET)];
    let mut ports = Vec::new();
    for message in Messages::new(bytes) {
        let message = message?;
        if kinds.contains(&message.kind) {
            ports.push(parse_port(message.kind, message.payload())?);
        }
    }
    Ok(ports)
}

fn parse_port(kind: u16, payload: &[u8]) -> Result<Port, ParseError> {
    let missing = |attribute| ParseError::Missing { message: kind, attribute };
    let (mut index, mut name, mut number) = (None, None, None);
    let (mut state, mut physical_state, mut lid) = (None, None, None);
    let (mut netdev_index, mut netdev) = (None, None);
    for attribute in Attributes::new(payload) {
        let attribute = attribute?;
        match attribute.kind {
            attr::DEV_INDEX => index = Some(attribute.u32()?),
            attr::DEV_NAME => name = Some(attribute.name()),
            attr::PORT_INDEX => number = Some(attribute.u32()?),
            attr::PORT_STATE => state = Some(attribute.u8()?),
            attr::PORT_PHYS_STATE => physical_state = Some(attribute.u8()?),
            attr::LID => lid = Some(attribute.u32()?),
            attr::NDEV_INDEX => netdev_index = Some(attribute.u32()?),
            attr::NDEV_NAME => netdev = Some(attribute.name()),
            _ => {}
        }
    }
    Ok(Port {
        device_index: index.ok_or_else(|| missing(attr::DEV_INDEX))?,
        device_name: name.ok_or_else(|| missing(attr::DEV_NAME))?,
        number: number.ok_or_else(|| missing(attr::PORT_INDEX))?,
        state,
        physical_state,
        lid,
        netdev_index,
        netdev,
    })
}
