use super::align;
use crate::ParseError;

/// `sizeof(struct nlmsghdr)`.
pub const HEADER_LEN: usize = 16;

/// One message: `struct nlmsghdr` and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`, `NLM_F_*`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// Where the message starts, counted from the first byte given to [`Messages::new`].
    pub offset: usize,
    /// Header and payload, without padding.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }
}

/// The messages in a datagram, or in several laid end to end.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Messages<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.offset;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        // Nothing is known about what follows a bad length.
        self.offset = self.bytes.len();
        let bad =
            |claimed| ParseError::Length { what: "a message", offset: start, claimed, available: rest.len() };
        let Some((header, _)) = rest.split_first_chunk::<HEADER_LEN>() else {
            return Some(Err(bad(HEADER_LEN)));
        };
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let Some(bytes) = rest.get(..length).filter(|bytes| bytes.len() >= HEADER_LEN) else {
            return Some(Err(bad(length)));
        };
        self.offset = start.saturating_add(align(length));
        Some(Ok(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            offset: start,
            bytes,
        }))
    }
}

/// One message, padded, so that messages can be laid end to end.
///
/// # Panics
/// When the payload is longer than a message can be (4 GiB).
pub fn encode(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_LEN + payload.len()).expect("a message is shorter than 4 GiB");
    let mut bytes = Vec::with_capacity(align(length as usize));
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    // nlmsg_pid: 0 is the kernel, and lets it fill in ours.
    bytes.extend_from_slice(&0u32.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(align(bytes.len()), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_laid_end_to_end_are_read_one_by_one() {
        let bytes = [encode(16, 2, 1, b"abcde"), encode(20, 0, 1, b"")].concat();
        let found: Vec<_> = Messages::new(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].kind, found[0].payload()), (16, &b"abcde"[..]));
        assert_eq!((found[1].kind, found[1].offset), (20, 24));
    }

    #[test]
    fn a_message_shorter_than_its_header_or_longer_than_the_data_is_an_error() {
        for length in [0u32, 15, 17, u32::MAX] {
            let mut bytes = encode(16, 0, 1, b"");
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let mut messages = Messages::new(&bytes);
            assert!(matches!(messages.next(), Some(Err(ParseError::Length { .. }))), "{length}");
            assert!(messages.next().is_none());
        }
        assert!(Messages::new(&[1, 2, 3]).next().unwrap().is_err());
    }
}
