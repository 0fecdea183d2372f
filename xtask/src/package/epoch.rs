//! The time that all files of a package have: the commit's (<https://reproducible-builds.org/specs/source-date-epoch/>).

use crate::process::capture;
use crate::workspace;
use anyhow::{Context, Result};
use std::process::Command;

/// Seconds since 1970.
pub fn of_commit() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => {
            capture(Command::new("git").current_dir(workspace::root()).args(["log", "-1", "--format=%ct"]))
                .context(
                    "the time of the commit is not known: in a source without git, set SOURCE_DATE_EPOCH",
                )?
        }
    };
    text.trim()
        .parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH: '{}' is no number of seconds", text.trim()))
}

/// As a Debian changelog has it (RFC 5322).
pub fn in_words(epoch: u64) -> Result<String> {
    let date =
        capture(Command::new("date").env("LC_ALL", "C").args(["--utc", "-R", "-d", &format!("@{epoch}")]))?;
    Ok(date.trim().to_owned())
}

/// As CycloneDX has it.
pub fn as_iso_8601(epoch: u64) -> Result<String> {
    let date =
        capture(Command::new("date").args(["--utc", "-d", &format!("@{epoch}"), "+%Y-%m-%dT%H:%M:%SZ"]))?;
    Ok(date.trim().to_owned())
}
