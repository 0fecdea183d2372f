//! Waiting for the kernel and the link: visible after a second, and not for ever.

use std::io;
use std::time::{Duration, Instant};

use super::PhaseError;
use crate::say::notice;

/// What is waited for.
pub struct Wait {
    /// How the error names it: `waiting for …`.
    pub doing: String,
    pub at_most: Duration,
    /// What to do when it does not come.
    pub advice: &'static str,
}

impl Wait {
    /// Asks every 5 ms what is lacking, until that is nothing. `tell` makes the notice of what lacks after a second.
    pub fn until_complete(
        &self,
        tell: impl Fn(&str) -> String,
        mut lacks: impl FnMut() -> Result<Option<String>, PhaseError>,
    ) -> Result<(), PhaseError> {
        let begin = Instant::now();
        let mut told = false;
        while let Some(lacking) = lacks()? {
            if begin.elapsed() > self.at_most {
                let reason = format!("{lacking} after {} s", self.at_most.as_secs());
                let error = io::Error::new(io::ErrorKind::TimedOut, reason);
                return Err(PhaseError::new(&self.doing, error).with_advice(self.advice));
            }
            if !told && begin.elapsed() > Duration::from_secs(1) {
                notice(tell(&lacking));
                told = true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
