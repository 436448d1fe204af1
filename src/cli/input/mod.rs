//! The manifests on the command line: files, folders and standard input, read as kubectl reads them.
//!
//! Reading does not stop at the first error. Each error is listed with its place and its remedy, and the rest of the
//! stream is still judged.

mod objects;
mod paths;
mod stream;
mod value;

use std::path::PathBuf;

use serde_json::Value;

use crate::batch::{Object, parallel};
use crate::report::Place;

/// All that was read.
#[derive(Debug, Default)]
pub struct Input {
    /// The objects, lists flattened, in the order of the stream.
    pub objects: Vec<Object>,
    /// The errors, in the same order.
    pub unreadable: Vec<Unreadable>,
    /// The documents that are no Kubernetes objects, such as a workflow or a program's settings.
    pub skipped: Vec<Place>,
}

/// Reads every path; `-` is standard input. Files and folders in a folder that match a pattern of `ignored` are left out.
pub(super) fn read(paths: &[PathBuf], ignored: &[String]) -> Input {
    let sources: Vec<_> = paths.iter().flat_map(|path| paths::sources(path, ignored)).collect();
    let read = parallel::answers(&sources, parallel::processors(), |source| {
        let mut input = Input::default();
        match source.as_ref().map_err(Unreadable::clone).and_then(paths::Source::read) {
            Ok(text) => input.add(&text),
            Err(unreadable) => input.unreadable.push(unreadable),
        }
        input
    });
    read.into_iter().reduce(Input::followed_by).unwrap_or_default()
}

/// Reads a text, as if it stood in a file of this name.
pub fn of_text(name: &str, content: &str) -> Input {
    let mut input = Input::default();
    input.add(&paths::Text { name: name.to_owned(), content: content.to_owned() });
    input
}

impl Input {
    fn followed_by(mut self, other: Self) -> Self {
        self.objects.extend(other.objects);
        self.unreadable.extend(other.unreadable);
        self.skipped.extend(other.skipped);
        self
    }

    fn add(&mut self, text: &paths::Text) {
        for document in stream::documents(&text.name, &text.content) {
            match document {
                Ok((place, value)) if objects::is_something_else(&value) => self.skipped.push(place),
                Ok((place, value)) => {
                    for object in objects::flatten(&place, value) {
                        self.push(&place, object);
                    }
                }
                Err(unreadable) => self.unreadable.push(unreadable),
            }
        }
    }

    fn push(&mut self, place: &Place, object: Result<Value, Unreadable>) {
        match object {
            Ok(value) => self.objects.push(Object { value, place: Some(place.clone()) }),
            Err(unreadable) => self.unreadable.push(unreadable),
        }
    }
}

/// An error: its place, the fault, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Unreadable {
    place: Place,
    problem: String,
}
