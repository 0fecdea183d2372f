//! Completions and manual pages, from the same definition as the flags.

use std::path::Path;

use clap::CommandFactory;

use super::{Cli, Failure};
use nicdock_core::say::answer;

pub fn completion(shell: clap_complete::Shell) -> u8 {
    clap_complete::generate(shell, &mut Cli::command(), "nicdock", &mut std::io::stdout());
    0
}

/// All pages into a folder, or the first to standard output.
pub fn manual(folder: Option<&Path>) -> Result<u8, Failure> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        answer(&String::from_utf8_lossy(&page))?;
        return Ok(0);
    };
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|error| format!("writing the manual pages to {}: {error}", folder.display()))?;
    Ok(0)
}
