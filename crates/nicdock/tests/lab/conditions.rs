//! Tries hosts as people have them, less tidy than the lab's own.

pub mod links;
pub mod names;
pub mod routes;
pub mod stacked;

use libtest_mimic::Failed;

use crate::host;

/// Runs a test on a host on which `make` was run; `unmake` makes it as before, also when the test fails.
fn on_a_host_with(make: &str, unmake: &str, test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let result = host::shell(&format!("set -e\n{make}")).and_then(|_| {
        host::settle();
        test()
    });
    let undone = host::shell(unmake);
    result.and(undone.map(drop))
}
