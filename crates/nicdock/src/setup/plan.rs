//! Plans the set-up: what the parts want, held against what is there and what earlier set-ups made. Reads and changes nothing.

use std::fs;

use super::error::{SetupError, at};
use super::machine::Machine;
use super::part::{Found, Part, Run, Wanted, What};
use super::record::{Record, Thing};

pub struct Plan {
    pub parts: Vec<PartPlan>,
}

pub struct PartPlan {
    pub name: &'static str,
    pub says: String,
    pub steps: Vec<(Wanted, Is)>,
    /// Executed if a step changes something.
    pub commands: Vec<Run>,
    pub hints: Vec<String>,
    pub absent: bool,
    pub refused: Option<SetupError>,
}

/// What is where something is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    There,
    Missing,
    /// As an earlier set-up made it, and another one is wanted now.
    Outdated,
    /// An earlier set-up made it, and somebody changed it since.
    Edited,
    /// Somebody else's, and not as it is wanted.
    Foreign,
}

impl Is {
    /// Will it be made or replaced?
    pub fn changes(self) -> bool {
        matches!(self, Self::Missing | Self::Outdated)
    }

    /// Is it the administrator's, and left so?
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Edited | Self::Foreign)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everything,
    /// Only what an earlier set-up made, and is not as this version makes it.
    Outdated,
}

impl Plan {
    pub fn changes(&self) -> bool {
        self.parts.iter().any(PartPlan::changes)
    }

    pub fn keeps(&self) -> bool {
        self.parts.iter().any(PartPlan::keeps)
    }
}

impl PartPlan {
    pub fn keeps(&self) -> bool {
        self.refused.is_some() || self.steps.iter().any(|(_, is)| is.is_kept())
    }

    pub fn changes(&self) -> bool {
        self.steps.iter().any(|(_, is)| is.changes())
    }
}

pub fn plan(machine: &Machine, parts: &[Part], scope: Scope) -> Result<Plan, SetupError> {
    let record = Record::read(machine)?;
    let of_part = |part: &Part| {
        let Found { says, wants, after, hints, absent, mut refused } = (part.look)(machine)?;
        let judged = wants.into_iter().map(|wanted| Ok((is(machine, &record, &wanted)?, wanted)));
        let steps = judged.map(|judged| judged.map(|(is, wanted)| (wanted, is)));
        let mut steps = steps.collect::<Result<Vec<_>, SetupError>>()?;
        if scope == Scope::Outdated {
            steps.retain(|(_, is)| *is != Is::Missing);
            refused = None;
        }
        Ok(PartPlan { name: part.name, says, steps, commands: after, hints, absent, refused })
    };
    Ok(Plan { parts: parts.iter().map(of_part).collect::<Result<_, SetupError>>()? })
}

fn is(machine: &Machine, record: &Record, wanted: &Wanted) -> Result<Is, SetupError> {
    let (path, thing) = (machine.at(&wanted.path), Thing::of(&wanted.what));
    let Some(found) = thing.now(&path)? else { return Ok(Is::Missing) };
    Ok(match record.of(&wanted.path) {
        _ if found.is_like(&thing) => match &wanted.what {
            What::Devices { content } if fs::read(&path).map_err(at(&path))? != content.as_bytes() => {
                Is::Outdated
            }
            _ => Is::There,
        },
        Some(made) if made.is_like(&found) => Is::Outdated,
        Some(_) => Is::Edited,
        None => Is::Foreign,
    })
}
