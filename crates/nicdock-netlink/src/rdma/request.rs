use std::os::fd::{AsRawFd, BorrowedFd};

use super::abi::{attr, command, message_type};
use crate::name;
use crate::wire::push_attribute;

/// One question or order to the RDMA core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) kind: u16,
    pub(crate) is_dump: bool,
    pub(crate) payload: Vec<u8>,
}

impl Request {
    fn once(command: u16) -> Self {
        Self { kind: message_type(command), is_dump: false, payload: Vec::new() }
    }

    fn list(command: u16) -> Self {
        Self { is_dump: true, ..Self::once(command) }
    }

    fn number(mut self, attribute: u16, value: u32) -> Self {
        push_attribute(&mut self.payload, attribute, &value.to_ne_bytes());
        self
    }

    /// The kernel wants the final NUL (`NLA_NUL_STRING`).
    fn text(mut self, attribute: u16, value: &str) -> Self {
        push_attribute(&mut self.payload, attribute, &[&name::bytes(value)[..], b"\0"].concat());
        self
    }

    /// Every RDMA device that the caller's network namespace may see (`nldev_get_dumpit`).
    pub fn devices() -> Self {
        Self::list(command::GET)
    }

    /// Every port of one device (`nldev_port_get_dumpit`).
    pub fn ports(device: u32) -> Self {
        Self::list(command::PORT_GET).number(attr::DEV_INDEX, device)
    }

    /// The subsystem's settings, of which [`parse_netns_mode`](super::parse_netns_mode) reads one
    /// (`nldev_sys_get_doit`).
    pub fn system() -> Self {
        Self::once(command::SYS_GET)
    }

    /// The device's uverbs node with the driver's number (`nldev_get_chardev`). Loads `ib_uverbs` if it is not there.
    pub fn uverbs(device: u32) -> Self {
        Self::once(command::GET_CHARDEV).text(attr::CHARDEV_TYPE, "uverbs").number(attr::DEV_INDEX, device)
    }

    /// How many objects of each kind the device has (`nldev_res_get_doit`).
    pub fn resources(device: u32) -> Self {
        Self::once(command::RES_GET).number(attr::DEV_INDEX, device)
    }

    /// Every queue pair of one device (`nldev_res_get_qp_dumpit`).
    pub fn queue_pairs(device: u32) -> Self {
        Self::list(command::RES_QP_GET).number(attr::DEV_INDEX, device)
    }

    /// Moves a device to the network namespace behind a descriptor (`nldev_set_doit`, `ib_device_set_netns_put`).
    pub fn set_netns(device: u32, netns: BorrowedFd<'_>) -> Self {
        let fd = netns.as_raw_fd().cast_unsigned();
        Self::once(command::SET).number(attr::DEV_INDEX, device).number(attr::NET_NS_FD, fd)
    }

    /// Gives a device another name (`nldev_set_doit`, `ib_device_rename`).
    pub fn rename(device: u32, name: &str) -> Self {
        Self::once(command::SET).number(attr::DEV_INDEX, device).text(attr::DEV_NAME, name)
    }

    /// Makes a software device of `link_type` (`rxe`, `siw`) on a netdev (`nldev_newlink`). Loads the driver's module.
    pub fn new_link(link_type: &str, name: &str, netdev: &str) -> Self {
        Self::once(command::NEWLINK)
            .text(attr::DEV_NAME, name)
            .text(attr::LINK_TYPE, link_type)
            .text(attr::NDEV_NAME, netdev)
    }

    /// Removes a software device (`nldev_dellink`).
    pub fn delete_link(device: u32) -> Self {
        Self::once(command::DELLINK).number(attr::DEV_INDEX, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_link_is_encoded_as_the_rdma_tool_does() {
        // rdma link add rxe0 type rxe netdev eth1: RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, 3) and three texts.
        let request = Request::new_link("rxe", "rxe0", "eth1");
        assert_eq!(request.kind, 0x1403);
        let expected =
            [&[9, 0, 2, 0][..], b"rxe0\0\0\0\0", &[8, 0, 65, 0], b"rxe\0", &[9, 0, 51, 0], b"eth1\0\0\0\0"];
        assert_eq!(request.payload, expected.concat());
    }

    #[test]
    fn lists_are_dumps_and_orders_are_not() {
        assert!(Request::devices().is_dump);
        assert!(Request::ports(0).is_dump);
        assert!(!Request::system().is_dump);
        assert!(!Request::rename(0, "a").is_dump);
    }
}
