//! `nicdock oci install` and `uninstall`: one engine's part of `nicdock setup`, by itself.

use std::path::Path;
use std::{fs, slice};

use clap::ValueEnum;

use crate::cli::setup::{execute, show, undo};
use crate::failure::{Failure, need_root};
use crate::setup::{self, Lock, Machine, PARTS, Part, Scope};
use nicdock_core::kind::Kind;
use nicdock_core::say::answer;
use nicdock_oci::cdi;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// The runtime nicdock, in /etc/docker/daemon.json
    Docker,
    /// The NICs as CDI devices, in /etc/cdi/nicdock.json
    Podman,
    /// The handler nicdock of its CRI plugin, in /etc/containerd/conf.d/nicdock.toml
    Containerd,
}

impl Engine {
    fn part(self) -> Result<&'static Part, Failure> {
        let name = match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
        };
        PARTS.iter().find(|part| part.name == name).ok_or_else(|| format!("no part is called {name}").into())
    }
}

#[derive(clap::Args)]
pub struct Install {
    /// Which engine
    #[arg(long, value_enum)]
    engine: Engine,
    /// Only tell what would be done; needs no root
    #[arg(long)]
    dry_run: bool,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args)]
pub struct Uninstall {
    /// Which engine
    #[arg(long, value_enum)]
    engine: Engine,
    /// Only tell what would be taken away; needs no root
    #[arg(long)]
    dry_run: bool,
}

pub fn install(options: &Install) -> Result<u8, Failure> {
    let machine = Machine::here(&std::env::current_exe()?);
    let part = options.engine.part()?;
    let _lock = if options.dry_run {
        None
    } else {
        need_root("nicdock oci install needs root (with --dry-run it does not)")?;
        Some(Lock::take(&machine)?)
    };
    let mut plan = setup::plan(&machine, slice::from_ref(part), Scope::Everything)?;
    for found in &mut plan.parts {
        if let Some(error) = found.refused.take() {
            return Err(error.into());
        }
        if found.absent {
            return Err(Failure::new(Kind::Unsupported, format!("{}: {}", found.name, found.says)));
        }
    }
    if !options.dry_run {
        setup::apply(&machine, &plan, &mut execute)?;
    }
    show(options.json, &plan, !options.dry_run)?;
    let is_by_hand = plan.parts.iter().any(|part| part.steps.is_empty() && !part.hints.is_empty());
    Ok(u8::from(plan.keeps() || is_by_hand))
}

pub fn uninstall(options: &Uninstall) -> Result<u8, Failure> {
    let machine = Machine::here(&std::env::current_exe()?);
    let part = options.engine.part()?;
    if !options.dry_run {
        need_root("nicdock oci uninstall needs root (with --dry-run it does not)")?;
    }
    let _lock = if options.dry_run { None } else { Some(Lock::take(&machine)?) };
    let made = setup::made(&machine, part.name)?;
    // What `nicdock cdi install` made is in no record, and is the same.
    let devices = cdi::file(Path::new(cdi::FOLDER));
    let has_devices = || fs::read(&devices).is_ok_and(|text| cdi::is_ours(&text));
    if options.engine == Engine::Podman && made.is_empty() && has_devices() {
        if !options.dry_run {
            cdi::remove(Path::new(cdi::FOLDER))?;
        }
        let word = if options.dry_run { "would remove" } else { "removed" };
        answer(&format!("{word} {}\n", devices.display()))?;
        return Ok(0);
    }
    if options.dry_run {
        for made in &made {
            answer(&format!("would remove {}\n", made.label()))?;
        }
        if made.is_empty() {
            answer("nothing that nicdock made is here\n")?;
        }
        return Ok(0);
    }
    undo(false, &machine, Some(part.name))
}
