//! Fuzz targets as ordinary tests: a parser is given samples, and samples with edits.
//!
//! A target is a folder of samples and a function of bytes. Beside panics and failed assertions, an input fails that takes
//! long or much memory for its size: a length field must not be believed, nor may work grow with the square of the input.
//!
//! `NICDOCK_FUZZ_CASES` is the number of edited inputs for each target ([`CASES`]); the inputs differ from run to run, unless
//! `PROPTEST_RNG_SEED` is set, as `cargo xtask test` does without `--soak`. A failure prints the smallest input that was found for it: make that a sample, or a test with a name of its own.

mod edit;

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use proptest::test_runner::{Config, TestError, TestRunner};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Enough for some seconds over all targets.
pub const CASES: u32 = 256;

/// What one input may take of a processor's time. Test builds are slow: this is for what grows without bounds.
const TIME: Duration = Duration::from_secs(5);
/// For tables, and for tests that run beside.
const MEMORY_BASE: usize = 64 << 20;
const MEMORY_PER_BYTE: usize = 1024;

/// Memory is measured for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The folder of a target's samples in the crate that calls it.
#[macro_export]
macro_rules! samples {
    ($target:expr) => {
        format!("{}/fuzz/{}", env!("CARGO_MANIFEST_DIR"), $target)
    };
}

/// Gives every sample of `folder`, and edited ones, to `parse`.
///
/// # Panics
/// When `parse` panics or takes too much, or the folder holds no samples.
pub fn check(folder: &str, parse: impl Fn(&[u8])) {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let samples = samples(Path::new(folder));
    for (name, sample) in &samples {
        println!("{folder}/{name}");
        bounded(sample, &parse);
    }
    let samples: Vec<Vec<u8>> = samples.into_iter().map(|(_, sample)| sample).collect();
    let config =
        Config { cases: cases(), failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let input = edit::edited(samples);
    let result = TestRunner::new(config).run(&input, |Input(bytes)| {
        bounded(&bytes, &parse);
        Ok(())
    });
    drop(guard);
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, input)) => panic!("{folder}: {reason}; the input was {input:?}"),
        Err(error) => panic!("{folder}: {error}"),
    }
}

/// Edited inputs for each target.
///
/// # Panics
/// When `NICDOCK_FUZZ_CASES` is not a number.
pub fn cases() -> u32 {
    std::env::var("NICDOCK_FUZZ_CASES")
        .map_or(CASES, |cases| cases.parse().expect("NICDOCK_FUZZ_CASES is a number"))
}

fn samples(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("a readable folder");
        let bytes = fs::read(entry.path()).expect("a readable sample");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    let mut samples: Vec<_> = entries.map(read).collect();
    samples.sort();
    assert!(!samples.is_empty(), "{} holds no samples", folder.display());
    samples
}

/// # Panics
/// When `parse` does, or takes too much for so many bytes.
pub fn bounded(bytes: &[u8], parse: impl Fn(&[u8])) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let begin = spent();
    parse(bytes);
    let took = spent().saturating_sub(begin);
    let memory = MEMORY.peak_usage().saturating_sub(before);
    assert!(took < TIME, "{} bytes took {took:?}", bytes.len());
    let allowed = MEMORY_BASE + bytes.len() * MEMORY_PER_BYTE;
    assert!(memory < allowed, "{} bytes took {memory} bytes of memory", bytes.len());
}

/// This thread's time on a processor (clock_gettime(2)): what the machine does beside does not count.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Bytes that are shown as they are written in Rust.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}
