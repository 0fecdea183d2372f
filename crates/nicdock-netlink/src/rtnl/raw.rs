//! Messages as bytes: what is read on the host and put back later, without knowing what every attribute means.

use std::collections::BTreeMap;
use std::io;

use crate::wire::{Attributes, Messages};

use super::{Rtnl, invalid};

impl Rtnl {
    /// What the kernel lists in answer, each message without its header.
    pub(super) fn list(&mut self, kind: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        payloads(&self.connection.dump(kind, body)?)
    }

    /// Has something done, or answered once; `flags` beside those of a request.
    pub(super) fn order(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        payloads(&self.connection.order(kind, flags, body)?)
    }
}

fn payloads(messages: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    Messages::new(messages).map(|message| Ok(message.map_err(invalid)?.payload().to_vec())).collect()
}

/// The attributes in `bytes` by their kind; of one that is there twice the last.
pub fn attributes(bytes: &[u8]) -> io::Result<BTreeMap<u16, Vec<u8>>> {
    Attributes::new(bytes)
        .map(|attribute| attribute.map(|a| (a.kind, a.payload.to_vec())).map_err(invalid))
        .collect()
}
