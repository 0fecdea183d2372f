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
    /// Virtual Cisco VICs. With two the usNIC tests run, and no others.
    pub vics: usize,
}

impl Lab {
    /// Whether soft-RoCE works inside a network namespace, so that its netdev can move.
    pub fn moves_soft_roce(&self) -> bool {
        !self.kernel.starts_with("6.")
    }

    /// Whether usNIC's driver registers memory: on 7.2 it crashes.
    pub fn registers_usnic_memory(&self) -> bool {
        self.kernel.starts_with("6.")
    }
}

type Test = (&'static str, fn(&Lab) -> Result<(), Failed>, fn(&Lab) -> bool);

fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--probe") {
        return probe::run(&args.collect::<Vec<_>>());
    }
    let arguments = Arguments::from_args();
    let vics = std::env::var("NICDOCK_LAB_VICS").ok().and_then(|vics| vics.parse().ok()).unwrap_or(0);
    let lab =
        std::env::var("NICDOCK_LAB_KERNEL").ok().map(|kernel| &*Box::leak(Box::new(Lab { kernel, vics })));
    if lab.is_none() {
        eprintln!("the lab tests need the lab (cargo xtask test boots it): all of them are ignored here");
    } else if vics < 2 {
        host::prepare();
    }
    let of_usnic: Vec<Test> = [probing::usnic::TESTS].concat();
    let of_others: Vec<Test> =
        [isolation::TESTS, lifecycle::TESTS, probing::TESTS, refusal::TESTS, selection::TESTS].concat();
    let tests = of_others.into_iter().map(|test| (test, vics < 2));
    let tests = tests.chain(of_usnic.into_iter().map(|test| (test, vics >= 2)));
    let trials = tests.map(|((name, test, applies), here)| {
        let runs = here && lab.is_some_and(applies);
        Trial::test(name, move || match lab {
            Some(lab) => host::unchanged_by(|| test(lab)),
            None => Ok(()),
        })
        .with_ignored_flag(!runs)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
