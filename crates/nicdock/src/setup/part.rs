//! Describes a part of the set-up; an engine to come is one more.

use std::path::PathBuf;

use nicdock_oci::install::member::{self, MemberError};
use serde_json::Value;

use super::error::SetupError;
use super::machine::Machine;

/// One concern of the set-up. All its functions are pure but for reading below the machine's root.
pub struct Part {
    pub name: &'static str,
    /// What is there, and what should be.
    pub look: fn(&Machine) -> Result<Found, SetupError>,
    /// Commands before what was made is taken away, and after.
    pub undo: fn(&Machine) -> Undo,
}

/// What a part found.
#[derive(Default)]
pub struct Found {
    /// In a sentence, for the administrator.
    pub says: String,
    /// What should be there. Nothing: the machine needs nothing of this part.
    pub wants: Vec<Wanted>,
    /// Commands that make it count, once any of it has been made.
    pub after: Vec<Run>,
    /// What only the administrator can do.
    pub hints: Vec<String>,
    /// There is nothing that could be set up.
    pub absent: bool,
    /// Why a file of somebody else's is left as it is.
    pub refused: Option<SetupError>,
}

impl Found {
    /// Nothing is needed, and why.
    pub fn nothing(says: impl Into<String>) -> Self {
        Self { says: says.into(), ..Self::default() }
    }

    /// What the part is for is not on the machine.
    pub fn absent(says: impl Into<String>) -> Self {
        Self { absent: true, ..Self::nothing(says) }
    }
}

#[derive(Default)]
pub struct Undo {
    pub before: Vec<Run>,
    pub after: Vec<Run>,
}

/// Something that should be on the machine, whole, with the folders above it. Its path is the machine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub path: PathBuf,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    File {
        content: Vec<u8>,
        mode: u32,
    },
    Link {
        target: PathBuf,
    },
    Member(Member),
    /// CDI devices: nicdock brings the file up to date whenever NICs come and go, so that another content is no edit.
    Devices {
        content: String,
    },
}

/// A member of a JSON file that is somebody else's, and of which all else stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub way: Vec<String>,
    pub value: Value,
    /// The file's text; `None`: there is no file.
    pub before: Option<String>,
    /// The text that it should have.
    pub after: String,
}

impl Member {
    pub fn new(way: &[&str], value: Value, before: Option<String>) -> Result<Self, MemberError> {
        let way: Vec<String> = way.iter().map(|name| (*name).to_owned()).collect();
        let after = match &before {
            Some(text) => member::set(text, &way, &value)?,
            None => member::set("{}\n", &way, &value)?,
        };
        Ok(Self { way, value, before, after })
    }
}

impl Wanted {
    pub fn file(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), what: What::File { content: content.into(), mode: 0o644 } }
    }

    pub fn link(path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), what: What::Link { target: target.into() } }
    }
}

/// A command that is executed on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run(pub Vec<String>);

impl Run {
    pub fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }
}
