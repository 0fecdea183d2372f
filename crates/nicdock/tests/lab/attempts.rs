//! Further attacks on what is finished, one file a target. Each passes when the attack fails, or shows a limit that is documented.
//!
//! A container costs a second, so those that can share one do. Each has a name, which the error tells; docs/security/attacks.md lists them
//! under `Further attempts`.

pub mod attach;
pub mod audit;
pub mod descriptors;
pub mod ledger;
pub mod netlink;
pub mod numbers;
pub mod paths;
pub mod streams;
pub mod terminal;

use std::time::Instant;

use libtest_mimic::Failed;

use crate::nicdock::expect;
use crate::shell::Shell;

/// Not the one of PATH, which may be a script of some version manager's, and slow.
const PYTHON: &str = "/usr/bin/python3";

/// An attack by its name, on something that several share.
pub type Attempt<S> = (&'static str, fn(&mut S) -> Result<(), Failed>);

/// Tries every one, also after one that reached its goal. Errors: those that did, by their names.
pub fn try_each<S>(scene: &mut S, attempts: &[Attempt<S>]) -> Result<(), Failed> {
    let mut reached = Vec::new();
    for (name, attempt) in attempts {
        let begin = Instant::now();
        let result = attempt(scene);
        println!("{name}: {:.1?}", begin.elapsed());
        reached.extend(result.err().map(|error| named(name, &error)));
    }
    expect(reached.is_empty(), reached.join("\n"))
}

fn named(name: &str, error: &Failed) -> String {
    format!("attempt '{name}': {}", error.message().unwrap_or("it failed"))
}

/// Attacks that are a script each in a container, by name, script and what that must say.
fn say_each(shell: &mut Shell, attempts: &[(&str, &str, &str)]) -> Result<(), Failed> {
    let mut reached = Vec::new();
    for (name, script, wanted) in attempts {
        let said = shell.ask(&format!("{script}; true"));
        match said {
            Ok(said) if said.trim() == *wanted => {}
            Ok(said) => reached.push(format!("attempt '{name}' says {said:?}, not {wanted:?}")),
            Err(error) => reached.push(named(name, &error)),
        }
    }
    expect(reached.is_empty(), reached.join("\n"))
}

/// A program for Python, as a word of a shell's script: it must have no apostrophe.
fn python(program: &str) -> String {
    format!("{PYTHON} -c '{program}'")
}

/// Nothing that others have named may steer the terminal that shows it.
fn steers_nothing(what: &str, text: &str) -> Result<(), Failed> {
    expect(!text.contains(['\u{1b}', '\u{9b}', '\r']), format!("{what} has control characters: {text:?}"))
}

/// No lease is left, and nothing that a command would have to give back.
pub fn all_is_free() -> Result<(), Failed> {
    let leases = crate::nicdock::succeed(&["leases"])?;
    expect(leases == "No NIC is leased.\n", leases)
}
