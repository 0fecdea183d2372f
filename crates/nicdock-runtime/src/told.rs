//! Writes why a runtime failed where engines look: into its log, a line of JSON each (go-runc, `getLastRuntimeError()` of containerd's shim).

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A log that cannot be written is nobody's concern: standard error has said the same.
pub fn in_log(log: Option<&Path>, message: &str) {
    let Some(mut file) = log.and_then(|path| File::options().append(true).create(true).open(path).ok())
    else {
        return;
    };
    let _ = file.write_all(record(message).as_bytes());
}

fn record(message: &str) -> String {
    let mut text = String::new();
    for letter in message.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            control if control.is_control() => text.push(' '),
            other => text.push(other),
        }
    }
    format!("{{\"level\":\"error\",\"msg\":\"{text}\"}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json() {
        let wanted = "{\"level\":\"error\",\"msg\":\"a \\\"b\\\" \\\\ c d\"}\n";
        assert_eq!(record("a \"b\" \\ c\nd"), wanted);
    }
}
