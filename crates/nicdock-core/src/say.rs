//! What nicdock says. Nobody listening is no reason to stop, least of all while it holds a NIC: the print macros of the
//! standard library panic then.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

/// A line on standard error, with the program's name before it; in one piece, as engines log what they read at once.
pub fn notice(line: impl Display) {
    let _ = io::stderr().write_all(format!("nicdock: {}\n", printable(&line.to_string())).as_bytes());
}

/// Devices, processes and groups are named by whoever makes them; what is said must not steer the terminal that shows it.
fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(steers) { text.replace(steers, "?").into() } else { text.into() }
}

/// The answer to a command, on standard output. A reader that has seen enough (`nicdock ls | head`) is no error.
pub fn answer(text: &str) -> io::Result<()> {
    answer_styled(&printable(text))
}

/// The same for a text with colours, in which names have been made printable already.
pub fn answer_styled(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_name_does_not_steer_the_terminal() {
        assert_eq!(printable("rxe\u{1b}[2J\u{9b}1m\r\n"), "rxe?[2J?1m?\n");
        assert_eq!(printable("a\tb – c\n"), "a\tb – c\n");
    }
}
