//! What an administrator sets on an interface beyond name, MTU and MAC address: flags, attributes, further names.

use std::collections::BTreeMap;
use std::io;

use crate::wire::{Attributes, NLM_F_CREATE, NLM_F_EXCL, push_attribute};

use super::message::{LINK_LEN, NLA_F_NESTED, link_header, with_nul};
use super::raw::attributes;
use super::{RTM_GETLINK, RTM_SETLINK, Rtnl, invalid};

// include/uapi/linux/rtnetlink.h
const RTM_NEWLINKPROP: u16 = 108;
const RTM_DELLINKPROP: u16 = 109;

const IFLA_EXT_MASK: u16 = 29;
/// With the settings of virtual functions.
const RTEXT_FILTER_VF: u32 = 1;
const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_VF_INFO: u16 = 1;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;

/// An interface as `RTM_NEWLINK` shows it.
pub struct RawLink {
    /// `IFF_*`.
    pub flags: u32,
    pub attributes: BTreeMap<u16, Vec<u8>>,
}

impl RawLink {
    /// The names beside its first (`ip link property add … altname`).
    pub fn altnames(&self) -> io::Result<Vec<String>> {
        let list = self.attributes.get(&IFLA_PROP_LIST).map(Vec::as_slice).unwrap_or_default();
        let mut names = Vec::new();
        for attribute in Attributes::new(list) {
            let attribute = attribute.map_err(invalid)?;
            if attribute.kind == IFLA_ALT_IFNAME {
                names.push(attribute.name());
            }
        }
        Ok(names)
    }

    /// Ids of the XDP programs on it, by the attribute that tells of each mode (`IFLA_XDP_*_PROG_ID`).
    pub fn xdp(&self) -> io::Result<BTreeMap<u16, Vec<u8>>> {
        attributes(self.attributes.get(&IFLA_XDP).map(Vec::as_slice).unwrap_or_default())
    }

    /// The settings of each virtual function (`IFLA_VF_*`).
    pub fn vfs(&self) -> io::Result<Vec<BTreeMap<u16, Vec<u8>>>> {
        let list = self.attributes.get(&IFLA_VFINFO_LIST).map(Vec::as_slice).unwrap_or_default();
        Attributes::new(list).map(|vf| attributes(vf.map_err(invalid)?.payload)).collect()
    }
}

impl Rtnl {
    /// Everything of interface `ifindex`.
    pub fn raw_link(&mut self, ifindex: u32) -> io::Result<RawLink> {
        let mut body = link_header(ifindex, 0, 0);
        push_attribute(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_VF.to_ne_bytes());
        let answer = self.order(RTM_GETLINK, 0, &body)?.pop().ok_or(io::ErrorKind::NotFound)?;
        let (head, rest) = answer.split_at_checked(LINK_LEN).ok_or(io::ErrorKind::InvalidData)?;
        let [.., f0, f1, f2, f3, _, _, _, _] = *head else { return Err(io::ErrorKind::InvalidData.into()) };
        Ok(RawLink { flags: u32::from_ne_bytes([f0, f1, f2, f3]), attributes: attributes(rest)? })
    }

    /// Sets those flags that are in `mask`.
    pub fn set_flags(&mut self, ifindex: u32, flags: u32, mask: u32) -> io::Result<()> {
        self.order(RTM_SETLINK, 0, &link_header(ifindex, flags & mask, mask)).map(drop)
    }

    /// Sets one attribute as [`RawLink`] shows it.
    pub fn set_attribute(&mut self, ifindex: u32, kind: u16, value: &[u8]) -> io::Result<()> {
        let mut body = link_header(ifindex, 0, 0);
        push_attribute(&mut body, kind, value);
        self.order(RTM_SETLINK, 0, &body).map(drop)
    }

    /// Sets one attribute of a virtual function as [`RawLink::vfs`] shows it: its number is in it.
    pub fn set_vf(&mut self, ifindex: u32, kind: u16, value: &[u8]) -> io::Result<()> {
        let mut inner = Vec::new();
        push_attribute(&mut inner, kind, value);
        let mut list = Vec::new();
        push_attribute(&mut list, IFLA_VF_INFO | NLA_F_NESTED, &inner);
        self.set_attribute(ifindex, IFLA_VFINFO_LIST | NLA_F_NESTED, &list)
    }

    /// Takes away the XDP program of one mode (`XDP_FLAGS_*_MODE`).
    ///
    /// Errors: `EBUSY` when it is held by a BPF link, which some process has (net/core/dev.c, `dev_xdp_attach`).
    pub fn detach_xdp(&mut self, ifindex: u32, mode: u32) -> io::Result<()> {
        let mut inner = Vec::new();
        push_attribute(&mut inner, IFLA_XDP_FD, &(-1i32).to_ne_bytes());
        push_attribute(&mut inner, IFLA_XDP_FLAGS, &mode.to_ne_bytes());
        self.set_attribute(ifindex, IFLA_XDP | NLA_F_NESTED, &inner)
    }

    pub fn add_altname(&mut self, ifindex: u32, name: &str) -> io::Result<()> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.order(RTM_NEWLINKPROP, flags, &altname(ifindex, name)).map(drop)
    }

    pub fn remove_altname(&mut self, ifindex: u32, name: &str) -> io::Result<()> {
        self.order(RTM_DELLINKPROP, 0, &altname(ifindex, name)).map(drop)
    }
}

fn altname(ifindex: u32, name: &str) -> Vec<u8> {
    let mut list = Vec::new();
    push_attribute(&mut list, IFLA_ALT_IFNAME, &with_nul(name));
    let mut body = link_header(ifindex, 0, 0);
    push_attribute(&mut body, IFLA_PROP_LIST | NLA_F_NESTED, &list);
    body
}
