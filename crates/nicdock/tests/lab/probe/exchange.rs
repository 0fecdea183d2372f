//! Another user who exchanges two names, so that there is always something under each.

use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Once, or until somebody ends it, now so quickly that one look meets several exchanges, now so slowly that several looks meet none.
pub fn run(one: &str, other: &str, for_ever: bool) -> std::io::Result<()> {
    for turn in 0_u64.. {
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?;
        if !for_ever {
            break;
        }
        std::thread::sleep(Duration::from_micros(turn * turn % 99_991));
    }
    Ok(())
}
