//! What nicdock says. Nobody listening is no reason to stop, least of all while it holds a NIC: the print macros of the
//! standard library panic then.

use std::fmt::Display;
use std::io::{self, Write};

/// A line on standard error, with the program's name before it; in one piece, as engines log what they read at once.
pub fn notice(line: impl Display) {
    let _ = io::stderr().write_all(format!("nicdock: {line}\n").as_bytes());
}

/// The answer to a command, on standard output. A reader that has seen enough (`nicdock ls | head`) is no error.
pub fn answer(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
