//! Whether two threads share their table of descriptors.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::io;

use nicdock_host::source::Live;
use nicdock_host::source::tables::Tables;

use crate::closing::Closing;

/// `KCMP_FILES` (include/uapi/linux/kcmp.h).
const KCMP_FILES: i32 = 2;

/// Every table of a process's, each read once.
pub fn all() -> Tables {
    Tables::compared_by(compare)
}

/// The machine, whose processes are looked into by [`all`] their tables.
pub fn live() -> Live {
    Live::with_tables(all())
}

/// The order in which the kernel has their tables (kcmp(2)). A kernel without the call says ENOSYS.
fn compare(one: u32, other: u32) -> io::Result<Ordering> {
    // Then a process has the table of its first thread only, even of one that has ended.
    if Closing::ThreadTables.is_left_open() {
        return Ok(Ordering::Equal);
    }
    // SAFETY: the call takes numbers.
    match unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0, 0) } {
        0 => Ok(Ordering::Equal),
        1 => Ok(Ordering::Less),
        2 => Ok(Ordering::Greater),
        -1 => Err(io::Error::last_os_error()),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use nicdock_host::source::tables::descriptors;
    use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};

    use super::*;

    /// How long that takes is said with `--nocapture`.
    #[test]
    fn of_many_threads_of_one_table_one_is_read() {
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(501));
        let (says, hears) = mpsc::channel();
        let threads: Vec<_> = (0..500)
            .map(|_| {
                let (barrier, says) = (barrier.clone(), says.clone());
                thread::spawn(move || {
                    says.send(gettid().as_raw_nonzero().get().unsigned_abs()).unwrap();
                    barrier.wait();
                })
            })
            .collect();
        let own: Vec<u32> = hears.iter().take(500).collect();
        let begin = std::time::Instant::now();
        let found: Vec<u32> = all().threads(std::process::id()).unwrap().collect();
        println!("500 threads compared in {:?}", begin.elapsed());
        let begin = std::time::Instant::now();
        let read = |thread| descriptors(std::process::id(), thread).unwrap().map(std::fs::read_link).count();
        let links: usize = own.iter().map(|thread| read(*thread)).sum();
        println!("{links} links of all of them would be read in {:?}", begin.elapsed());
        barrier.wait();
        assert!(!own.iter().any(|thread| found.contains(thread)));
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_thread_with_a_table_of_its_own_is_read_and_one_without_is_not() {
        let (says, hears) = mpsc::channel();
        let spawn = |of_its_own: bool| {
            let says = says.clone();
            let (lets_end, ends) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                if of_its_own {
                    // SAFETY: descriptors of this thread's own are closed by nobody else.
                    unsafe { unshare_unsafe(UnshareFlags::FILES) }.unwrap();
                }
                says.send(gettid().as_raw_nonzero().get().unsigned_abs()).unwrap();
                let _ = ends.recv();
            });
            (thread, lets_end)
        };
        let sharing = spawn(false);
        let shared = hears.recv().unwrap();
        let apart = spawn(true);
        let own = hears.recv().unwrap();
        let threads: Vec<u32> = all().threads(std::process::id()).unwrap().collect();
        assert!(threads.contains(&own) && !threads.contains(&shared), "{own}, {shared}: {threads:?}");
        assert!(descriptors(std::process::id(), own).unwrap().count() > 2);
        for (thread, lets_end) in [sharing, apart] {
            drop(lets_end);
            thread.join().unwrap();
        }
    }
}
