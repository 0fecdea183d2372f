//! Waiting for the kernel, with an end.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Polls until `ready`, or fails after `seconds` with what was waited for.
pub fn until(what: &str, seconds: u64, ready: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !ready() {
        if Instant::now() > deadline {
            bail!("{what}: still not so after {seconds} s");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Until the port of an RDMA device is active.
pub fn until_active(device: &str) -> Result<()> {
    let state = format!("/sys/class/infiniband/{device}/ports/1/state");
    until(&format!("{device} is active"), 10, || {
        std::fs::read_to_string(&state).is_ok_and(|text| text.contains("ACTIVE"))
    })
}
