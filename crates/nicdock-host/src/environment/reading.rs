use std::io;

/// What was found where something may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    Known(T),
    /// It is not there.
    Absent,
    /// It is not known: why, in words.
    Unknown(String),
}

impl<T> Reading<T> {
    /// `place` is what was read, for people.
    pub(super) fn of(answer: io::Result<T>, place: &str) -> Self {
        match answer {
            Ok(value) => Self::Known(value),
            Err(error) if super::is_absence(&error) => Self::Absent,
            Err(error) => Self::Unknown(format!("{place} cannot be read: {error}")),
        }
    }

    pub(super) fn not_told(place: &str) -> Self {
        Self::Unknown(format!("not recorded: {place}"))
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Known(value) => Reading::Known(change(value)),
            Self::Absent => Reading::Absent,
            Self::Unknown(why) => Reading::Unknown(why),
        }
    }

    pub fn known(self) -> Option<T> {
        if let Self::Known(value) = self { Some(value) } else { None }
    }
}
