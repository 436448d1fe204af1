//! The files that a container can read, as far as they are known: keys of ConfigMaps at the paths where they are
//! mounted, and what a script writes before it starts training.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Files by their absolute paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    files: BTreeMap<String, File>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// What it holds.
    pub(crate) text: Arc<str>,
    /// Where that comes from, for provenance: `ConfigMap training-config key config.yaml`.
    pub(crate) source: String,
}

impl Files {
    /// Adds a file.
    pub(crate) fn add(&mut self, path: &str, text: Arc<str>, source: &str) {
        self.files.insert(path.to_owned(), File { text, source: source.to_owned() });
    }

    /// The file at a path.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }
}
