//! Why a machine could not be set up.

use std::io;
use std::path::{Path, PathBuf};

use nicdock_core::kind::Kind;
use nicdock_core::node::NodeError;
use nicdock_libvirt::InstallError;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{path}: {error}{remedy}", remedy = remedy(.error))]
    Io { path: PathBuf, error: io::Error },
    #[error("{0}; what this set-up had made before was taken away again")]
    Undone(Box<SetupError>),
    #[error(
        "{first}; and taking away what this set-up had made before failed, too: {second}. nicdock setup --undo tries again"
    )]
    Half { first: Box<SetupError>, second: Box<SetupError> },
    #[error("another nicdock setup is at work: wait for it, and call this again")]
    Busy,
    #[error(
        "{path} cannot be read as what nicdock setup made ({reason}): nothing was changed. Put it right, or move it away and look after these files by hand"
    )]
    Record { path: PathBuf, reason: String },
    #[error("{command}: {reason}; what it needed is in place, so call it again when that is cured")]
    Command { command: String, reason: String },
    /// A file of somebody else's, or what nicdock lacks itself.
    #[error("{reason}: nothing was changed")]
    Refused { kind: Kind, reason: String },
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Libvirt(#[from] InstallError),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => ": make room, and call this again",
        io::ErrorKind::ReadOnlyFilesystem => {
            ": nicdock needs to write there; on a system whose /etc is an image, set it up in the image"
        }
        io::ErrorKind::PermissionDenied => ": this needs root; with --dry-run it does not",
        _ => "",
    }
}

impl SetupError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { error, .. } => Kind::of_io(error),
            Self::Undone(error) | Self::Half { first: error, .. } => error.kind(),
            Self::Busy => Kind::InUse,
            Self::Record { .. } => Kind::BadInput,
            Self::Command { .. } => Kind::Other,
            Self::Refused { kind, .. } => *kind,
            Self::Node(error) => error.kind(),
            Self::Libvirt(error) => error.kind(),
        }
    }
}

/// For `map_err`.
pub fn at(path: &Path) -> impl Fn(io::Error) -> SetupError + '_ {
    |error| SetupError::Io { path: path.to_owned(), error }
}
