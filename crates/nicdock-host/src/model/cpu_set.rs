//! Sets of processors, as the kernel writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Ranges of processors, both ends included, in order: `0-15,32-47`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuSet(Vec<(u32, u32)>);

impl FromStr for CpuSet {
    type Err = String;

    /// `bitmap_parselist()` (lib/bitmap-str.c), as far as the kernel prints it. An empty text is no processor.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no list of processors (0-15,32-47)");
        let mut ranges = Vec::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |word: &str| {
                let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
                word.parse::<u32>().ok().filter(|_| is_number).ok_or_else(bad)
            };
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(bad());
            }
            ranges.push((first, last));
        }
        ranges.sort_unstable();
        Ok(Self(ranges))
    }
}

impl CpuSet {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|(first, last)| other.0.iter().any(|(from, to)| first <= to && from <= last))
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

impl TryFrom<String> for CpuSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_printed_as_it_was_read() {
        for text in ["", "0", "0-15", "0-15,32-47", "1,3,5"] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), text);
        }
        for text in ["a", "3-1", "-1", "1-", "+1"] {
            assert!(text.parse::<CpuSet>().unwrap_err().contains("0-15,32-47"), "{text}");
        }
    }

    #[test]
    fn sets_overlap_where_they_share_a_processor() {
        let set = |text: &str| text.parse::<CpuSet>().unwrap();
        assert!(set("0-3,8").overlaps(&set("8-9")));
        assert!(!set("0-3,8").overlaps(&set("4-7")));
        assert_eq!(set("0-3,8").count(), 5);
    }
}
