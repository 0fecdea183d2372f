//! Finds an IPv4 address that nobody on a NIC's network answers for, so that the other end can have it for a while.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

/// The kernel asks three times, a second apart (`mcast_solicit` and `retrans_time_ms`, arp(7)); on one network who has it answers at once.
const PATIENCE: Duration = Duration::from_millis(2500);

const CANDIDATES: u32 = 4;

/// `discard`, of RFC 863: what is sent there means nothing.
const DISCARD: u16 = 9;

/// The first of the subnet's highest addresses that is not answered for. `None` if none is.
pub fn find(own: Ipv4Addr, prefix: u8) -> io::Result<Option<Ipv4Addr>> {
    for candidate in candidates(own, prefix) {
        if is_free(own, candidate)? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

fn network(address: Ipv4Addr, prefix: u8) -> u32 {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    u32::from(address) & mask
}

fn candidates(own: Ipv4Addr, prefix: u8) -> impl Iterator<Item = Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    let broadcast = network(own, prefix) | hosts;
    (1..=CANDIDATES).map(move |below| Ipv4Addr::from(broadcast - below)).filter(move |one| *one != own)
}

/// Sends a datagram, for which the kernel has to ask who has the address. Only an address that was asked for without an answer counts: one of
/// this host's, or one that is reached another way, is not asked for.
fn is_free(own: Ipv4Addr, candidate: Ipv4Addr) -> io::Result<bool> {
    let socket = UdpSocket::bind((own, 0))?;
    let _ = socket.send_to(&[], (candidate, DISCARD));
    let begin = Instant::now();
    let mut was_asked = false;
    while begin.elapsed() < PATIENCE {
        match is_answered(&fs::read_to_string("/proc/net/arp")?, candidate) {
            Some(true) => return Ok(false),
            Some(false) => was_asked = true,
            None => {}
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(was_asked)
}

/// `None`: nobody asked. The third field has `ATF_COM` (2) when there was an answer (proc(5), include/uapi/linux/if_arp.h).
fn is_answered(table: &str, address: Ipv4Addr) -> Option<bool> {
    let mut rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.first().and_then(|word| word.parse().ok()) == Some(address))?;
    let flags = u32::from_str_radix(row.get(2)?.trim_start_matches("0x"), 16).ok()?;
    Some(flags & 2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_in_the_subnet_and_not_our_own() {
        let of = |own: &str, prefix| candidates(own.parse().unwrap(), prefix).map(|one| one.to_string());
        assert_eq!(of("10.77.1.253", 24).collect::<Vec<_>>(), ["10.77.1.254", "10.77.1.252", "10.77.1.251"]);
        assert_eq!(of("10.0.0.1", 8).next().unwrap(), "10.255.255.254");
        assert_eq!(of("10.0.0.1", 29).last().unwrap(), "10.0.0.3");
    }

    #[test]
    fn an_answer_is_told_from_a_question() {
        let table = "IP address HW type Flags HW address Mask Device\n\
                     10.77.1.7 0x1 0x2 52:54:00:4e:49:02 * eth0\n\
                     10.77.1.8 0x1 0x0 00:00:00:00:00:00 * eth0\n";
        let of = |address: &str| is_answered(table, address.parse().unwrap());
        assert_eq!([of("10.77.1.7"), of("10.77.1.8"), of("10.77.1.9")], [Some(true), Some(false), None]);
    }
}
