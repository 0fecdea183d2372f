//! `nicdock run`: a program in a container that has the selected NICs and no others.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::plan;
use super::plan::Ready;
use super::request::RequestOptions;
use crate::failure::Failure;
use nicdock_core::audit::Audit;
use nicdock_core::lease::{Ledger, Lock};
use nicdock_core::node::Node;
use nicdock_core::plan::{Plan, PlanError, SelectError};
use nicdock_core::say::{answer, notice};
use nicdock_run::{self, Timings};

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
    /// Wait until NICs that match are free, at most so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = FOR_EVER)]
    wait: Option<u64>,
    /// Print how long each phase took, on standard error
    #[arg(long)]
    timings: bool,
}

pub fn run(options: &Options) -> Result<u8, Failure> {
    if options.dry_run {
        answer(&plan::text(&plan::make(&Ready::of(&options.request, false)?, None)?))?;
        return Ok(0);
    }
    if !rustix::process::geteuid().is_root() {
        return Err("run needs root: moving a NIC and making its nodes are the administrator's to do (nicdock plan shows what would be done)".into());
    }
    let audit = options.request.audit.then(Audit::load).transpose()?;
    let mut timings = Timings::start();
    let ready = Ready::of(&options.request, false)?;
    let ledger = Ledger::of_machine();
    let (lock, plan) = reserve(&ledger, &ready, options.wait)?;
    timings.mark("plan");
    for warning in &plan.warnings {
        notice(format_args!("warning: {warning}"));
    }
    for weakness in &plan.weaknesses {
        notice(format_args!("warning: {weakness}"));
    }
    let status = nicdock_run::run(&plan, ready.opened, &ledger, lock, audit, &mut timings)?;
    if options.timings {
        for (phase, milliseconds) in &timings.marks {
            notice(format_args!("{phase:>16} {milliseconds:8.1} ms"));
        }
    }
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}

/// More than any machine is up.
const FOR_EVER: &str = "4294967295";

/// A plan, and the lock under which it was made: others wait from before the host is looked at until the NICs are leased, so
/// what is planned is what is there.
fn reserve(ledger: &Ledger, ready: &Ready, wait: Option<u64>) -> Result<(Lock, Plan), Failure> {
    let begin = Instant::now();
    let at_most = Duration::from_secs(wait.unwrap_or(0));
    let mut awaited: Option<Awaited> = None;
    let mut patience = LOOK_AGAIN.start;
    let mut told = false;
    loop {
        if awaited.as_ref().is_none_or(Awaited::is_old) {
            Node::of_machine().recover()?;
        }
        let lock = ledger.lock()?;
        // Of all that wait for a NIC the first has it; the others need not look at the whole host to know.
        let waits = match awaited.take().filter(|waits| !waits.is_worth_a_look(ledger)) {
            Some(waits) => waits,
            None => match plan::make(ready, None) {
                Ok(plan) => return Ok((lock, plan)),
                Err(error) => {
                    let waits = Awaited::of(error, ledger, patience)?;
                    patience = (patience * 2).min(LOOK_AGAIN.end);
                    waits
                }
            },
        };
        drop(lock);
        if !told && begin.elapsed() > Duration::from_secs(1) {
            notice(format_args!("waiting: {}", waits.error));
            told = true;
        }
        while !waits.is_worth_a_look(ledger) {
            if begin.elapsed() >= at_most {
                return Err(waits.error);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        awaited = Some(waits);
    }
}

/// NICs that match and were not free, too few of the others.
struct Awaited {
    error: Failure,
    wanted: usize,
    /// By what the ledger knows those that were free or leased.
    nics: Vec<String>,
    look_again: Instant,
}

impl Awaited {
    /// Errors: whatever does not go away by waiting.
    fn of(error: Failure, ledger: &Ledger, patience: Duration) -> Result<Self, Failure> {
        let Some(PlanError::Select(SelectError::Refused { wanted, candidates, .. })) =
            error.error.downcast_ref()
        else {
            return Err(error);
        };
        let (wanted, count) = (*wanted, candidates.len());
        let may_change = candidates.iter().filter(|one| one.refused.is_none() || ledger.has(&one.key));
        let nics = may_change.map(|one| one.key.clone()).collect();
        if count < wanted {
            return Err(error);
        }
        Ok(Self { error, wanted, nics, look_again: Instant::now() + patience })
    }

    /// Whether enough have no lease any more.
    fn is_worth_a_look(&self, ledger: &Ledger) -> bool {
        self.is_old() || self.nics.iter().filter(|nic| !ledger.has(nic)).count() >= self.wanted
    }

    /// The host changes by other hands, too, but not so often.
    fn is_old(&self) -> bool {
        Instant::now() >= self.look_again
    }
}

/// After how long the host is looked at although no lease has gone: twice as long each time, since many may wait.
const LOOK_AGAIN: Range<Duration> = Duration::from_secs(2)..Duration::from_secs(60);
