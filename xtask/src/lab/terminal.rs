//! The host's terminal while the guest has it: every key goes to the guest, also Ctrl-C.

use super::job::Size;
use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{stdin, stdout};

/// The terminal's size when both input and output are one, so that a command can be interactive.
pub fn size() -> Option<Size> {
    if !isatty(stdin()) || !isatty(stdout()) {
        return None;
    }
    let size = tcgetwinsize(stdout()).ok()?;
    Some(Size { rows: size.ws_row, columns: size.ws_col })
}

/// Raw until dropped.
pub struct Raw(Termios);

impl Raw {
    pub fn enter() -> Result<Self> {
        let before = tcgetattr(stdin()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).context("cannot make the terminal raw")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
