//! A program that takes back what it has written to its standard output, so that nicdock would wait for what was there a moment ago.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::thread;

pub fn run() -> io::Result<()> {
    println!("stealing");
    let output = || File::options().read(true).open("/proc/self/fd/1");
    let writer = || File::options().write(true).open("/proc/self/fd/1");
    let is_terminal = io::stdout().is_terminal();
    let mut threads = Vec::new();
    for _ in 0..2 {
        let (mut back, mut out) = (output()?, writer()?);
        threads.push(thread::spawn(move || {
            let mut byte = [b'x'];
            while out.write_all(&byte).is_ok() {
                if is_terminal {
                    // SAFETY: a number of a descriptor, and what to do.
                    unsafe { libc::tcflush(1, libc::TCOFLUSH) };
                } else if back.read(&mut byte).is_err() {
                    break;
                }
            }
        }));
    }
    for thread in threads {
        drop(thread.join());
    }
    Ok(())
}
