//! The names of the judged objects, one a line, as `kubectl -o name` writes them: `pytorchjob.kubeflow.org/llama2-70b`.

use crate::report::{Entry, printable};

/// The names of the entries.
pub fn names(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        let group = entry.api_version.split_once('/').map(|(group, _)| format!(".{group}"));
        let name = entry.name.as_deref().unwrap_or_default();
        let line = format!("{}{}/{name}", entry.kind.to_lowercase(), group.unwrap_or_default());
        printable(&line).into_owned() + "\n"
    };
    entries.iter().map(line).collect()
}
