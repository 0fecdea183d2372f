//! What nicdock promises, on a real kernel: run in the lab's guest by `cargo xtask test`.
//!
//! Outside the lab every test is reported as ignored.

mod host;
mod isolation;
mod lifecycle;
mod nicdock;
mod probe;
mod probing;
mod refusal;
mod selection;

use libtest_mimic::{Arguments, Failed, Trial};

/// Where this boot runs, as the lab says.
pub struct Lab {
    pub kernel: String,
}

impl Lab {
    /// Whether soft-RoCE works inside a network namespace, so that its netdev can move.
    pub fn moves_soft_roce(&self) -> bool {
        !self.kernel.starts_with("6.")
    }
}

type Test = (&'static str, fn(&Lab) -> Result<(), Failed>, fn(&Lab) -> bool);

fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--probe") {
        return probe::run(&args.collect::<Vec<_>>());
    }
    let arguments = Arguments::from_args();
    let lab = std::env::var("NICDOCK_LAB_KERNEL").ok().map(|kernel| &*Box::leak(Box::new(Lab { kernel })));
    if lab.is_none() {
        eprintln!("the lab tests need the lab (cargo xtask test boots it): all of them are ignored here");
    } else {
        host::prepare();
    }
    let tests: Vec<Test> =
        [isolation::TESTS, lifecycle::TESTS, probing::TESTS, refusal::TESTS, selection::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test, applies)| {
        let runs = lab.is_some_and(applies);
        Trial::test(name, move || match lab {
            Some(lab) => host::unchanged_by(|| test(lab)),
            None => Ok(()),
        })
        .with_ignored_flag(!runs)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
