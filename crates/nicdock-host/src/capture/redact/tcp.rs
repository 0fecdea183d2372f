//! `/proc/net/tcp` and `tcp6` with other addresses; users and inodes are left out.

use std::net::IpAddr;

use super::addresses::Replacements;
use crate::inventory::tcp::{end, end_text};

/// Lines that are not understood are left out, as the inventory does with them.
pub fn redact(text: &str, new: &Replacements) -> String {
    let heading = text.lines().take(1).map(str::to_owned);
    let lines = text.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (slot, local, remote, state) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(format!("{slot} {} {} {state}", address(local, new)?, address(remote, new)?))
    });
    heading.chain(lines).map(|line| line + "\n").collect()
}

fn address(word: &str, new: &Replacements) -> Option<String> {
    let (ip, port) = end(word)?;
    let ip: IpAddr = new.ip(ip);
    Some(end_text(ip, port))
}
