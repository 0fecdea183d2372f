//! `nicdock doctor`: what will go wrong, told beforehand.

use std::path::{Path, PathBuf};

use super::choices;
use crate::doctor;
use crate::failure::Failure;
use nicdock_core::attach::Target;
use nicdock_core::kind::Kind;
use nicdock_core::lease::{self, Lease, LeaseError, Ledger};
use nicdock_core::request::Selector;
use nicdock_core::say::answer;
use nicdock_doctor::{LeaseState, Status, Subject, examine};
use nicdock_host::capture::Capture;
use nicdock_host::environment::{self, Environment, Image};
use nicdock_host::inventory;
use nicdock_host::model::{Host, Nic, NicKind};
use nicdock_host::source::Live;

#[derive(clap::Args)]
#[command(after_help = doctor::help())]
pub struct Options {
    #[arg(long = "nic", value_name = "SEL", help = choices::selector("Only NICs that one of these means"))]
    selectors: Vec<Selector>,
    /// Ask for a container of nicdock's, or one that has a NIC of it, by its name: its limits, processors, nodes and shared memory
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pid", "host"])]
    container: Option<String>,
    /// The same for the container that this process is in
    #[arg(long, value_name = "PID", conflicts_with = "host")]
    pid: Option<u32>,
    /// Look for rdma-core in a container's image, unpacked or mounted there
    #[arg(long, value_name = "DIR")]
    image_root: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
    /// Look at a capture instead of this machine
    #[arg(long, value_name = "CAPTURE")]
    host: Option<PathBuf>,
}

pub fn doctor(options: &Options) -> Result<u8, Failure> {
    let Patient { host, environment, leases, of_container } = match &options.host {
        Some(path) => of_capture(path)?,
        None => of_machine(options)?,
    };
    let image = options.image_root.as_deref().map(image).transpose()?;
    let nics = chosen(&host, options, of_container.as_deref())?;
    let subject =
        Subject { host: &host, nics, environment: &environment, image: image.as_ref(), leases: &leases };
    let answers = examine(&subject);
    answer(&if options.json { doctor::json(&answers)? } else { doctor::text(&answers) })?;
    Ok(u8::from(answers.iter().any(|answer| answer.status == Status::Problem)))
}

/// What is looked at.
struct Patient {
    host: Host,
    environment: Environment,
    leases: Result<Vec<LeaseState>, String>,
    /// The NICs that the named container has.
    of_container: Option<Vec<String>>,
}

fn of_capture(path: &Path) -> Result<Patient, Failure> {
    let capture = Capture::open(path)?;
    let host = inventory::read(&capture)?;
    let environment = environment::read(&capture, &host, None);
    let leases = Err("a capture has no leases".to_owned());
    Ok(Patient { host, environment, leases, of_container: None })
}

fn of_machine(options: &Options) -> Result<Patient, Failure> {
    let mut host = inventory::read(&Live)?;
    let all = Ledger::of_machine().each();
    let readable: Vec<Lease> =
        all.iter().flatten().filter_map(|lease| lease.as_ref().ok()).cloned().collect();
    lease::show_held(&mut host, &readable);
    let process = match (&options.container, options.pid) {
        (Some(name), _) => Some(Target::of_name(name, &readable)?.process.pid),
        (None, Some(pid)) if Path::new(&format!("/proc/{pid}")).exists() => Some(pid),
        (None, Some(pid)) => {
            return Err(Failure::new(Kind::NoMatch, format!("there is no process {pid}")));
        }
        (None, None) => None,
    };
    let has = |name: &String| {
        let its = readable.iter().filter(|lease| lease.holder(name).is_some());
        its.map(|lease| lease.grant.nic.name.clone()).collect()
    };
    let of_container = options.container.as_ref().map(has);
    let environment = environment::read(&Live, &host, process);
    Ok(Patient { host, environment, leases: states(&all), of_container })
}

fn states(all: &Result<Vec<Result<Lease, LeaseError>>, LeaseError>) -> Result<Vec<LeaseState>, String> {
    let state = |lease: &Result<Lease, LeaseError>| match lease {
        Ok(lease) => LeaseState {
            nic: lease.grant.nic.name.clone(),
            state: lease.state().to_string(),
            what: lease.kept_by(),
        },
        Err(error) => LeaseState { nic: "?".into(), state: "unreadable".into(), what: error.to_string() },
    };
    match all {
        Ok(all) => Ok(all.iter().map(state).collect()),
        Err(error) => Err(format!("the leases cannot be read: {error}")),
    }
}

fn image(root: &Path) -> Result<Image, Failure> {
    Image::read(root).map_err(|error| {
        Failure::new(Kind::BadInput, format!("--image-root {}: {error}: name a folder", root.display()))
    })
}

/// The NICs that are meant: by selectors, else those of the container, else every fabric NIC.
fn chosen<'a>(host: &'a Host, options: &Options, has: Option<&[String]>) -> Result<Vec<&'a Nic>, Failure> {
    let is_meant = |nic: &&Nic| match (options.selectors.as_slice(), has) {
        ([], Some(has)) => has.contains(&nic.name),
        ([], None) => nic.kind != NicKind::Ethernet,
        (selectors, _) => selectors.iter().any(|selector| selector.matches(host, nic)),
    };
    let nics: Vec<&Nic> = host.nics.iter().filter(is_meant).collect();
    if nics.is_empty() && !options.selectors.is_empty() {
        let words: Vec<String> = options.selectors.iter().map(ToString::to_string).collect();
        let why = format!("no NIC here is {} (nicdock ls --all shows them)", words.join(" or "));
        return Err(Failure::new(Kind::NoMatch, why));
    }
    Ok(nics)
}
