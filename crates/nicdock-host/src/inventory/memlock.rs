//! How much memory a program started here may pin for a NIC (getrlimit(2), `RLIMIT_MEMLOCK`).

use crate::source::Source;

/// The soft limit in bytes; `u64::MAX` is unlimited.
pub fn limit(source: &dyn Source) -> Option<u64> {
    parse(&String::from_utf8_lossy(&source.read("proc/self/limits").ok()?))
}

/// `proc_pid_limits()` of fs/proc/base.c: `Max locked memory         8388608              8388608              bytes`.
fn parse(limits: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        bytes => bytes.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_number() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max locked memory         65536                unlimited            bytes\n";
        assert_eq!(parse(limits), Some(65536));
        assert_eq!(
            parse("Max locked memory         unlimited            unlimited            bytes"),
            Some(u64::MAX)
        );
        assert_eq!(parse(""), None);
    }
}
