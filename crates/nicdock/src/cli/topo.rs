//! `nicdock topo`: what is near to what.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::listing;
use crate::topo;
use nicdock_core::kind::Kind;
use nicdock_core::lease::{self, Lease, Ledger};
use nicdock_core::say::answer;
use nicdock_host::capture::Capture;
use nicdock_host::environment;
use nicdock_host::inventory;
use nicdock_host::source::Live;
use nicdock_sys::umask::with_callers;
use serde::Serialize;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock topo\n  nicdock topo --svg host.svg\n  nicdock topo --host captures/infiniband-8.tar.gz\n  nicdock run --nic near=0000:1b:00.0 --host-root -- ./app\n\nIt draws NUMA nodes, root ports, NICs with their links, GPUs and NVMe disks, and which container has what; below, which NICs are nearest\nto the processors of each node and to each device, as the selector near= finds them (docs/selectors.md). It changes nothing.\n\nExit status: 0; other numbers: nicdock --help."
)]
pub struct Options {
    /// Also write the picture to a file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
    /// Look at a capture instead of this machine
    #[arg(long, value_name = "CAPTURE")]
    host: Option<PathBuf>,
}

#[derive(Serialize)]
struct Listing<'a> {
    /// Version of this format: 1.
    schema: u32,
    #[serde(flatten)]
    drawing: &'a topo::Drawing,
}

pub fn topo(options: &Options) -> Result<u8, Failure> {
    let drawing = if let Some(path) = &options.host {
        let capture = Capture::open(path)?;
        let host = inventory::read(&capture)?;
        topo::describe(&host, &environment::pcie(&capture, &host), &listing::Holders::new())
    } else {
        let mut host = inventory::read(&Live)?;
        let leases: Vec<Lease> = Ledger::of_machine().readable()?;
        lease::show_held(&mut host, &leases);
        topo::describe(&host, &environment::pcie(&Live, &host), &listing::holders(&leases))
    };
    if let Some(path) = &options.svg {
        write(path, &topo::picture(&drawing))?;
    }
    let listing = Listing { schema: 1, drawing: &drawing };
    answer(&if options.json {
        serde_json::to_string_pretty(&listing)? + "\n"
    } else {
        topo::text(&drawing)
    })?;
    Ok(0)
}

fn write(path: &Path, picture: &str) -> Result<(), Failure> {
    let file = with_callers(|| File::create(path));
    file.and_then(|mut file| file.write_all(picture.as_bytes())).map_err(|error| {
        Failure::new(Kind::of_io(&error), format!("cannot write {}: {error}", path.display()))
    })
}
