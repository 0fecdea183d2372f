//! Completions and the manual page, from the same definition as the flags.

use clap::CommandFactory;

use super::{Cli, Failure};

pub fn completion(shell: clap_complete::Shell) -> u8 {
    clap_complete::generate(shell, &mut Cli::command(), "nicdock", &mut std::io::stdout());
    0
}

pub fn manual() -> Result<u8, Failure> {
    clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
    Ok(0)
}
