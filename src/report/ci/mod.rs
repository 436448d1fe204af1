//! Reports for other programs: names, Markdown, and what continuous integration shows beside a change.

mod github;
mod junit;
mod markdown;
mod names;
mod sarif;

pub use github::github;
pub use junit::junit;
pub use markdown::markdown;
pub use names::names;
pub use sarif::sarif;

use super::Entry;
use crate::judgement::Verdict;

/// How grave a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// Nothing to do.
    Note,
    /// A person should look.
    Warning,
    /// It would not run.
    Error,
}

impl Level {
    fn of(entry: &Entry) -> Self {
        match entry.judgement.verdict {
            Verdict::OutOfMemory => Self::Error,
            _ if !entry.judgement.errors.is_empty() => Self::Error,
            Verdict::Tight | Verdict::Unknown => Self::Warning,
            Verdict::Fits | Verdict::NotTraining | Verdict::Unrecognised => Self::Note,
        }
    }
}

/// `PyTorchJob llama2-70b: OutOfMemory`.
fn title(entry: &Entry) -> String {
    let name = entry.name.as_deref().unwrap_or("(no name)");
    format!("{} {name}: {}", entry.kind, entry.judgement.verdict.name())
}

#[cfg(test)]
mod tests {
    use super::super::tests::entries;
    use super::*;

    #[test]
    fn every_format_shows_every_job() {
        let entries = entries();
        let sarif = sarif(&entries).unwrap();
        for (format, text) in [
            ("names", names(&entries)),
            ("markdown", markdown(&entries)),
            ("github", github(&entries)),
            ("junit", junit(&entries)),
            ("sarif", sarif),
        ] {
            insta::with_settings!({ snapshot_suffix => format }, { insta::assert_snapshot!(text) });
        }
    }

    #[test]
    fn no_text_of_a_manifest_leaves_its_place() {
        let mut entries = entries();
        for entry in &mut entries {
            entry.name = Some("a|b<c>&\"d\"\n::error::x%,:".to_owned());
            entry.judgement.message = entry.name.clone().unwrap_or_default();
        }
        let lines = |text: &str| text.lines().count();
        assert_eq!(lines(&names(&entries)), entries.len());
        assert_eq!(lines(&github(&entries)), entries.len());
        assert!(markdown(&entries).contains("a\\|b"));
        assert!(junit(&entries).contains("a|b&lt;c&gt;&amp;&quot;d&quot;"));
        assert!(serde_json::from_str::<serde_json::Value>(&sarif(&entries).unwrap()).is_ok());
    }
}
