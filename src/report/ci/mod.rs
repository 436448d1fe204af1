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

/// Whether an entry fails the command.
type Fails<'a> = &'a dyn Fn(&Entry) -> bool;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// Nothing to do.
    Note,
    /// A person should look.
    Warning,
    /// It fails the command.
    Error,
}

impl Level {
    fn of(entry: &Entry, fails: Fails<'_>) -> Self {
        match entry.judgement.verdict {
            _ if fails(entry) => Self::Error,
            Verdict::OutOfMemory | Verdict::Tight | Verdict::Unknown => Self::Warning,
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

    /// The findings that fail by default.
    fn fails(entry: &Entry) -> bool {
        matches!(entry.judgement.verdict, Verdict::OutOfMemory | Verdict::Unknown)
    }

    #[test]
    fn a_finding_is_an_error_exactly_if_it_fails_the_command() {
        for (is_failing, github_word, junit_word, sarif_word) in
            [(true, "::error ", "<error ", "\"error\""), (false, "::warning ", "<skipped ", "\"warning\"")]
        {
            let mut unknown = entries();
            unknown.retain(|entry| entry.judgement.verdict == Verdict::Unknown);
            assert!(!unknown.is_empty());
            let fails = |_: &Entry| is_failing;
            assert!(github(&unknown, &fails).contains(github_word));
            assert!(junit(&unknown, &fails).contains(junit_word));
            assert!(sarif(&unknown, &fails).unwrap().contains(sarif_word));
        }
    }

    #[test]
    fn every_format_shows_every_job() {
        let entries = entries();
        let sarif = sarif(&entries, &fails).unwrap();
        for (format, text) in [
            ("names", names(&entries)),
            ("markdown", markdown(&entries)),
            ("github", github(&entries, &fails)),
            ("junit", junit(&entries, &fails)),
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
        assert_eq!(lines(&github(&entries, &fails)), entries.len());
        assert!(markdown(&entries).contains("a\\|b"));
        assert!(junit(&entries, &fails).contains("a|b&lt;c&gt;&amp;&quot;d&quot;"));
        assert!(serde_json::from_str::<serde_json::Value>(&sarif(&entries, &fails).unwrap()).is_ok());
    }
}
