//! What nicdock promises, on a real kernel: run in the lab's guest by `cargo xtask test`.
//!
//! Outside the lab every test is reported as ignored.

mod attach;
mod attempts;
mod audit;
mod bench;
mod call;
mod capabilities;
mod closed;
mod closings;
mod conditions;
mod containerd;
mod contention;
mod descriptors;
mod docker;
mod doctor;
mod engine;
mod entries;
mod exclusive;
mod executable;
mod filters;
mod groups;
mod holders;
mod host;
mod hostile;
mod hostile_audit;
mod hostile_roots;
mod hotplug;
mod infiniband;
mod isolation;
mod jobs;
mod kept;
mod killed;
mod ledger;
mod libvirt;
mod lifecycle;
mod limits;
mod links;
mod longevity;
mod lxc;
mod lxd;
mod modes;
mod monitor;
mod mpi;
mod names;
mod neighbours;
mod nicdock;
mod numbers;
mod opened;
mod package;
mod page;
mod pam;
mod place;
mod podman;
mod pods;
mod probe;
mod probing;
mod programs;
mod refusal;
mod selection;
mod settings;
mod sharing;
mod shell;
mod sockets;
mod terminals;
mod times;
mod upsets;
mod usnic;
mod usnic_faults;
mod vic;
mod weaknesses;

use libtest_mimic::{Arguments, Failed, Trial};

/// Where this boot runs, as the lab says.
pub struct Lab {
    pub kernel: String,
    /// The version of control groups, `v1` or `v2`.
    pub cgroup: String,
    pub nics: usize,
    /// Virtual Cisco VICs. With them usNIC's tests run, and no others.
    pub vics: usize,
    /// HCAs that pretend to be InfiniBand. With them InfiniBand's tests run, and no others.
    pub hcas: usize,
    /// RDMA network namespaces are exclusive, and soft-RoCE devices can be moved.
    pub exclusive: bool,
}

impl Lab {
    /// `None` outside of the lab.
    fn of_this_boot() -> Option<Self> {
        let word = |name: &str| std::env::var(name).ok();
        let number = |name: &str| word(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(Self {
            kernel: word("NICDOCK_LAB_KERNEL")?,
            cgroup: word("NICDOCK_LAB_CGROUP").unwrap_or_default(),
            nics: number("NICDOCK_LAB_NICS"),
            vics: number("NICDOCK_LAB_VICS"),
            hcas: number("NICDOCK_LAB_IB"),
            exclusive: word("NICDOCK_LAB_RDMA").is_some_and(|mode| mode == "exclusive"),
        })
    }

    /// Whether soft-RoCE works inside a network namespace, so that its netdev can move.
    pub fn moves_soft_roce(&self) -> bool {
        !self.kernel.starts_with("6.")
    }

    /// Where everything runs that the kernel decides, above all what an attacker may reach: each kernel once, and each version of cgroups.
    pub fn is_first_of_its_kernel(&self) -> bool {
        !self.exclusive && (self.cgroup == "v1") == (self.kernel == "6.12")
    }

    /// Where that runs which nicdock asks of the kernel by interfaces that are kept: if it is so on the oldest and on the newest, it is in between.
    /// A soak looks there, too.
    pub fn is_oldest_or_newest(&self) -> bool {
        let is_soak = std::env::var_os("NICDOCK_SOAK").is_some();
        self.is_first_of_its_kernel() && (self.kernel != "6.12" || is_soak)
    }

    /// Where that runs, too, which nicdock or an engine decides alone, whatever the kernel: command lines, plans, streams, exit status.
    pub fn is_first(&self) -> bool {
        self.is_first_of_its_kernel() && self.kernel == "6.1"
    }

    /// The same: what is one kernel's is shared out between two labs, and what moves soft-RoCE can be here alone.
    pub fn is_newest(&self) -> bool {
        self.is_first_of_its_kernel() && self.moves_soft_roce()
    }

    /// With so many NICs there is a test of many who want them, and no other.
    pub fn is_for_contention(&self) -> bool {
        self.nics >= 8
    }

    /// Whether usNIC's driver registers memory: on 7.2 it crashes.
    pub fn registers_usnic_memory(&self) -> bool {
        self.kernel.starts_with("6.")
    }
}

/// A name, which is the claim; the test; and where it runs, which is where it can come out differently: in every lab what control
/// groups or the RDMA mode decide, else see [`Lab::is_first_of_its_kernel`] and [`Lab::is_first`].
type Test = (&'static str, fn(&Lab) -> Result<(), Failed>, fn(&Lab) -> bool);

/// In labs with NICs that are no usNICs.
const NICS: &[&[Test]] = &[
    attach::TESTS,
    attempts::attach::TESTS,
    attempts::audit::TESTS,
    attempts::descriptors::TESTS,
    attempts::ledger::TESTS,
    attempts::netlink::TESTS,
    attempts::numbers::TESTS,
    attempts::paths::TESTS,
    attempts::streams::TESTS,
    attempts::terminal::TESTS,
    bench::TESTS,
    call::TESTS,
    capabilities::TESTS,
    closed::TESTS,
    descriptors::TESTS,
    doctor::TESTS,
    entries::TESTS,
    exclusive::TESTS,
    executable::TESTS,
    filters::TESTS,
    weaknesses::TESTS,
    groups::TESTS,
    holders::TESTS,
    hostile::TESTS,
    hostile_audit::TESTS,
    hostile_roots::TESTS,
    isolation::TESTS,
    kept::TESTS,
    killed::TESTS,
    ledger::TESTS,
    lifecycle::TESTS,
    limits::TESTS,
    links::TESTS,
    longevity::TESTS,
    opened::TESTS,
    package::TESTS,
    pam::TESTS,
    sockets::TESTS,
    modes::TESTS,
    names::TESTS,
    numbers::TESTS,
    neighbours::attach::TESTS,
    neighbours::join::TESTS,
    neighbours::libvirt::TESTS,
    neighbours::lxc::TESTS,
    neighbours::users::TESTS,
    libvirt::TESTS,
    lxc::TESTS,
    lxd::TESTS,
    podman::TESTS,
    jobs::TESTS,
    pods::TESTS,
    containerd::TESTS,
    docker::TESTS,
    probing::TESTS,
    programs::TESTS,
    refusal::TESTS,
    selection::TESTS,
    settings::TESTS,
    sharing::TESTS,
    terminals::TESTS,
    upsets::TESTS,
    // Last: namespaces that they make may end late, and no other test can change the RDMA mode meanwhile.
    conditions::links::TESTS,
    conditions::names::TESTS,
    conditions::routes::TESTS,
    conditions::stacked::TESTS,
    closings::TESTS,
    contention::TESTS,
    audit::TESTS,
];

fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--probe") {
        return probe::run(&args.collect::<Vec<_>>());
    }
    if let Err(error) = place::move_to_where_containers_see() {
        eprintln!("the suite cannot go to where containers see it: {error}");
        return std::process::ExitCode::FAILURE;
    }
    let arguments = Arguments::from_args();
    let lab = Lab::of_this_boot().map(|lab| &*Box::leak(Box::new(lab)));
    match lab {
        None => {
            eprintln!("the lab tests need the lab (cargo xtask test boots it): all of them are ignored here");
        }
        Some(lab) if lab.hcas > 0 => infiniband::prepare(),
        Some(lab) if lab.vics == 0 && !lab.is_for_contention() => host::prepare(),
        Some(_) => {}
    }
    let with = |vics: Option<bool>, tests: &[&[Test]]| {
        tests.concat().into_iter().map(move |test| (vics, test)).collect::<Vec<_>>()
    };
    let nics = with(Some(false), NICS);
    let infiniband = infiniband::TESTS.concat();
    let hcas = with(Some(false), infiniband::TESTS);
    let either = with(None, &[hotplug::TESTS]);
    let usnics = with(
        Some(true),
        &[
            usnic::TESTS,
            libvirt::OF_USNIC,
            lxc::OF_USNIC,
            probing::usnic::TESTS,
            mpi::TESTS,
            usnic_faults::TESTS,
            &[usnic_faults::UNPLUG],
        ],
    );
    let tests = nics.into_iter().chain(either).chain(hcas).chain(usnics);
    let trials = tests.map(|(vics, (name, test, applies))| {
        let runs = lab.is_some_and(|lab| {
            vics.is_none_or(|vics| vics == (lab.vics > 0))
                && applies(lab)
                && lab.is_for_contention() == is_one_of(name, contention::TESTS)
                && (lab.hcas > 0) == is_one_of(name, &infiniband)
                && (!lab.exclusive || lab.hcas > 0 || differs_in_exclusive_mode(name))
        });
        let outcome = move || match lab {
            Some(lab) if name == usnic_faults::UNPLUG.0 => times::taken(name, || test(lab)),
            Some(lab) => times::taken(name, || host::unchanged_by(|| test(lab))),
            None => Ok(()),
        };
        // At once, too, and not only at the end, which a run may not reach.
        Trial::test(name, move || {
            outcome().inspect_err(|error| eprintln!("{}", error.message().unwrap_or("no reason given")))
        })
        .with_ignored_flag(!runs || !is_wanted(name))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    times::show();
    conclusion.exit_code()
}

/// A list of names, or parts of them, with commas (`NICDOCK_LAB_ONLY`): libtest's filter knows one only.
fn is_wanted(name: &str) -> bool {
    std::env::var("NICDOCK_LAB_ONLY").is_ok_and(|list| list.split(',').any(|part| name.contains(part)))
        || std::env::var_os("NICDOCK_LAB_ONLY").is_none()
}

/// The tests that are worth repeating where the RDMA device moves; the others do not touch it.
fn differs_in_exclusive_mode(name: &str) -> bool {
    let tests = [audit::TESTS, exclusive::TESTS, isolation::TESTS, probing::TESTS, sharing::TESTS];
    is_one_of(name, &tests.concat())
}

fn is_one_of(name: &str, tests: &[Test]) -> bool {
    tests.iter().any(|(test, ..)| *test == name)
}
