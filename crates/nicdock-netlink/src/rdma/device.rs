use super::abi::{attr, command, message_type};
use crate::ParseError;
use crate::wire::{Attributes, Messages};

/// One RDMA device (`fill_dev_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What every other request names the device by. Not reused soon, but meaningless after a reboot.
    pub index: u32,
    pub name: String,
    /// Ports are numbered from 1 to this.
    pub port_count: u32,
    pub firmware: Option<String>,
    pub node_guid: Option<u64>,
    /// `enum rdma_node_type` of `include/rdma/ib_verbs.h`: 1 channel adapter, 4 RNIC, 6 usNIC over UDP.
    pub node_type: Option<u8>,
    /// What the first port speaks: `ib`, `iw`, `usnic`, `roce`, `opa` (`fill_dev_info`; Linux 5.1 and later).
    pub protocol: Option<String>,
}

/// Reads the answer to [`Request::devices`](super::Request::devices). Attributes of newer kernels are passed over.
pub fn parse_devices(bytes: &[u8]) -> Result<Vec<Device>, ParseError> {
    let kind = message_type(command::GET);
    let mut devices = Vec::new();
    for message in Messages::new(bytes) {
        let message = message?;
        if message.kind == kind {
            devices.push(parse_device(kind, message.payload())?);
        }
    }
    Ok(devices)
}

fn parse_device(kind: u16, payload: &[u8]) -> Result<Device, ParseError> {
    let missing = |attribute| ParseError::Missing { message: kind, attribute };
    let (mut index, mut name) = (None, None);
    let mut device = Device {
        index: 0,
        name: String::new(),
        port_count: 0,
        firmware: None,
        node_guid: None,
        node_type: None,
        protocol: None,
    };
    for attribute in Attributes::new(payload) {
        let attribute = attribute?;
        match attribute.kind {
            attr::DEV_INDEX => index = Some(attribute.u32()?),
            attr::DEV_NAME => name = Some(attribute.name()),
            attr::PORT_INDEX => device.port_count = attribute.u32()?,
            attr::FW_VERSION => device.firmware = Some(attribute.name()),
            attr::NODE_GUID => device.node_guid = Some(attribute.u64()?),
            attr::DEV_NODE_TYPE => device.node_type = Some(attribute.u8()?),
            attr::DEV_PROTOCOL => device.protocol = Some(attribute.name()),
            _ => {}
        }
    }
    device.index = index.ok_or_else(|| missing(attr::DEV_INDEX))?;
    device.name = name.ok_or_else(|| missing(attr::DEV_NAME))?;
    Ok(device)
}
