//! The Python programs of launches whose text is known: files of ConfigMaps, here-documents, `python -c`.

use std::sync::Arc;

use crate::command::files::File;
use crate::command::{Arguments, Environment, Launch};
use crate::job::Source;
use crate::python::{self, Given, Passed, Program};

/// The most bytes of all programs of an object.
const MOST_BYTES: usize = 256 << 10;
/// The most steps of evaluation of all programs of an object. A program of 200 lines takes a few hundred.
const MOST_STEPS: usize = 40_000;

/// A program whose text is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Script {
    /// Where the text comes from.
    pub(crate) source: Source,
    /// What it says. `None` if it was not parsed: it is too long, nests too deep, or is no Python.
    pub(crate) program: Option<Program>,
}

/// The work that may still be spent on the programs of an object.
#[derive(Debug)]
pub(super) struct Work {
    bytes: usize,
    steps: usize,
}

impl Work {
    pub(super) const ALL: Self = Self { bytes: MOST_BYTES, steps: MOST_STEPS };

    /// Reads the program of a launch.
    pub(super) fn read(&mut self, launch: &Launch, file: &File) -> Arc<Script> {
        let enough = file.text.len() <= self.bytes;
        self.bytes = self.bytes.saturating_sub(file.text.len());
        let started = Started { arguments: &launch.arguments, environment: &launch.environment };
        let program = enough.then(|| python::read(&file.text, &started, &mut self.steps)).flatten();
        Arc::new(Script { source: file.source.clone(), program })
    }
}

/// How a program is started.
struct Started<'l> {
    arguments: &'l Arguments,
    environment: &'l Environment,
}

impl Given for Started<'_> {
    fn option(&self, spellings: &[String]) -> Option<Passed> {
        let behind = spellings.iter().find_map(|name| self.arguments.behind(name));
        match behind.as_deref() {
            // An unknown word may hold any option.
            None => {
                let words = self.arguments.words();
                let stray = |(at, word): (usize, &crate::command::Word)| {
                    let before = at.checked_sub(1).and_then(|at| words.get(at));
                    !word.known
                        && !word.text.starts_with('-')
                        && !before.is_some_and(|w| w.text.starts_with('-'))
                };
                words.iter().enumerate().any(stray).then_some(Passed::Unknown)
            }
            Some([]) => Some(Passed::Switch),
            Some([first, ..]) => Some(first.map_or(Passed::Unknown, |text| Passed::Text(text.to_owned()))),
        }
    }

    fn variable(&self, name: &str) -> Option<Passed> {
        match self.environment.iter().find(|(variable, _)| *variable == name) {
            Some((_, Some(value))) => Some(Passed::Text(value.to_owned())),
            Some((_, None)) => Some(Passed::Unknown),
            None => self.environment.may_have_more().then_some(Passed::Unknown),
        }
    }
}
