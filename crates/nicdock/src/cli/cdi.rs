//! `nicdock cdi`: the NICs as devices of OCI engines.

use std::path::PathBuf;

use crate::failure::{Failure, need_root};
use nicdock_core::node::HostSnapshot;
use nicdock_core::say::{answer, notice};
use nicdock_oci::cdi::{self, Change, Devices};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock cdi install\n  podman run --device nicdock.io/nic=mlx5_0 image ./app\n  podman run --device nicdock.io/nic=roce --annotation nicdock.io/ip=10.1.1.2/24 image ./app\n  nicdock cdi list\n  nicdock cdi remove\n\nA device's name is any of the NIC's (RDMA device, netdev, PCI address), a kind (usnic, roce, ib, …), or any. The container gets the NIC before\nits program starts, or does not start. docs/engines/podman.md tells it step by step.\n\nExit status: 0 when it is done; other numbers say why not (nicdock --help)."
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

impl Options {
    pub fn wants_json(&self) -> bool {
        matches!(self.command, Command::List { json: true, .. })
    }
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write the file that engines read; one that is there is brought up to date
    Install {
        #[command(flatten)]
        place: Place,
        /// Print it instead
        #[arg(long)]
        dry_run: bool,
    },
    /// List the devices that this machine's NICs make
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove the file
    Remove {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(clap::Args)]
struct Place {
    /// Folder that engines read
    #[arg(long, value_name = "DIR", default_value = cdi::FOLDER)]
    dir: PathBuf,
}

pub fn cdi(options: &Options) -> Result<u8, Failure> {
    match &options.command {
        Command::Install { place, dry_run } => install(place, *dry_run),
        Command::List { json } => list(*json),
        Command::Remove { place } => {
            need_root("removing CDI devices needs root")?;
            let file = cdi::file(&place.dir);
            let words = if cdi::remove(&place.dir)? { "removed" } else { "was not there:" };
            answer(&format!("{words} {}\n", file.display()))?;
            Ok(0)
        }
    }
}

fn devices() -> Result<Devices, Failure> {
    let snapshot = HostSnapshot::of_machine()?;
    let program = std::env::current_exe()?;
    let devices = cdi::devices(&snapshot.host, &program);
    for name in &devices.left_out {
        notice(format_args!("no device is called {name}: the name is no device's name in CDI"));
    }
    Ok(devices)
}

/// Brings the file up to date where it is installed: NICs come and go. Whoever calls has other things to do, so that an error is said and no more.
pub fn refresh() {
    let folder = std::path::Path::new(cdi::FOLDER);
    if !cdi::file(folder).exists() {
        return;
    }
    let done = devices().and_then(|devices| Ok(cdi::install(folder, &devices.spec.text())?));
    match done {
        Ok(Change::Written) => notice(format_args!("{} is up to date again", cdi::file(folder).display())),
        Ok(Change::None) => {}
        Err(error) => notice(format_args!("warning: {error}")),
    }
}

fn install(place: &Place, dry_run: bool) -> Result<u8, Failure> {
    let devices = devices()?;
    let text = devices.spec.text();
    if dry_run {
        answer(&text)?;
        return Ok(0);
    }
    need_root("installing CDI devices needs root")?;
    let words = match cdi::install(&place.dir, &text)? {
        Change::Written => "has",
        Change::None => "had already",
    };
    let count = devices.spec.names().count();
    answer(&format!("{} {words} {count} devices: see nicdock cdi list\n", cdi::file(&place.dir).display()))?;
    Ok(0)
}

fn list(json: bool) -> Result<u8, Failure> {
    let devices = devices()?;
    if json {
        answer(&devices.spec.text())?;
    } else {
        for name in devices.spec.names() {
            answer(&format!("nicdock.io/nic={name}\n"))?;
        }
    }
    Ok(0)
}
