//! How many labs the machine has room for at a time.

use std::fs;
use std::thread;

/// A lab's machine has 3 GiB, QEMU itself needs some (its translated code, when it emulates), and so do caches.
const KIB_EACH: u64 = 4 << 20;

/// Three for two processors, as far as the memory goes: a lab keeps 0.75 of one busy, for its tests wait now and then.
pub fn for_labs() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let wanted = processors * 3 / 2;
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let fit = memory.map_or(1, |kib| usize::try_from(kib / KIB_EACH).unwrap_or(usize::MAX));
    wanted.min(fit).max(1)
}

/// Memory that programs can still have, in KiB (proc_meminfo(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24683876 kB\nMemAvailable:   22809348 kB\n";
        assert_eq!(available(text), Some(22_809_348));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
