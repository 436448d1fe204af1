//! What the gate learns from the runs of a namespace, and whether it may refuse by that.

/// What the gate learns from earlier runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "operator", derive(clap::ValueEnum))]
pub enum History {
    /// Nothing: no history is kept.
    #[default]
    Off,
    /// A job that ran before is admitted, and one that ran out before gets a warning.
    Admit,
    /// A job that ran out before is refused, too.
    Refuse,
}

impl History {
    /// Whether histories are kept.
    pub fn is_kept(self) -> bool {
        self != Self::Off
    }

    /// Whether a job may be refused because it ran out before.
    pub fn refuses(self) -> bool {
        self == Self::Refuse
    }
}
