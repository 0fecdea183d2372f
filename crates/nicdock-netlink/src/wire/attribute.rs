use super::align;
use crate::{ParseError, name};

/// `struct nlattr`: length and type, two bytes each.
const HEADER_LEN: usize = 4;
/// `NLA_TYPE_MASK`: the upper two bits are `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const TYPE_MASK: u16 = 0x3fff;

/// One attribute (`struct nlattr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    pub kind: u16,
    /// Where the payload starts, counted from the first byte given to [`Attributes::new`].
    pub offset: usize,
    pub payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    fn array<const N: usize>(&self) -> Result<[u8; N], ParseError> {
        let wrong =
            || ParseError::AttributeSize { attribute: self.kind, expected: N, found: self.payload.len() };
        self.payload.try_into().map_err(|_| wrong())
    }

    pub fn u8(&self) -> Result<u8, ParseError> {
        self.array().map(u8::from_ne_bytes)
    }

    pub fn u32(&self) -> Result<u32, ParseError> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(&self) -> Result<u64, ParseError> {
        self.array().map(u64::from_ne_bytes)
    }

    /// A text, with or without its final NUL.
    pub fn text(&self) -> Result<&'a str, ParseError> {
        std::str::from_utf8(self.before_nul()).map_err(|_| ParseError::AttributeText { attribute: self.kind })
    }

    /// A name, which need not be UTF-8, as the text that stands for it.
    pub fn name(&self) -> String {
        name::text(self.before_nul())
    }

    fn before_nul(&self) -> &'a [u8] {
        self.payload.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// The attributes in a message's (or a nested attribute's) payload, in order.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Attributes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.offset;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        // Nothing is known about what follows a bad length.
        self.offset = self.bytes.len();
        let bad = |claimed| ParseError::Length {
            what: "an attribute",
            offset: start,
            claimed,
            available: rest.len(),
        };
        let &[low, high, kind_low, kind_high, ..] = rest else { return Some(Err(bad(HEADER_LEN))) };
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let Some(payload) = rest.get(HEADER_LEN..length) else { return Some(Err(bad(length))) };
        self.offset = start + align(length);
        let kind = u16::from_ne_bytes([kind_low, kind_high]) & TYPE_MASK;
        Some(Ok(Attribute { kind, offset: start + HEADER_LEN, payload }))
    }
}

/// Appends an attribute and its padding to a message's payload.
///
/// # Panics
/// When the payload is longer than an attribute can be (65,531 bytes).
pub fn push_attribute(message: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let length =
        u16::try_from(HEADER_LEN + payload.len()).expect("an attribute is at most 65,531 bytes long");
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(payload);
    message.resize(align(message.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_pushed() {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, 1, &7u32.to_ne_bytes());
        push_attribute(&mut bytes, 2, b"rxe0\0");
        push_attribute(&mut bytes, 0x8003, &[]);
        let found: Vec<_> = Attributes::new(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(found[0].u32(), Ok(7));
        assert_eq!(found[1].text(), Ok("rxe0"));
        assert_eq!((found[2].kind, found[2].payload), (3, &[][..]));
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error_and_the_last_item() {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, 1, &[1, 2, 3, 4]);
        bytes[0] = 200;
        let mut attributes = Attributes::new(&bytes);
        assert!(matches!(attributes.next(), Some(Err(ParseError::Length { claimed: 200, .. }))));
        assert!(attributes.next().is_none());
    }

    #[test]
    fn a_length_shorter_than_the_header_is_an_error_not_an_endless_loop() {
        let mut attributes = Attributes::new(&[0, 0, 1, 0]);
        assert!(attributes.next().unwrap().is_err());
        assert!(attributes.next().is_none());
    }
}
