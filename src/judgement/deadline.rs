//! When a job must finish, and whether it will. The key names are those that `check -o json` promises.

use serde::Serialize;

/// When the job must finish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Deadline {
    /// From the job's start. `None` if only another object gives it, because its values may not be quoted.
    pub seconds: Option<u64>,
    /// The source: `target.days`, `spec.activeDeadlineSeconds`, `label kueue.x-k8s.io/max-exec-time-seconds`.
    pub source: String,
    /// Whether the job finishes by then.
    pub outlook: Outlook,
    /// The same as one line for a person, at most 120 characters.
    #[serde(skip)]
    pub message: String,
}

/// Whether the job finishes in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Outlook {
    /// The upper end of the interval is in time.
    InTime,
    /// The prediction is in time, but the upper end of the interval is not.
    MayBeLate,
    /// The prediction is too late, but the lower end of the interval is not.
    TooSlow,
    /// The lower end of the interval is too late.
    TooSlowAtBest,
    /// The job's duration is unknown.
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
