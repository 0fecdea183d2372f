use std::io;
use std::path::{Path, PathBuf};

/// Why a capture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("cannot open the capture {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error(
        "{path} is not a capture: {reason}; a capture is what 'nicdock capture' writes, or the directory that it \
         unpacks to"
    )]
    NotACapture { path: PathBuf, reason: String },
    #[error(
        "the capture {path} ends too early ({reason}): copy it again, or take it anew with 'nicdock capture'"
    )]
    Truncated { path: PathBuf, reason: String },
    #[error("the capture {path} is damaged: {reason}; take it anew with 'nicdock capture'")]
    Damaged { path: PathBuf, reason: String },
    #[error("the capture {path} unpacks to more than {limit} MiB, which no host needs: it is not read")]
    TooLarge { path: PathBuf, limit: u64 },
    #[error(
        "the capture {path} has the member '{member}', which {reason}: it is not what 'nicdock capture' wrote"
    )]
    Member { path: PathBuf, member: String, reason: &'static str },
    #[error(
        "the capture {path} has format {found}, this nicdock reads format 1: use the nicdock that took it"
    )]
    Version { path: PathBuf, found: String },
}

impl CaptureError {
    pub(super) fn open(path: &Path, source: io::Error) -> Self {
        Self::Open { path: path.to_owned(), source }
    }

    pub(super) fn member(path: &Path, member: impl Into<String>, reason: &'static str) -> Self {
        let member: String = member.into();
        Self::Member { path: path.to_owned(), member: member.escape_debug().to_string(), reason }
    }

    pub(super) fn too_large(path: &Path) -> Self {
        Self::TooLarge { path: path.to_owned(), limit: super::MAX_BYTES >> 20 }
    }
}
