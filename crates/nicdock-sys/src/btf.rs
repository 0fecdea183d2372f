//! Names in the kernel's own type information (Documentation/bpf/btf.rst), to find what a BPF program attaches to.

/// `struct btf_header`, and each `struct btf_type` (include/uapi/linux/btf.h).
const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
const TYPE: usize = 12;
const KIND_FUNC: u32 = 12;

/// The id of function `name` in `btf`, the content of `/sys/kernel/btf/vmlinux`; `None` if it has none, or is broken.
pub fn function(btf: &[u8], name: &str) -> Option<u32> {
    let word = |at: usize| Some(u32::from_ne_bytes(btf.get(at..at + 4)?.try_into().ok()?));
    let size = |at: usize| word(at).and_then(|value| usize::try_from(value).ok());
    if u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let start = size(4)?;
    let types = btf.get(start + size(8)?..)?.get(..size(12)?)?;
    let strings = btf.get(start + size(16)?..)?.get(..size(20)?)?;
    debug_assert!(start >= HEADER);
    let is_name = |offset: usize| {
        let text = strings.get(offset..).unwrap_or_default();
        text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    };
    let mut at = 0;
    // Id 0 is void and has no entry.
    for id in 1.. {
        let entry = types.get(at..at + TYPE)?;
        let word = |at: usize| u32::from_ne_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let (kind, count) = (word(4) >> 24 & 0x1f, (word(4) & 0xffff) as usize);
        if kind == KIND_FUNC && is_name(word(0) as usize) {
            return Some(id);
        }
        at += TYPE + extra(kind, count)?;
    }
    None
}

/// Bytes after a type's fixed part; `None` for a kind of a later kernel.
fn extra(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        2 | 7..=12 | 16 | 18 => 0, // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        1 | 14 | 17 => 4,          // INT, VAR, DECL_TAG
        3 => 12,                   // ARRAY
        4 | 5 | 15 | 19 => 12 * count, // STRUCT, UNION, DATASEC, ENUM64
        6 | 13 => 8 * count,       // ENUM, FUNC_PROTO
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn btf(types: &[[u32; 3]], strings: &[u8]) -> Vec<u8> {
        let length = u32::try_from(types.len() * TYPE).unwrap();
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, length, length, u32::try_from(strings.len()).unwrap()] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(types.iter().flatten().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn a_function_is_found_by_its_whole_name() {
        let strings = b"\0socket_create_more\0socket_create\0";
        let types = [[0, 2 << 24, 0], [1, KIND_FUNC << 24, 0], [20, KIND_FUNC << 24, 0]];
        assert_eq!(function(&btf(&types, strings), "socket_create"), Some(3));
        assert_eq!(function(&btf(&types, strings), "create"), None);
    }

    #[test]
    fn what_is_cut_off_or_of_a_later_kind_is_no_answer() {
        let whole = btf(&[[1, KIND_FUNC << 24, 0]], b"\0x\0");
        assert!((0..whole.len()).all(|length| function(&whole[..length], "x").is_none()));
        assert_eq!(function(&btf(&[[0, 31 << 24, 0], [1, KIND_FUNC << 24, 0]], b"\0x\0"), "x"), None);
    }
}
