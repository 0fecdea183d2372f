use serde::Serialize;

/// What came out of a check. The order is that in which people want to read: what is wrong first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Programs will fail, or be much slower than they need to be.
    Problem,
    /// It works, and could be better or safer.
    Hint,
    /// It could not be read: nothing is said of it.
    Unknown,
    Ok,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Hint => "hint",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }
}

/// One answer of a check, of the machine or of one NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub status: Status,
    /// `Nic::name`; `None`: of the machine or the container.
    pub nic: Option<String>,
    /// The file, or what else was asked, with the value that decided.
    pub evidence: String,
    /// A command or a line, exactly.
    pub fix: Option<String>,
}

impl Finding {
    pub fn ok(evidence: impl Into<String>) -> Self {
        Self { status: Status::Ok, nic: None, evidence: evidence.into(), fix: None }
    }

    pub fn problem(evidence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Problem, fix: Some(fix.into()), ..Self::ok(evidence) }
    }

    pub fn hint(evidence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Hint, fix: Some(fix.into()), ..Self::ok(evidence) }
    }

    /// `why` it is not known.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { status: Status::Unknown, ..Self::ok(why) }
    }

    /// The same with what would tell.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}
