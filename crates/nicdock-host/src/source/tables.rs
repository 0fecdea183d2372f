//! The descriptor tables of a process's threads.
//!
//! Threads share one table as a rule, and need not: unshare(2) with `CLONE_FILES` gives a thread its own, and one whose process has lost its first thread
//! has a table that `/proc/PID/fd` does not show any more (that is the first thread's, which is gone: `exit_files()`). So every thread is looked at
//! whose table is not known to be another one's.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The order of the tables of two threads, as kcmp(2) has it (`KCMP_FILES`): equal if it is one table. Errors: it cannot be told.
pub type Compare = fn(u32, u32) -> io::Result<Ordering>;

/// How the tables of a process are told from each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tables {
    compare: Option<Compare>,
}

impl Tables {
    /// Each table once; without it, and where it gives an error, each thread counts as one with a table of its own.
    pub fn compared_by(compare: Compare) -> Self {
        Self { compare: Some(compare) }
    }

    /// The threads of process `pid` by which each of its tables is read (`/proc/PID/task/TID/fd`).
    ///
    /// A thread is compared when the iterator comes to it, with those that it gave before: read each before the next is asked for.
    ///
    /// # Errors
    /// The process has ended.
    pub fn threads(self, pid: u32) -> io::Result<impl Iterator<Item = u32>> {
        let listed = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
        let threads = listed.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // In the order of their tables.
        let mut known: Vec<u32> = Vec::new();
        Ok(threads.filter(move |thread| self.is_new(*thread, &mut known)))
    }

    fn is_new(self, thread: u32, known: &mut Vec<u32>) -> bool {
        let Some(compare) = self.compare else { return true };
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
    use super::super::processes;
    use super::*;

    /// Threads of whom each three share a table: 0, 1, 2; 3, 4, 5; …
    #[expect(clippy::unnecessary_wraps, reason = "as kcmp(2)")]
    fn by_threes(one: u32, other: u32) -> io::Result<Ordering> {
        // Not in the order of the numbers, as the kernel's are not.
        Ok((one / 3 * 7 % 5).cmp(&(other / 3 * 7 % 5)))
    }

    fn of(tables: Tables, threads: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut known = Vec::new();
        threads.into_iter().filter(|thread| tables.is_new(*thread, &mut known)).collect()
    }

    #[test]
    fn each_table_is_read_once() {
        assert_eq!(of(Tables::compared_by(by_threes), 0..15), [0, 3, 6, 9, 12]);
        assert_eq!(of(Tables::compared_by(by_threes), [7, 2, 8, 0, 14, 6, 13]), [7, 2, 14]);
    }

    #[test]
    fn where_nothing_can_be_told_every_thread_is_read() {
        assert_eq!(of(Tables::default(), 0..3), [0, 1, 2]);
        assert_eq!(
            of(Tables::compared_by(|_, _| Err(io::ErrorKind::PermissionDenied.into())), 0..3),
            [0, 1, 2]
        );
    }

    #[test]
    fn the_callers_own_descriptors_are_listed() {
        let own = std::process::id();
        let file = fs::File::open("/proc/self/stat").unwrap();
        let threads = Tables::default().threads(own).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file).to_string();
        // Another test's thread may have ended since it was listed.
        let each = threads.filter_map(|thread| descriptors(own, thread).ok());
        let has: Vec<bool> = each.map(|mut links| links.any(|path| path.ends_with(&number))).collect();
        assert!(!has.is_empty() && !has.contains(&false));
        assert!(processes::all().unwrap().any(|pid| pid == own));
    }
}
