//! Established connections from `/proc/net/tcp` and `/proc/net/tcp6` (proc(5), `get_tcp4_sock()` in
//! `net/ipv4/tcp_ipv4.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`.
const ESTABLISHED: &str = "01";

/// Local and remote ends of every established connection; IPv4 within IPv6 sockets as IPv4.
///
/// # Errors
/// The number of the first line that is not understood.
pub fn established(text: &str) -> Result<Vec<(SocketAddr, SocketAddr)>, usize> {
    let mut connections = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (Some(local), Some(remote), Some(state)) = (words.next(), words.next(), words.next()) else {
            return Err(number + 1);
        };
        if state == ESTABLISHED {
            let address = |word| end(word).map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port));
            connections.push(address(local).zip(address(remote)).ok_or(number + 1)?);
        }
    }
    Ok(connections)
}

/// `0100007F:1F90`: the address in 32-bit words of the machine's byte order, the port as a number.
pub fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip, port))
}

/// The text that [`end`] reads.
pub fn end_text(ip: IpAddr, port: u16) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
    let words: Vec<String> = words.map(|word| format!("{:08X}", u32::from_ne_bytes(word))).collect();
    format!("{}:{port:04X}", words.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

    #[test]
    fn only_established_connections_count_and_mapped_addresses_are_ipv4() {
        let v4 = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
                     1: 0500A8C0:0016 0900A8C0:D431 01 00000000:00000000 02:000A 00000000     0\n";
        let ends = |a: &str, b: &str| (a.parse().unwrap(), b.parse().unwrap());
        let found = established(&format!("{HEADING}{v4}")).unwrap();
        assert_eq!(found, [ends("192.168.0.5:22", "192.168.0.9:54321")]);

        let v6 = "   0: 0000000000000000FFFF00000500A8C0:0016 0000000000000000FFFF00000900A8C0:D431 01 0\n\
                     1: 000080FE00000000000000000100000A:0016 000080FE00000000000000000200000A:0017 01 0\n";
        let found = established(&format!("{HEADING}{v6}")).unwrap();
        assert_eq!(found[0], ends("192.168.0.5:22", "192.168.0.9:54321"));
        assert_eq!(found[1], ends("[fe80::a00:1]:22", "[fe80::a00:2]:23"));
    }

    #[test]
    fn addresses_are_printed_as_they_are_read() {
        for text in ["0500A8C0:0016", "000080FE00000000000000000100000A:0017"] {
            let (ip, port) = end(text).unwrap();
            assert_eq!(end_text(ip, port), text);
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        assert_eq!(established(&format!("{HEADING}   0: what\n")), Err(2));
        assert_eq!(established(&format!("{HEADING}   0: é00000:1 00:1 01\n")), Err(2));
        assert_eq!(established(""), Ok(vec![]));
    }
}
