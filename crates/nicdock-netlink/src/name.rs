//! Names that the kernel gives to interfaces and RDMA devices, as text.
//!
//! They are bytes there: all that `dev_valid_name()` (net/core/dev.c) asks is that none of them is a blank, a slash or a colon, and whoever has
//! `CAP_NET_ADMIN` in an interface's network namespace may choose them. As text, bytes outside of printable ASCII are `\xNN`, and so is
//! the backslash; so each name has one text, each such text is one name, and a terminal, JSON and a command line can have it.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

const ESCAPE: &str = "\\x";

/// A name, or a path with names in it, as text.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' | ..b' ' | 0x7f.. => {
                let _ = write!(text, "{ESCAPE}{byte:02x}");
            }
            _ => text.push(char::from(*byte)),
        }
    }
    text
}

/// The bytes that such a text stands for. What is no escape stands for itself, so that people may also write a name as they see it.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let escaped = rest.strip_prefix(ESCAPE).and_then(|digits| digits.get(..2));
        let digits = escaped.filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        let (length, value) = byte.map_or((first.len_utf8(), None), |byte| (ESCAPE.len() + 2, Some(byte)));
        let (taken, after) = rest.split_at(length);
        bytes.extend(value.map_or(taken.as_bytes().to_vec(), |byte| vec![byte]));
        rest = after;
    }
    bytes
}

/// The one text of a name that somebody has written in some way.
pub fn canonical(written: &str) -> String {
    text(&bytes(written))
}

/// A path with names in it, for the kernel.
pub fn path(text: &str) -> PathBuf {
    OsString::from_vec(bytes(text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_text_that_is_printable_and_stands_for_it() {
        let every: Vec<u8> = (0..=255).collect();
        for name in
            [&b"eth0"[..], b"caf\xe9", "\u{e4}\u{20ac}".as_bytes(), b"a\\x41", b"\\", b"\x1b[2J", &every]
        {
            let text = text(name);
            assert!(text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{text}");
            assert_eq!(bytes(&text), name, "{text}");
            assert_eq!(canonical(&text), text);
        }
        assert_eq!(text(b"caf\xe9\\"), "caf\\xe9\\x5c");
    }

    #[test]
    fn a_name_may_be_written_as_it_is_seen() {
        assert_eq!(canonical("\u{e4}"), "\\xc3\\xa4");
        assert_eq!(canonical("caf\\xE9"), "caf\\xe9");
        assert_eq!(canonical("a\\b\\x\\x4\\xzz"), "a\\x5cb\\x5cx\\x5cx4\\x5cxzz");
        assert_eq!(bytes("\\x\u{e4}"), [&b"\\x"[..], "\u{e4}".as_bytes()].concat());
    }
}
