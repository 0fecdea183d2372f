//! Names what can be measured, with which program, and what is better.

use std::fmt;
use std::str::FromStr;

/// One of `--tests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    Latency,
    Bandwidth,
    Rate,
}

impl Test {
    pub const ALL: [Self; 3] = [Self::Latency, Self::Bandwidth, Self::Rate];

    /// As on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "lat",
            Self::Bandwidth => "bw",
            Self::Rate => "rate",
        }
    }

    /// For people who have not heard of it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Latency => "time for one message to arrive",
            Self::Bandwidth => "data a second",
            Self::Rate => "messages a second",
        }
    }

    pub const fn unit(self) -> &'static str {
        match self {
            Self::Latency => "us",
            Self::Bandwidth => "MB/s",
            Self::Rate => "Mmsg/s",
        }
    }

    pub const fn is_better_when_higher(self) -> bool {
        !matches!(self, Self::Latency)
    }

    /// Sizes of a message, in bytes.
    pub const fn sizes(self) -> &'static [u32] {
        match self {
            Self::Latency => &[8, 4096],
            Self::Bandwidth => &[65536],
            Self::Rate => &[8],
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Test {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|test| test.name() == text);
        found.ok_or_else(|| format!("'{text}' is no test: expected {}", known()))
    }
}

/// A test with messages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measurement {
    pub test: Test,
    /// Bytes of a message.
    pub size: u32,
}

impl Measurement {
    /// All sizes of these tests, each once.
    pub fn of(tests: &[Test]) -> Vec<Self> {
        let all = tests.iter().flat_map(|&test| test.sizes().iter().map(move |&size| Self { test, size }));
        let mut all: Vec<Self> = all.collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.test, self.size)
    }
}
