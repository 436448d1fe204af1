//! When a job must be done, and whether it will be, in the key names that `check -o json` promises.

use serde::Serialize;

/// When it must be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deadline {
    /// From its start; none where only another object says it, which may not be quoted.
    pub seconds: Option<u64>,
    /// Who says so: `target.days`, `spec.activeDeadlineSeconds`, `label kueue.x-k8s.io/max-exec-time-seconds`.
    pub source: String,
    /// Whether it will be done by then.
    pub outlook: Outlook,
    /// The same in one line for a person, of at most 120 characters.
    #[serde(skip)]
    pub message: String,
}

/// Whether it will be done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outlook {
    /// Even the interval's upper end is in time.
    InTime,
    /// The prediction is in time, the interval's upper end is not.
    MayBeLate,
    /// The prediction is too late, the interval's lower end is not.
    TooSlow,
    /// Even the interval's lower end is too late.
    TooSlowAtBest,
    /// How long it takes is not known.
    Unknown,
}

impl Outlook {
    /// Whether the prediction is past the deadline.
    pub fn is_late(self) -> bool {
        matches!(self, Self::TooSlow | Self::TooSlowAtBest)
    }

    /// The outlook's word, as conditions show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InTime => "InTime",
            Self::MayBeLate => "MayBeLate",
            Self::TooSlow => "TooSlow",
            Self::TooSlowAtBest => "TooSlowAtBest",
            Self::Unknown => "TimeUnknown",
        }
    }
}
