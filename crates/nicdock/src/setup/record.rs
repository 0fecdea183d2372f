//! Records what set-ups make, so that just that is taken away.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nicdock_oci::cdi;
use nicdock_oci::install::member;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::write_whole;
use super::error::{SetupError, at};
use super::machine::Machine;
use super::part::{Member, What};

pub const FOLDER: &str = "/var/lib/nicdock";
pub const FILE: &str = "/var/lib/nicdock/setup.json";
const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    schema: u32,
    /// In the order in which it was made.
    pub made: Vec<Made>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub part: String,
    pub path: PathBuf,
    #[serde(flatten)]
    pub thing: Thing,
}

/// A file by its CRC-32 and length: edits are to be noticed, not attackers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Thing {
    File {
        checksum: String,
        length: usize,
        mode: u32,
    },
    Link {
        target: PathBuf,
    },
    Folder,
    /// In a file of somebody else's. `had`: how many names of its way were there before; none: the file was not.
    Member {
        way: Vec<String>,
        value: Value,
        had: Option<usize>,
    },
    Devices,
}

impl Made {
    /// As it is called.
    pub fn label(&self) -> String {
        match &self.thing {
            Thing::Member { way, .. } => format!("{} in {}", way.join("."), self.path.display()),
            _ => self.path.display().to_string(),
        }
    }
}

impl Thing {
    pub fn of(what: &What) -> Self {
        match what {
            What::File { content, mode } => Self::File {
                checksum: format!("{:08x}", crc32fast::hash(content)),
                length: content.len(),
                mode: *mode,
            },
            What::Link { target } => Self::Link { target: target.clone() },
            What::Member(Member { way, value, before, .. }) => {
                let had = before.as_ref().map(|text| member::depth(text, way).unwrap_or_default());
                Self::Member { way: way.clone(), value: value.clone(), had }
            }
            What::Devices { .. } => Self::Devices,
        }
    }

    /// What is there in its place now.
    pub fn now(&self, path: &Path) -> Result<Option<Self>, SetupError> {
        let found = Self::at(path)?;
        match self {
            Self::Member { way, had, .. } if matches!(found, Some(Self::File { .. })) => {
                let text = fs::read(path).map_err(at(path))?;
                // What is no JSON any more has been edited.
                let Ok(value) = member::get(&String::from_utf8_lossy(&text), way) else { return Ok(found) };
                Ok(value.map(|value| Self::Member { way: way.clone(), value, had: *had }))
            }
            Self::Devices if matches!(found, Some(Self::File { .. })) => {
                let text = fs::read(path).map_err(at(path))?;
                Ok(if cdi::is_ours(&text) { Some(Self::Devices) } else { found })
            }
            _ => Ok(found),
        }
    }

    /// Is it the same to whoever looks at the machine?
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member { way, value, .. }, Self::Member { way: w, value: v, .. }) => {
                way == w && value == v
            }
            _ => self == other,
        }
    }

    /// What is at a path now; `None` if nothing is.
    pub fn at(path: &Path) -> Result<Option<Self>, SetupError> {
        let found = match path.symlink_metadata() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            found => found.map_err(at(path))?,
        };
        if found.is_symlink() {
            return Ok(Some(Self::Link { target: path.read_link().map_err(at(path))? }));
        }
        if !found.is_file() {
            return Ok(Some(Self::Folder));
        }
        let content = fs::read(path).map_err(at(path))?;
        Ok(Some(Self::of(&What::File { content, mode: found.permissions().mode() & 0o7777 })))
    }
}

impl Record {
    pub fn read(machine: &Machine) -> Result<Self, SetupError> {
        let path = machine.at(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { schema: SCHEMA, made: Vec::new() });
            }
            text => text.map_err(at(&path))?,
        };
        let bad = |reason: String| SetupError::Record { path: path.clone(), reason };
        let record: Self = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if record.schema != SCHEMA {
            return Err(bad(format!(
                "its schema is {}, not {SCHEMA}: another nicdock wrote it",
                record.schema
            )));
        }
        Ok(record)
    }

    /// Nothing made is no file.
    pub fn write(&self, machine: &Machine) -> Result<(), SetupError> {
        let (folder, path) = (machine.at(FOLDER), machine.at(FILE));
        if self.made.is_empty() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
            // Only if nothing else is in it.
            let _ = fs::remove_dir(&folder);
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| at(&path)(error.into()))?;
        write_whole(&path, &text, 0o644, true)
    }

    /// What is recorded of a path.
    pub fn of(&self, path: &Path) -> Option<&Thing> {
        self.made.iter().find(|made| made.path == path).map(|made| &made.thing)
    }

    /// Notes it in the place of what was noted of the path.
    pub fn note(&mut self, part: &str, path: &Path, thing: Thing) {
        if let Some(made) = self.made.iter_mut().find(|made| made.path == path) {
            made.thing = match (&made.thing, thing) {
                // What was there before the first of them is what has to be there after.
                (Thing::Member { had, .. }, Thing::Member { way, value, .. }) => {
                    Thing::Member { way, value, had: *had }
                }
                (_, thing) => thing,
            };
        } else {
            self.made.push(Made { part: part.to_owned(), path: path.to_owned(), thing });
        }
    }
}
