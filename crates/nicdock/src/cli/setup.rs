//! `nicdock setup`: makes what this machine lacks for nicdock, and takes it away again.

use std::process::Command;

use crate::failure::{Failure, need_root};
use crate::setup::{self, Lock, Machine, Made, PARTS, Run, Scope, SetupError};
use nicdock_core::say::{answer, notice};
use serde_json::json;

#[derive(clap::Args)]
#[command(
    after_help = "It looks at kernel modules, the IOMMU, locked memory for services, the timer and udev's rule, and at the engines found\nhere. No file that somebody else made or edited is touched: files of nicdock's are added beside them. Docker's\n/etc/docker/daemon.json alone gets one member, all else of it stays, and the lines are shown. What was made is noted in\n/var/lib/nicdock/setup.json. docs/install.md says what each part makes.\n\nExamples:\n  nicdock setup --dry-run\n  nicdock setup\n  nicdock setup --undo\n\nExit status: 0; 1 when a file was left because somebody else made or edited it; other numbers say why not (nicdock --help)."
)]
pub struct Options {
    /// Only tell what is missing and what would be done; needs no root
    #[arg(long, conflicts_with = "undo")]
    dry_run: bool,
    /// Take away what nicdock setup made, but for what was edited since
    #[arg(long)]
    undo: bool,
    /// Only bring up to date what an earlier set-up made, as an upgrade does
    #[arg(long, hide = true, conflicts_with_all = ["undo", "dry_run"])]
    refresh: bool,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

pub fn setup(options: &Options) -> Result<u8, Failure> {
    let machine = Machine::here(&std::env::current_exe()?);
    if options.dry_run {
        let plan = setup::plan(&machine, PARTS, Scope::Everything)?;
        show(options.json, &plan, false)?;
        return Ok(u8::from(plan.keeps()));
    }
    need_root("nicdock setup needs root (nicdock setup --dry-run does not)")?;
    let _lock = Lock::take(&machine)?;
    if options.undo {
        return undo(options.json, &machine, None);
    }
    let scope = if options.refresh { Scope::Outdated } else { Scope::Everything };
    let plan = setup::plan(&machine, PARTS, scope)?;
    setup::apply(&machine, &plan, &mut execute)?;
    if !options.refresh || plan.changes() {
        show(options.json, &plan, true)?;
    }
    Ok(u8::from(plan.keeps()))
}

/// Takes away what was made, or `only` one part of it.
pub fn undo(as_json: bool, machine: &Machine, only: Option<&str>) -> Result<u8, Failure> {
    let undone = setup::undo(machine, PARTS, only, &mut execute)?;
    if as_json {
        let paths = |all: &[Made]| all.iter().map(|made| made.path.clone()).collect::<Vec<_>>();
        let (removed, kept) = (paths(&undone.removed), paths(&undone.kept));
        answer(&format!("{:#}\n", json!({"schema": 1, "removed": removed, "kept": kept})))?;
    } else {
        for made in &undone.removed {
            answer(&format!("removed {}\n", made.label()))?;
        }
        if undone.removed.is_empty() && undone.kept.is_empty() {
            answer("nothing that nicdock made is here\n")?;
        }
    }
    for made in &undone.kept {
        notice(format_args!(
            "{} was edited since nicdock made it, and stays: remove it by hand",
            made.label()
        ));
    }
    Ok(u8::from(!undone.kept.is_empty()))
}

pub fn show(as_json: bool, plan: &setup::Plan, done: bool) -> Result<(), Failure> {
    let text = if as_json { format!("{:#}\n", setup::json(plan, done)) } else { setup::text(plan, done) };
    Ok(answer(&text)?)
}

/// What a command says is shown only if it fails.
pub fn execute(run: &Run) -> Result<(), SetupError> {
    let failed = |reason: String| SetupError::Command { command: run.0.join(" "), reason };
    let output =
        Command::new(&run.0[0]).args(&run.0[1..]).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
}
