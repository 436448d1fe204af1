//! What the gate does with a job that would be refused: the namespace's label `weighbridge.dev/mode`, else a default.
//!
//! | mode | would run out of memory, or malformed | tight, or unknown |
//! | --- | --- | --- |
//! | `enforce` | refused | a warning |
//! | `warn` | a warning | a warning |
//! | `audit` | noted in the audit log | noted |
//! | `off` | nothing | nothing |
//!
//! A namespace that cannot be read gets `warn`: no job is refused on a guess. A label with another value (`block`, `deny`)
//! is a mistake of its author, and must not open the namespace: it gets the default, and `warn` at least.

/// The label of namespaces that gives their mode.
pub const MODE_LABEL: &str = "weighbridge.dev/mode";

/// What the gate does with a job that would be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[cfg_attr(feature = "operator", derive(clap::ValueEnum))]
#[serde(try_from = "String")]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is admitted with a warning.
    Warn,
    /// It is admitted and noted in the audit log.
    Audit,
    /// Nothing happens.
    Off,
}

impl Mode {
    /// The word in the label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
            Self::Audit => "audit",
            Self::Off => "off",
        }
    }

    fn parse(label: &str) -> Option<Self> {
        let modes = [Self::Enforce, Self::Warn, Self::Audit, Self::Off];
        modes.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(label))
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Self::parse(&word).ok_or_else(|| "expected one of enforce, warn, audit, off".to_owned())
    }
}

/// A namespace and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// It exists, with this label.
    Known(Option<String>),
    /// It could not be read.
    Unreadable,
}

/// A mode, and a problem with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The mode.
    pub mode: Mode,
    /// Why the mode may differ from the intended one.
    pub problem: Option<String>,
}

/// The mode of a namespace. The problem does not quote the label, because the label is not part of the request.
pub fn of(namespace: &Namespace, default: Mode) -> Found {
    let warn = |problem: String| Found { mode: Mode::Warn, problem: Some(problem) };
    match namespace {
        Namespace::Known(None) => Found { mode: default, problem: None },
        Namespace::Known(Some(label)) => match Mode::parse(label) {
            Some(mode) => Found { mode, problem: None },
            None => Found {
                mode: if default == Mode::Enforce { Mode::Enforce } else { Mode::Warn },
                problem: Some(format!(
                    "the namespace's label {MODE_LABEL} must be enforce, warn, audit or off"
                )),
            },
        },
        Namespace::Unreadable => warn("the namespace could not be read, so nothing is refused".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_wins_over_the_default() {
        for (label, default, expected) in [
            (None, Mode::Enforce, Mode::Enforce),
            (None, Mode::Off, Mode::Off),
            (Some("enforce"), Mode::Warn, Mode::Enforce),
            (Some("warn"), Mode::Enforce, Mode::Warn),
            (Some("audit"), Mode::Enforce, Mode::Audit),
            (Some("off"), Mode::Enforce, Mode::Off),
            // A capital letter must not open an enforced namespace.
            (Some("Enforce"), Mode::Warn, Mode::Enforce),
        ] {
            let found = of(&Namespace::Known(label.map(str::to_owned)), default);
            assert_eq!(found, Found { mode: expected, problem: None }, "{label:?} over {default:?}");
        }
    }

    #[test]
    fn a_namespace_without_a_valid_mode_has_the_default_and_warns_at_least() {
        let labelled = |label: &str| Namespace::Known(Some(label.to_owned()));
        for (namespace, default, expected) in [
            (Namespace::Unreadable, Mode::Enforce, Mode::Warn),
            (labelled(""), Mode::Enforce, Mode::Enforce),
            (labelled("block"), Mode::Enforce, Mode::Enforce),
            (labelled("block"), Mode::Warn, Mode::Warn),
            (labelled("block"), Mode::Audit, Mode::Warn),
            (labelled("block"), Mode::Off, Mode::Warn),
        ] {
            let found = of(&namespace, default);
            assert_eq!(found.mode, expected, "{namespace:?} over {default:?}");
            assert!(found.problem.is_some_and(|problem| problem.chars().count() <= 120));
        }
    }
}
