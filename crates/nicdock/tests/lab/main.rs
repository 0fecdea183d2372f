//! What nicdock promises, on a real kernel: run in the lab's guest by `cargo xtask test`.
//!
//! Outside the lab every test is reported as ignored.

mod audit;
mod host;
mod hostile;
mod isolation;
mod lifecycle;
mod nicdock;
mod probe;
mod probing;
mod refusal;
mod selection;
mod sharing;
mod usnic;
mod usnic_faults;
mod vic;

use libtest_mimic::{Arguments, Failed, Trial};

/// Where this boot runs, as the lab says.
pub struct Lab {
    pub kernel: String,
    /// Virtual Cisco VICs. With them usNIC's tests run, and no others.
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
    match lab {
        None => {
            eprintln!("the lab tests need the lab (cargo xtask test boots it): all of them are ignored here");
        }
        Some(lab) if lab.vics == 0 => host::prepare(),
        Some(_) => {}
    }
    let with =
        |vics: bool, tests: &[&[Test]]| tests.concat().into_iter().map(move |test| (vics, test)).collect();
    let nics: Vec<(bool, Test)> = with(
        false,
        &[
            audit::TESTS,
            hostile::TESTS,
            isolation::TESTS,
            lifecycle::TESTS,
            probing::TESTS,
            refusal::TESTS,
            selection::TESTS,
            sharing::TESTS,
        ],
    );
    let usnics: Vec<(bool, Test)> =
        with(true, &[usnic::TESTS, probing::usnic::TESTS, usnic_faults::TESTS, &[usnic_faults::UNPLUG]]);
    let trials = nics.into_iter().chain(usnics).map(|(needs_vics, (name, test, applies))| {
        let runs = lab.is_some_and(|lab| needs_vics == (lab.vics > 0) && applies(lab));
        Trial::test(name, move || match lab {
            Some(lab) if name == usnic_faults::UNPLUG.0 => test(lab),
            Some(lab) => host::unchanged_by(|| test(lab)),
            None => Ok(()),
        })
        .with_ignored_flag(!runs)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
