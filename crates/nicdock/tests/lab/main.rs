//! What nicdock promises, on a real kernel: run in the lab's guest by `cargo xtask test`.
//!
//! Outside the lab every test is reported as ignored.

mod audit;
mod closed;
mod closings;
mod entries;
mod exclusive;
mod host;
mod hostile;
mod hostile_roots;
mod hotplug;
mod isolation;
mod lifecycle;
mod monitor;
mod nicdock;
mod probe;
mod probing;
mod programs;
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
    /// RDMA network namespaces are exclusive, and soft-RoCE devices can be moved.
    pub exclusive: bool,
}

impl Lab {
    /// Whether soft-RoCE works inside a network namespace, so that its netdev can move.
    pub fn moves_soft_roce(&self) -> bool {
        !self.kernel.starts_with("6.")
    }

    /// Where what takes long and differs little between labs runs: each kernel once, and each version of cgroups.
    pub fn is_thorough(&self) -> bool {
        let version = std::env::var("NICDOCK_LAB_CGROUP").unwrap_or_default();
        !self.exclusive && (version == "v1") == (self.kernel == "6.12")
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
    let exclusive = std::env::var("NICDOCK_LAB_RDMA").is_ok_and(|mode| mode == "exclusive");
    let lab = std::env::var("NICDOCK_LAB_KERNEL")
        .ok()
        .map(|kernel| &*Box::leak(Box::new(Lab { kernel, vics, exclusive })));
    match lab {
        None => {
            eprintln!("the lab tests need the lab (cargo xtask test boots it): all of them are ignored here");
        }
        Some(lab) if lab.vics == 0 => host::prepare(),
        Some(_) => {}
    }
    let with = |vics: Option<bool>, tests: &[&[Test]]| {
        tests.concat().into_iter().map(move |test| (vics, test)).collect::<Vec<_>>()
    };
    let nics = with(
        Some(false),
        &[
            closed::TESTS,
            entries::TESTS,
            exclusive::TESTS,
            hostile::TESTS,
            hostile_roots::TESTS,
            isolation::TESTS,
            lifecycle::TESTS,
            probing::TESTS,
            programs::TESTS,
            refusal::TESTS,
            selection::TESTS,
            sharing::TESTS,
            // Last: namespaces that they make may end late, and no other test can change the RDMA mode meanwhile.
            closings::TESTS,
            audit::TESTS,
        ],
    );
    let either = with(None, &[hotplug::TESTS]);
    let usnics = with(
        Some(true),
        &[usnic::TESTS, probing::usnic::TESTS, usnic_faults::TESTS, &[usnic_faults::UNPLUG]],
    );
    let tests = nics.into_iter().chain(either).chain(usnics);
    let trials = tests.map(|(vics, (name, test, applies))| {
        let runs = lab.is_some_and(|lab| {
            vics.is_none_or(|vics| vics == (lab.vics > 0))
                && applies(lab)
                && (!lab.exclusive || differs_in_exclusive_mode(name))
        });
        Trial::test(name, move || match lab {
            Some(lab) if name == usnic_faults::UNPLUG.0 => test(lab),
            Some(lab) => host::unchanged_by(|| test(lab)),
            None => Ok(()),
        })
        .with_ignored_flag(!runs || !is_wanted(name))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A list of names, or parts of them, with commas (`NICDOCK_LAB_ONLY`): libtest's filter knows one only.
fn is_wanted(name: &str) -> bool {
    std::env::var("NICDOCK_LAB_ONLY").is_ok_and(|list| list.split(',').any(|part| name.contains(part)))
        || std::env::var_os("NICDOCK_LAB_ONLY").is_none()
}

/// The tests that are worth repeating where the RDMA device moves; the others do not touch it.
fn differs_in_exclusive_mode(name: &str) -> bool {
    let tests = [audit::TESTS, exclusive::TESTS, isolation::TESTS, probing::TESTS, sharing::TESTS];
    tests.concat().iter().any(|(test, ..)| *test == name)
}
