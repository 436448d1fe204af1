//! The versions of a framework for which a fact holds.
//!
//! Most facts compare the first two numbers: `v4.45.1` is 4.45. A text without numbers, such as `main`, is the newest
//! version. A few facts compare the beginning of the text with the names of the framework's releases.

/// The first two numbers of a version.
pub type Version = (u32, u32);

/// The versions for which a fact holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// No version.
    Never,
    /// Every version, and an unstated one.
    Always,
    /// Stated versions before this one.
    Before(Version),
    /// Versions before this one, and an unstated version.
    BeforeOrUnstated(Version),
    /// Stated versions from this one on.
    Since(Version),
    /// Versions from this one on, and an unstated version.
    SinceOrUnstated(Version),
    /// Versions with this first number and a lower second number, as in `4.30.2`.
    Within(Version),
    /// Versions whose text begins with one of these.
    Beginning(&'static [&'static str]),
}

impl Versions {
    /// Whether a version is in the range.
    pub fn hold(self, stated: Option<&str>) -> bool {
        match (self, stated) {
            (Self::Always, _) | (Self::SinceOrUnstated(_) | Self::BeforeOrUnstated(_), None) => true,
            (Self::Never, _) | (_, None) => false,
            (Self::Before(version) | Self::BeforeOrUnstated(version), Some(stated)) => {
                is_before(stated, version)
            }
            (Self::Since(version) | Self::SinceOrUnstated(version), Some(stated)) => {
                !is_before(stated, version)
            }
            (Self::Within((major, minor)), Some(stated)) => {
                let own = stated.split_once('.').filter(|(first, _)| *first == major.to_string());
                let second = own.and_then(|(_, rest)| rest.split('.').next()?.parse::<u32>().ok());
                second.is_some_and(|second| second < minor)
            }
            (Self::Beginning(texts), Some(stated)) => texts.iter().any(|text| stated.starts_with(text)),
        }
    }
}

/// Whether a version is older than another.
fn is_before(stated: &str, version: Version) -> bool {
    let mut parts = stated.trim_start_matches('v').split('.').map(|part| part.parse::<u32>().ok());
    let major = parts.next().flatten();
    let minor = parts.next().flatten().unwrap_or(0);
    major.is_some_and(|major| (major, minor) < version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_first_two_numbers() {
        for (versions, stated, holds) in [
            (Versions::Before((4, 45)), Some("v4.44.2"), true),
            (Versions::Before((4, 45)), Some("4.45"), false),
            (Versions::Before((4, 45)), Some("4"), true),
            (Versions::Before((4, 45)), Some("main"), false),
            (Versions::Before((4, 45)), None, false),
            (Versions::BeforeOrUnstated((5, 0)), None, true),
            (Versions::Since((5, 0)), Some("main"), true),
            (Versions::Since((5, 0)), None, false),
            (Versions::SinceOrUnstated((5, 0)), None, true),
            (Versions::SinceOrUnstated((5, 0)), Some("4.57"), false),
            (Versions::Never, Some("1.0"), false),
        ] {
            assert_eq!(versions.hold(stated), holds, "{versions:?} {stated:?}");
        }
    }

    #[test]
    fn some_facts_compare_the_text_of_a_version() {
        let within = Versions::Within((4, 45));
        assert!(within.hold(Some("4.30.2")));
        assert!(!within.hold(Some("4.45.0")) && !within.hold(Some("3.9")) && !within.hold(Some("v4.30")));
        let early = Versions::Beginning(&["0.0"]);
        assert!(early.hold(Some("0.0.2")));
        assert!(!early.hold(Some("0.1")) && !early.hold(None));
    }
}
