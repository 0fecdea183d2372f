//! What nicdock and the starter agree upon: the starter's command line, how a program is found, and the exit statuses.

mod exec;

use std::ffi::{CStr, CString};

pub use exec::{environment, exec, words};

/// The program's name.
pub const NAME: &str = "nicdock-starter";

/// nicdock itself failed (podman-run(1), "Exit Status").
pub const FAILURE: i32 = 125;
/// The program is there and cannot be executed.
const CANNOT_EXECUTE: i32 = 126;
/// There is no such program.
const NOT_FOUND: i32 = 127;

/// The starter's command line for `command`, a program's name or path with its arguments: `nicdock-starter -- PROGRAM [ARGUMENT…]`.
pub fn arguments(command: &[CString]) -> Vec<CString> {
    [c"nicdock-starter", c"--"].map(CStr::to_owned).into_iter().chain(command.iter().cloned()).collect()
}

/// The program's command line in the starter's own; `None` if it is none that [`arguments`] makes.
pub fn command<'a>(words: &'a [&'a CStr]) -> Option<&'a [&'a CStr]> {
    match words {
        [_, dashes, command @ ..] if *dashes == c"--" && !command.is_empty() => Some(command),
        _ => None,
    }
}

/// Why a program was not started: what to tell the user, and the exit status.
#[derive(Debug)]
pub struct NotStarted {
    pub reason: String,
    pub status: i32,
}

/// Executes `command` in the caller's place. Returns only the reason why it has not.
pub fn start(command: &[&CStr], environment: &[&CStr]) -> NotStarted {
    let Some(program) = command.first() else {
        return NotStarted { reason: "no program is named".to_owned(), status: FAILURE };
    };
    let mut worst = std::io::Error::from_raw_os_error(libc::ENOENT);
    for path in candidates(program, environment) {
        let error = exec(&path, command, environment);
        if error.raw_os_error() != Some(libc::ENOENT) {
            worst = error;
        }
    }
    let not_found = worst.raw_os_error() == Some(libc::ENOENT);
    NotStarted {
        reason: format!("{}: {worst}, in the container", program.to_string_lossy()),
        status: if not_found { NOT_FOUND } else { CANNOT_EXECUTE },
    }
}

/// A name with a slash is a path; any other is looked up in the container's PATH (execvp(3)).
fn candidates(program: &CStr, environment: &[&CStr]) -> Vec<CString> {
    let name = program.to_bytes();
    if name.contains(&b'/') {
        return vec![program.to_owned()];
    }
    let path = environment.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
    let join = |folder: &[u8]| CString::new([folder, b"/", name].concat()).ok();
    let folders = path.unwrap_or_default().split(|byte| *byte == b':').filter(|folder| !folder.is_empty());
    folders.filter_map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read_as_it_was_written() {
        let given = [c"sh".to_owned(), c"--".to_owned(), c"-c".to_owned()];
        let written = arguments(&given);
        let words: Vec<&CStr> = written.iter().map(CString::as_c_str).collect();
        assert_eq!(command(&words), Some(&[c"sh", c"--", c"-c"][..]));
    }

    #[test]
    fn a_command_line_that_nicdock_did_not_write_starts_nothing() {
        for words in [&[][..], &[c"/proc/self/exe"], &[c"/proc/self/exe", c"/script"], &[c"x", c"--"]] {
            assert_eq!(command(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_name_is_looked_up_in_path_and_a_path_is_not() {
        assert_eq!(candidates(c"./a", &[c"PATH=/bin"]), [c"./a".to_owned()]);
        assert_eq!(candidates(c"a", &[c"X=1", c"PATH=/x::/y"]), [c"/x/a".to_owned(), c"/y/a".to_owned()]);
        assert!(candidates(c"a", &[]).is_empty());
    }

    #[test]
    fn why_a_program_was_not_started_is_said_with_its_status() {
        let status = |program| start(&[program], &[]).status;
        assert_eq!(
            (status(c"/nowhere/x"), status(c"x"), status(c"/")),
            (NOT_FOUND, NOT_FOUND, CANNOT_EXECUTE)
        );
        assert_eq!(start(&[], &[]).status, FAILURE);
    }
}
