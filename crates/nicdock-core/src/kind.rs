//! Kinds of failure, for programs: the exit status of every command but `run`, and `kind` in JSON.

use std::io;

use rustix::io::Errno;

/// Why nicdock did not do what it was asked to. What it had begun is undone, unless the message says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No NIC, container or process is what was named.
    NoMatch,
    /// More NICs match than were asked for.
    Ambiguous,
    /// A container has the NIC, or the name.
    Held,
    /// The host, or a process, uses the NIC.
    InUse,
    /// The kernel, the driver or the engine cannot do it.
    Unsupported,
    /// A container would be less isolated than the plan says.
    NotClosed,
    /// A NIC is not back on the host as it was.
    NotRestored,
    TimedOut,
    /// The caller may not do it.
    NoRight,
    /// A value, a file or a document is not valid.
    BadInput,
    Other,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::NoMatch,
        Self::Ambiguous,
        Self::Held,
        Self::InUse,
        Self::Unsupported,
        Self::NotClosed,
        Self::NotRestored,
        Self::TimedOut,
        Self::NoRight,
        Self::BadInput,
        Self::Other,
    ];

    /// 0 is success, 1 a finding, 2 a wrong command line.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::NoMatch => 3,
            Self::Ambiguous => 4,
            Self::Held => 5,
            Self::InUse => 6,
            Self::Unsupported => 7,
            Self::NotClosed => 8,
            Self::NotRestored => 9,
            Self::TimedOut => 10,
            Self::NoRight => 11,
            Self::BadInput => 12,
            Self::Other => 125,
        }
    }

    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoMatch => "no_match",
            Self::Ambiguous => "ambiguous",
            Self::Held => "held",
            Self::InUse => "in_use",
            Self::Unsupported => "unsupported",
            Self::NotClosed => "not_closed",
            Self::NotRestored => "not_restored",
            Self::TimedOut => "timed_out",
            Self::NoRight => "no_right",
            Self::BadInput => "bad_input",
            Self::Other => "other",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Other)
    }

    /// What an error of the kernel's means, where nothing else is known of it.
    pub fn of_io(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::BUSY) => return Self::InUse,
            Some(Errno::NOSYS | Errno::OPNOTSUPP) => return Self::Unsupported,
            _ => {}
        }
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NoRight,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_has_a_status_and_a_name_of_its_own() {
        let statuses: BTreeSet<u8> = Kind::ALL.iter().map(|kind| kind.exit_status()).collect();
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!((statuses.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
        assert!(statuses.iter().all(|status| *status > 2));
    }

    #[test]
    fn an_error_of_the_kernels_is_classified() {
        let of = |errno: Errno| Kind::of_io(&errno.into());
        assert_eq!(of(Errno::PERM), Kind::NoRight);
        assert_eq!(of(Errno::BUSY), Kind::InUse);
        assert_eq!(of(Errno::OPNOTSUPP), Kind::Unsupported);
        assert_eq!(of(Errno::IO), Kind::Other);
    }
}
