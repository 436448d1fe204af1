//! Failures. Each admits the object unjudged, and is reported in a warning, in the audit log and in a metric.

/// Why an object is admitted unjudged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Unreadable,
    Panicked,
    DeadlineSpent,
    ScaleUnread,
    /// The review is larger than the limit.
    TooLarge,
    /// There was no memory for the review, or the queue was full.
    Overloaded,
}

impl Failure {
    /// Every failure.
    pub(super) const ALL: [Self; 6] = [
        Self::Unreadable,
        Self::Panicked,
        Self::DeadlineSpent,
        Self::ScaleUnread,
        Self::TooLarge,
        Self::Overloaded,
    ];

    /// The word for the audit log and the metric.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Panicked => "panic",
            Self::DeadlineSpent => "deadline",
            Self::ScaleUnread => "scale",
            Self::TooLarge => "too-large",
            Self::Overloaded => "overloaded",
        }
    }

    /// The warning for the user.
    pub(super) const fn warning(self) -> &'static str {
        match self {
            Self::Unreadable => "weighbridge could not read this object, and admits it unjudged",
            Self::Panicked => "weighbridge failed to judge this object, and admits it unjudged",
            Self::DeadlineSpent => "weighbridge had no time to judge this object, and admits it unjudged",
            Self::ScaleUnread => {
                "weighbridge could not read the object to scale, and admits the change unjudged"
            }
            Self::TooLarge => "weighbridge does not read such a large object, and admits it unjudged",
            Self::Overloaded => "weighbridge is overloaded, and admits this object unjudged",
        }
    }
}
