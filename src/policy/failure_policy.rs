//! Whether a request is admitted while the webhook does not answer.

/// Whether a request is admitted while the webhook does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "operator", derive(clap::ValueEnum), value(rename_all = "PascalCase"))]
pub enum FailurePolicy {
    /// It is admitted, and the controller reports it later.
    Ignore,
    /// It is refused.
    Fail,
}

impl FailurePolicy {
    /// The word in a webhook configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}
