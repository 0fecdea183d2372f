//! `nicdock call`: what a program asks.

use std::process::ExitCode;

use crate::call;
use nicdock_core::say::{answer, notice};
use serde_json::json;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  echo '{\"schema\": 1, \"method\": \"list\"}' | nicdock call\n  echo '{\"schema\": 1, \"method\": \"check\", \"owner\": {\"engine\": \"mine\", \"name\": \"job-7\"}, \"nics\": [{\"select\": \"kind=roce,any\"}]}' | nicdock call\n\nRequests and answers are in docs/call.md. Words for people are on standard error.\n\nExit status: 0 when it is done; other numbers say why not (nicdock --help), as does error.kind."
)]
pub struct Options {}

pub fn call(_: &Options) -> ExitCode {
    let result = call::call(std::io::stdin().lock());
    let (status, text) = match &result {
        Ok(ok) => (0, json!({"schema": 1, "ok": ok})),
        Err(failure) => {
            notice(failure);
            (failure.kind.exit_status(), failure.json())
        }
    };
    // If nobody reads the answer, there is nobody to tell.
    let _ = answer(&format!("{text}\n"));
    ExitCode::from(status)
}
