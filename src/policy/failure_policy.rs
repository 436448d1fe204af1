//! What becomes of a request when the webhook does not answer.

/// What becomes of a request when the webhook doesn't answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "operator", derive(clap::ValueEnum), value(rename_all = "PascalCase"))]
pub enum FailurePolicy {
    /// It is admitted, and the controller notices afterwards.
    Ignore,
    /// It is refused.
    Fail,
}

impl FailurePolicy {
    /// As a webhook configuration says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}
