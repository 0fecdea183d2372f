//! `nicdock run`: a program in a container that has the selected NICs and no others.

use std::path::Path;

use super::Failure;
use super::request::RequestOptions;
use super::{plan, reconcile};
use crate::audit::Audit;
use crate::launch::{self, Timings};
use crate::lease::{Ledger, STATE};
use crate::say::{answer, notice};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock run --nic rxe1 --host-root -- ibv_devices\n  nicdock run --nic kind=roce,numa=0 --rootfs /images/mpi --user 1000 -v /data:/data:ro -- ./app\n\nExit status: the program's; 128 + signal if one ended it; 125 when nicdock fails; 126 and 127 when the program\ncannot be executed or found; 2 for a wrong command line."
)]
pub struct Options {
    #[command(flatten)]
    request: RequestOptions,
    /// Show the plan and stop
    #[arg(long)]
    dry_run: bool,
    /// Print how long each phase took, on standard error
    #[arg(long)]
    timings: bool,
}

pub fn run(options: &Options) -> Result<u8, Failure> {
    if options.dry_run {
        answer(&plan::text(&plan::make(&options.request, None)?))?;
        return Ok(0);
    }
    if !rustix::process::geteuid().is_root() {
        return Err("run needs root: moving a NIC and making its nodes are the administrator's to do (nicdock plan shows what would be done)".into());
    }
    let audit = options.request.audit.then(Audit::load).transpose()?;
    let mut timings = Timings::start();
    let ledger = Ledger::new(Path::new(STATE));
    reconcile::give_back_stale(&ledger)?;
    // Others wait from before the host is looked at until the NICs are leased: what is planned is what is there.
    let lock = ledger.lock()?;
    let plan = plan::make(&options.request, None)?;
    timings.mark("plan");
    for warning in &plan.warnings {
        notice(format_args!("warning: {warning}"));
    }
    let status = launch::run(&plan, &ledger, lock, audit, &mut timings)?;
    if options.timings {
        for (phase, milliseconds) in &timings.marks {
            notice(format_args!("{phase:>16} {milliseconds:8.1} ms"));
        }
    }
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}
