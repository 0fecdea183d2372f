//! The rules for what makes sockets, and for what makes another one of a socket.
//!
//! libseccomp can compare one argument with a mask and a value, and of rules that overlap it does not say which counts. So what is refused
//! with an error of its own is written as the masks that cover exactly what is not allowed ([`outside`]); what no rule covers is `ENOSYS`.
//! Only 32 bits are compared, as the kernel does: a comparison of 64 bits would be passed by with a high bit set.

use serde_json::{Value, json};

use super::masked;
use crate::request::Sockets;
use crate::request::sockets::{
    AF_NETLINK, INET_PROTOCOLS, IPPROTO_TCP, RAW_PROTOCOLS, SOCK_RAW, TCP_ULP, TELLING_PROTOCOLS, TYPE_MASK,
};

const WIDTH: u32 = 32;
const WHOLE: u64 = 0xffff_ffff;

/// Types and numbers of protocols that Linux has beside [`INET_PROTOCOLS`] below [`RAW_PROTOCOLS`] (net/dccp, net/l2tp): `SOCK_DCCP`, and
/// `SOCK_DGRAM` of L2TP.
const OTHERS: [(u32, u32); 2] = [(6, 33), (2, 115)];

/// The rules for `socket`, `socketpair` and `setsockopt`.
pub fn rules(allowed: &Sockets) -> Vec<Value> {
    let mut rules = of_families(allowed);
    allowed.inet_families().for_each(|family| rules.extend(of_inet(family)));
    rules.extend(of_netlink(allowed));
    rules.extend(of_options());
    rules
}

/// Of a family that is not allowed nothing is made: it is as if the kernel lacked it. The kernel makes pairs of UNIX sockets only, but
/// looks for the protocol's module first.
fn of_families(allowed: &Sockets) -> Vec<Value> {
    let plain: Vec<u32> = allowed.plain_families().collect();
    let mut rules = Vec::new();
    for family in &plain {
        rules.push(allow("socket", &[equals(0, *family)]));
        rules.push(allow("socketpair", &[equals(0, *family)]));
    }
    let mut known = plain.clone();
    known.extend(allowed.inet_families().chain([AF_NETLINK]));
    for (call, families) in [("socket", known), ("socketpair", plain)] {
        let refused = outside(&families);
        rules.extend(refused.map(|set| refuse(call, libc::EAFNOSUPPORT, &[set.of(0)])));
    }
    rules
}

fn of_inet(family: u32) -> Vec<Value> {
    let this = || equals(0, family);
    let kind = |kind: u32| masked(1, kind.into(), TYPE_MASK.into());
    let mut rules = Vec::new();
    for protocol in INET_PROTOCOLS {
        rules.push(allow("socket", &[this(), equals(2, protocol)]));
    }
    let in_a_header = Set { value: 0, mask: WHOLE & !u64::from(RAW_PROTOCOLS - 1) };
    rules.push(allow("socket", &[this(), kind(SOCK_RAW), in_a_header.of(2)]));
    let known: Vec<u32> = (0..RAW_PROTOCOLS).chain(INET_PROTOCOLS).collect();
    rules.extend(outside(&known).map(|set| refuse("socket", libc::EPROTONOSUPPORT, &[this(), set.of(2)])));
    // Lower numbers that no Linux has a protocol of are left to ENOSYS: there would be four times as many rules.
    for (of, protocol) in OTHERS {
        rules.push(refuse("socket", libc::EPROTONOSUPPORT, &[this(), kind(of), equals(2, protocol)]));
    }
    rules
}

/// `EPERM` where programs take it for what it is (rdma-core then reads sysfs), else as from a kernel without the protocol: PAM and sshd
/// take nothing but that for "no audit here" (audit_open(3)).
fn of_netlink(allowed: &Sockets) -> Vec<Value> {
    let this = || equals(0, AF_NETLINK);
    let mut rules = Vec::new();
    let mut known: Vec<u32> = allowed.netlink_numbers().collect();
    rules.extend(known.iter().map(|protocol| allow("socket", &[this(), equals(2, *protocol)])));
    for protocol in TELLING_PROTOCOLS {
        rules.push(refuse("socket", libc::EPERM, &[this(), equals(2, protocol)]));
    }
    known.extend(TELLING_PROTOCOLS);
    rules.extend(outside(&known).map(|set| refuse("socket", libc::EPROTONOSUPPORT, &[this(), set.of(2)])));
    rules
}

/// Every option but `TCP_ULP`, whose name, of SMC or of TLS in the kernel, is in memory: it is not known. Libraries do TLS themselves then.
fn of_options() -> Vec<Value> {
    let (call, level) = ("setsockopt", || equals(1, IPPROTO_TCP));
    let mut rules: Vec<Value> = outside(&[IPPROTO_TCP]).map(|set| allow(call, &[set.of(1)])).collect();
    rules.extend(outside(&[TCP_ULP]).map(|set| allow(call, &[level(), set.of(2)])));
    rules.push(refuse(call, libc::ENOENT, &[level(), equals(2, TCP_ULP)]));
    rules
}

fn allow(call: &str, args: &[Value]) -> Value {
    json!({ "names": [call], "action": "SCMP_ACT_ALLOW", "args": args })
}

fn refuse(call: &str, errno: i32, args: &[Value]) -> Value {
    json!({ "names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args })
}

fn equals(index: u32, value: u32) -> Value {
    masked(index, value.into(), WHOLE)
}

/// The numbers of which the bits `mask` are `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    value: u64,
    mask: u64,
}

impl Set {
    fn of(self, index: u32) -> Value {
        masked(index, self.value, self.mask)
    }
}

/// Sets that have each number of 32 bits exactly once that is not among `known`.
fn outside(known: &[u32]) -> impl Iterator<Item = Set> {
    let mut sets = Vec::new();
    split(known, 0, WIDTH, &mut sets);
    sets.into_iter()
}

/// The same for the numbers that are `prefix` but for their last `bits`.
fn split(known: &[u32], prefix: u64, bits: u32, sets: &mut Vec<Set>) {
    if known.is_empty() {
        sets.push(Set { value: prefix, mask: WHOLE & !((1 << bits) - 1) });
    } else if bits > 0 {
        let bit = 1_u64 << (bits - 1);
        let (with, without): (Vec<u32>, Vec<u32>) =
            known.iter().partition(|number| u64::from(**number) & bit != 0);
        split(&without, prefix, bits - 1, sets);
        split(&with, prefix | bit, bits - 1, sets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_outside_exactly_once_or_known() {
        let known = [0, 4, 15, 20, 262];
        let sets: Vec<Set> = outside(&known).collect();
        let samples = (0..600).chain((9..32).flat_map(|bit| [1 << bit, (1 << bit) + 4, u32::MAX - bit]));
        for number in samples {
            let found = sets.iter().filter(|set| u64::from(number) & set.mask == set.value).count();
            assert_eq!(found, usize::from(!known.contains(&number)), "{number}");
        }
        assert!(sets.len() < 60, "{}", sets.len());
    }
}
