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

    /// The file that a program means by a path: that path, or, where it is relative, the only file that ends in it.
    pub(crate) fn meant(&self, path: &str) -> Option<&File> {
        let plain = path.trim_start_matches("./");
        if plain.is_empty() || path.starts_with('/') {
            return self.get(path);
        }
        let ends = |known: &str| known.strip_suffix(plain).is_some_and(|folder| folder.ends_with('/'));
        let mut ending = self.files.iter().filter(|(known, _)| known.as_str() == path || ends(known));
        match (ending.next(), ending.next()) {
            (Some((_, file)), None) => Some(file),
            _ => None,
        }
    }
}
