//! The settings in a configuration of `XTuner`, which is a Python file of `dict(…)`.
//!
//! Nothing is run. The arguments of all calls count under their names, the first of a name. What does not follow from
//! literals is not known.

use serde_json::{Map, Value as Json};

use crate::command::files::File;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{Config, ReadFile};
use crate::python::{self, NothingGiven, Value};

/// The most steps of evaluation.
const MOST_STEPS: usize = 20_000;
/// A variable that no call takes.
const PARTS: &str = "sequence_parallel_size";

/// The settings of a file. `None` if it is no Python.
pub(super) fn read(file: &File, claims: &mut Claims) -> Option<Config> {
    let mut steps = MOST_STEPS;
    let program = python::read(&file.text, &NothingGiven, &mut steps)?;
    let mut keys = Map::new();
    for call in &program.calls {
        for (name, value) in &call.named {
            if let Value::Plain(value) = value
                && !value.is_null()
            {
                keys.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    let parts = file.text.lines().find_map(|line| line.strip_prefix(PARTS)?.trim().strip_prefix('='));
    if let Some(parts) = parts.and_then(|parts| parts.trim().parse::<u64>().ok()) {
        keys.insert(PARTS.to_owned(), parts.into());
    }
    let config = Config::new(file.source.clone(), Json::Object(keys));
    claims.files.push(ReadFile::of(&config));
    Some(config)
}
