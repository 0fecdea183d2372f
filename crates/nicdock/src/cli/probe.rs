//! `nicdock probe`: whether a program can use the RDMA devices that are visible here.

use crate::failure::Failure;
use crate::probe::{self, Memory, Process};
use nicdock_core::say::{answer, notice};

/// Some device is not usable, or there is none.
const NOT_USABLE: u8 = 1;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock probe\n  nicdock probe usnic_0\n  nicdock probe --json /dev/infiniband/uverbs0\n  nicdock run --nic usnic_0 --host-root -- nicdock probe\n\nIt opens each device as a program does, without any library and without privileges, and changes nothing.\n\nExit status: 0 when every probed device is usable; 1 when one is not, or none is there; other numbers: nicdock --help."
)]
pub struct Options {
    /// An RDMA device, or its uverbs node by name or path; every visible one if there is none
    device: Option<String>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
    /// Register memory on a usNIC even where its driver is known to crash at that
    ///
    /// On kernels after 6.12 the process then hangs for ever and cannot be killed.
    #[arg(long)]
    memory: bool,
}

pub fn probe(options: &Options) -> Result<u8, Failure> {
    let found = match probe::find(options.device.as_deref()) {
        Ok(found) => found,
        Err(error) => {
            if options.json {
                answer(&probe::json(&[])?)?;
            }
            notice(error);
            return Ok(NOT_USABLE);
        }
    };
    for entry in &found.unreadable {
        notice(format_args!(
            "warning: {entry}: libfabric's usnic provider gives up at such an entry and finds no device"
        ));
    }
    let memory = if options.memory { Memory::Always } else { Memory::WhereSafe };
    let process = Process::read()?;
    let reports: Vec<_> =
        found.targets.iter().map(|target| probe::attempt(target, &process, memory)).collect();
    answer(&if options.json { probe::json(&reports)? } else { probe::text(&reports) })?;
    Ok(if reports.iter().all(|report| report.usable) { 0 } else { NOT_USABLE })
}
