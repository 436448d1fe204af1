//! The manifests on the command line: files, folders and standard input, read as kubectl reads them.
//!
//! Reading does not stop at the first error. Each error is listed with its place and its remedy, and the rest of the
//! stream is still judged.

mod objects;
mod paths;
mod stream;
mod value;

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// The objects, lists flattened, in the order of the stream.
    pub(super) objects: Vec<Value>,
    /// The errors, in the same order.
    pub(super) unreadable: Vec<Unreadable>,
}

/// Reads every path; `-` is standard input.
pub(super) fn read(paths: &[PathBuf]) -> Input {
    let mut input = Input::default();
    for source in paths.iter().flat_map(|path| paths::sources(path)) {
        match source.and_then(paths::Source::read) {
            Ok(text) => input.add(&text),
            Err(unreadable) => input.unreadable.push(unreadable),
        }
    }
    input
}

impl Input {
    fn add(&mut self, text: &paths::Text) {
        for document in stream::documents(&text.name, &text.content) {
            match document {
                Ok((place, value)) => objects::flatten(&place, value).into_iter().for_each(|o| self.push(o)),
                Err(unreadable) => self.unreadable.push(unreadable),
            }
        }
    }

    fn push(&mut self, object: Result<Value, Unreadable>) {
        match object {
            Ok(object) => self.objects.push(object),
            Err(unreadable) => self.unreadable.push(unreadable),
        }
    }
}

/// A place in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file's path, or `standard input`.
    file: String,
    /// The numbers of the document in the file and of the line, both from one. None for the whole file.
    document: Option<(usize, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.document {
            None => f.write_str(&self.file),
            Some((document, line)) => write!(f, "{}: document {document}, line {line}", self.file),
        }
    }
}

/// An error: its place, the fault, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub(super) struct Unreadable {
    place: Place,
    problem: String,
}
