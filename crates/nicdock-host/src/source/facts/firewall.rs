use std::collections::BTreeSet;
use std::fs;
use std::io;

use nicdock_netlink::wire::{Attributes, Connection, Messages};

/// `NETLINK_NETFILTER` (include/uapi/linux/netlink.h).
const NETLINK_NETFILTER: isize = 12;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE` (include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h).
const GET_RULE: u16 = 10 << 8 | 7;
const EINVAL: i32 = 22;
const EPROTONOSUPPORT: i32 = 93;
/// `sizeof(struct nfgenmsg)`.
const HEADER: usize = 4;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;

/// What `nft list ruleset` names. An older table (iptables-legacy, ip6tables-legacy) is named only, not looked into. A rule whose
/// interfaces are in a set is not found.
pub fn lines() -> io::Result<String> {
    let netdevs = super::netdevs()?;
    let mut lines: BTreeSet<String> = BTreeSet::new();
    let rules = match Connection::open(NETLINK_NETFILTER).and_then(|door| door.dump(GET_RULE, &[0; HEADER])) {
        // Without nf_tables in the kernel there are no rules of it (netlink_create(), nfnetlink_rcv_msg()).
        Err(error) if matches!(error.raw_os_error(), Some(EPROTONOSUPPORT | EINVAL)) => Vec::new(),
        rules => rules?,
    };
    for message in Messages::new(&rules) {
        let message = message?;
        lines.extend(of_rule(message.payload().get(HEADER..).unwrap_or_default(), &netdevs)?);
    }
    for file in ["ip_tables_names", "ip6_tables_names"] {
        let tables = fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        lines.extend(tables.lines().map(|table| format!("iptables {table}\n")));
    }
    Ok(lines.into_iter().collect())
}

/// An interface's name is compared as data of 16 bytes (`IFNAMSIZ`), filled up with zeroes (`nft_meta_get_eval_ifname()`), or of its
/// own length where it ends with `*`.
fn of_rule(attributes: &[u8], netdevs: &[String]) -> io::Result<Vec<String>> {
    let (mut table, mut chain, mut expressions) = (String::new(), String::new(), Vec::new());
    for attribute in Attributes::new(attributes) {
        let attribute = attribute?;
        let text = || String::from_utf8_lossy(attribute.payload).trim_end_matches('\0').replace(' ', "_");
        match attribute.kind {
            NFTA_RULE_TABLE => table = text(),
            NFTA_RULE_CHAIN => chain = text(),
            NFTA_RULE_EXPRESSIONS => expressions = attribute.payload.to_vec(),
            _ => {}
        }
    }
    let compares = |name: &&String| {
        let mut data = name.as_bytes().to_vec();
        data.resize(16, 0);
        expressions.windows(data.len()).any(|window| window == data)
    };
    Ok(netdevs.iter().filter(compares).map(|name| format!("{table} {chain} {name}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nicdock_netlink::wire::push_attribute;

    #[test]
    fn a_rule_is_told_by_the_whole_name_of_the_interface_that_it_compares() {
        let mut name = b"eth1".to_vec();
        name.resize(16, 0);
        let mut rule = Vec::new();
        push_attribute(&mut rule, NFTA_RULE_TABLE, b"filter\0");
        push_attribute(&mut rule, NFTA_RULE_CHAIN, b"input\0");
        push_attribute(&mut rule, NFTA_RULE_EXPRESSIONS, &name);
        let netdevs = ["eth1".to_owned(), "eth10".to_owned()];
        assert_eq!(of_rule(&rule, &netdevs).unwrap(), ["filter input eth1\n"]);
    }
}
