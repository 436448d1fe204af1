//! The objects that ask for accelerators and have no training to judge: a line each, with the cause, and their count.

use super::Entry;
use crate::judgement::Verdict;

/// `Job/serve: asks for 8 GPUs, trains nothing: it answers requests`, and the like. Empty without such objects.
pub fn aside(entries: &[Entry]) -> Vec<String> {
    let entries: Vec<&Entry> = entries.iter().filter(|entry| !entry.judgement.verdict.trains()).collect();
    if entries.is_empty() {
        return Vec::new();
    }
    let line = |entry: &&Entry| {
        let name = entry.name.as_deref().unwrap_or("(no name)");
        format!("{}/{name}: {}", entry.kind, entry.judgement.message)
    };
    let unrecognised = |entry: &&&Entry| entry.judgement.verdict == Verdict::Unrecognised;
    let unrecognised = entries.iter().filter(unrecognised).count();
    let parts = [(unrecognised, "not recognised"), (entries.len() - unrecognised, "without training")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let counted =
        format!("not judged, though asking for accelerators: {}", parts.collect::<Vec<_>>().join(", "));
    entries.iter().map(line).chain([counted]).collect()
}
