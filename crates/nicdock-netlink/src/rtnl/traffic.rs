//! tc(8): the queueing disciplines of an interface, and whether it has classes and filters.

use std::io;

use crate::wire::{NLM_F_CREATE, NLM_F_REPLACE, push_attribute};

use super::Rtnl;
use super::message::{with_nul, word};
use super::raw::attributes;

// include/uapi/linux/rtnetlink.h
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_GETTCLASS: u16 = 42;
const RTM_GETTFILTER: u16 = 46;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;

/// `sizeof(struct tcmsg)`: family, padding, index (4), handle (4), parent (4), info (4).
const HEADER_LEN: usize = 20;

/// `TC_H_ROOT` (include/uapi/linux/pkt_sched.h).
pub const ROOT: u32 = u32::MAX;

/// One queueing discipline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawQdisc {
    pub handle: u32,
    pub parent: u32,
    pub kind: String,
    /// `TCA_OPTIONS`.
    pub options: Option<Vec<u8>>,
}

impl Rtnl {
    /// Those of interface `ifindex`, the kernel's own too.
    pub fn qdiscs(&mut self, ifindex: u32) -> io::Result<Vec<RawQdisc>> {
        let mut found = Vec::new();
        // The dump is of every interface (net/sched/sch_api.c, `tc_dump_qdisc`).
        for answer in self.list(RTM_GETQDISC, &header(ifindex, 0, 0))? {
            let (head, rest) = answer.split_at_checked(HEADER_LEN).ok_or(io::ErrorKind::InvalidData)?;
            if word(head, 4) != ifindex {
                continue;
            }
            let attributes = attributes(rest)?;
            let kind = attributes.get(&TCA_KIND).map(Vec::as_slice).unwrap_or_default();
            let kind = String::from_utf8_lossy(kind).trim_end_matches('\0').to_owned();
            let options = attributes.get(&TCA_OPTIONS).cloned();
            found.push(RawQdisc { handle: word(head, 8), parent: word(head, 12), kind, options });
        }
        Ok(found)
    }

    /// Makes one as a dump showed it. One in its place is replaced.
    pub fn add_qdisc(&mut self, ifindex: u32, qdisc: &RawQdisc) -> io::Result<()> {
        let mut body = header(ifindex, qdisc.handle, qdisc.parent);
        push_attribute(&mut body, TCA_KIND, &with_nul(&qdisc.kind));
        if let Some(options) = &qdisc.options {
            push_attribute(&mut body, TCA_OPTIONS, options);
        }
        self.order(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &body).map(drop)
    }

    /// Removes one with its classes and filters; the kernel puts its default into the root's place.
    pub fn remove_qdisc(&mut self, ifindex: u32, handle: u32, parent: u32) -> io::Result<()> {
        self.order(RTM_DELQDISC, 0, &header(ifindex, handle, parent)).map(drop)
    }

    /// How many classes and filters are below a queueing discipline.
    pub fn count_below(&mut self, ifindex: u32, qdisc: &RawQdisc) -> io::Result<(usize, usize)> {
        let handle = qdisc.handle;
        let classes = self.list(RTM_GETTCLASS, &header(ifindex, 0, handle))?.len();
        // clsact and ingress keep their filters at two fixed classes (`TC_H_MIN_INGRESS`, `TC_H_MIN_EGRESS`).
        let parents = match qdisc.kind.as_str() {
            "clsact" => vec![handle | 0xfff2, handle | 0xfff3],
            _ => vec![handle],
        };
        let mut filters = 0;
        for parent in parents {
            filters += self.list(RTM_GETTFILTER, &header(ifindex, 0, parent))?.len();
        }
        Ok((classes, filters))
    }
}

fn header(ifindex: u32, handle: u32, parent: u32) -> Vec<u8> {
    [[0; 4], ifindex.to_ne_bytes(), handle.to_ne_bytes(), parent.to_ne_bytes(), [0; 4]].concat()
}
