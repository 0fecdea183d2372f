//! The descriptor tables of a process's threads.
//!
//! Threads share one table as a rule, and need not: unshare(2) with `CLONE_FILES` gives a thread its own, and one whose process has lost its first thread
//! has a table that `/proc/PID/fd` does not show any more (that is the first thread's, which is gone: `exit_files()`). So every thread is looked at
//! whose table is not known to be another one's.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::closing::Closing;

/// `KCMP_FILES` (include/uapi/linux/kcmp.h).
const KCMP_FILES: i32 = 2;

/// The order of the tables of two threads: equal if it is one table. Errors: it cannot be told.
type Compare = fn(u32, u32) -> io::Result<Ordering>;

/// The threads of process `pid` by which each of its tables is read (`/proc/PID/task/TID/fd`).
///
/// A thread is compared when the iterator comes to it, with those that it gave before: read each before the next is asked for.
///
/// # Errors
/// The process has ended.
pub fn threads(pid: u32) -> io::Result<impl Iterator<Item = u32>> {
    threads_by(pid, compare)
}

fn threads_by(pid: u32, compare: Compare) -> io::Result<impl Iterator<Item = u32>> {
    let listed = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
    let threads = listed.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // In the order of their tables.
    let mut known: Vec<u32> = Vec::new();
    Ok(threads.filter(move |thread| is_new(compare, *thread, &mut known)))
}

/// Each table is new once; where it cannot be told, each thread counts as one with a table of its own.
fn is_new(compare: Compare, thread: u32, known: &mut Vec<u32>) -> bool {
    let mut is_told = true;
    let found = known.binary_search_by(|other| {
        compare(*other, thread).unwrap_or_else(|_| {
            is_told = false;
            Ordering::Less
        })
    });
    match found {
        Ok(_) => false,
        Err(at) => {
            if is_told {
                known.insert(at, thread);
            }
            true
        }
    }
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

/// The links to what is in the table of a thread (proc_pid_fd(5)).
///
/// # Errors
/// The thread has ended, or is another user's.
pub fn descriptors(pid: u32, thread: u32) -> io::Result<impl Iterator<Item = PathBuf>> {
    Ok(fs::read_dir(format!("/proc/{pid}/task/{thread}/fd"))?.flatten().map(|entry| entry.path()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};

    use super::*;
    use crate::processes;

    /// How long that takes is said with `--nocapture`.
    #[test]
    fn of_many_threads_of_one_table_one_is_read() {
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(501));
        let (says, hears) = mpsc::channel();
        let spawned: Vec<_> = (0..500)
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
        let found: Vec<u32> = threads(std::process::id()).unwrap().collect();
        println!("500 threads compared in {:?}", begin.elapsed());
        let begin = std::time::Instant::now();
        let read = |thread| descriptors(std::process::id(), thread).unwrap().map(std::fs::read_link).count();
        let links: usize = own.iter().map(|thread| read(*thread)).sum();
        println!("{links} links of all of them would be read in {:?}", begin.elapsed());
        barrier.wait();
        assert!(!own.iter().any(|thread| found.contains(thread)));
        for thread in spawned {
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
        let threads: Vec<u32> = threads(std::process::id()).unwrap().collect();
        assert!(threads.contains(&own) && !threads.contains(&shared), "{own}, {shared}: {threads:?}");
        assert!(descriptors(std::process::id(), own).unwrap().count() > 2);
        for (thread, lets_end) in [sharing, apart] {
            drop(lets_end);
            thread.join().unwrap();
        }
    }

    /// Threads of whom each three share a table: 0, 1, 2; 3, 4, 5; …
    #[expect(clippy::unnecessary_wraps, reason = "as kcmp(2)")]
    fn by_threes(one: u32, other: u32) -> io::Result<Ordering> {
        // Not in the order of the numbers, as the kernel's are not.
        Ok((one / 3 * 7 % 5).cmp(&(other / 3 * 7 % 5)))
    }

    fn of(compare: Compare, threads: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut known = Vec::new();
        threads.into_iter().filter(|thread| is_new(compare, *thread, &mut known)).collect()
    }

    #[test]
    fn each_table_is_read_once() {
        assert_eq!(of(by_threes, 0..15), [0, 3, 6, 9, 12]);
        assert_eq!(of(by_threes, [7, 2, 8, 0, 14, 6, 13]), [7, 2, 14]);
    }

    #[test]
    fn where_nothing_can_be_told_every_thread_is_read() {
        assert_eq!(of(|_, _| Err(io::ErrorKind::PermissionDenied.into()), 0..3), [0, 1, 2]);
    }

    #[test]
    fn the_callers_own_descriptors_are_listed() {
        let own = std::process::id();
        let file = fs::File::open("/proc/self/stat").unwrap();
        let threads = threads(own).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file).to_string();
        // Another test's thread may have ended since it was listed.
        let each = threads.filter_map(|thread| descriptors(own, thread).ok());
        let has: Vec<bool> = each.map(|mut links| links.any(|path| path.ends_with(&number))).collect();
        assert!(!has.is_empty() && !has.contains(&false));
        assert!(processes::all().unwrap().any(|pid| pid == own));
    }
}
