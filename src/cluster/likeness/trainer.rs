//! The containers that ask for accelerators: command, variables and directory.

use std::collections::BTreeSet;

use serde_json::Value;

use super::mounts::{self, Mount};
use super::{LIMIT, hash, hash_of_text, operators};
use crate::hardware::{Catalogue, resources};
use crate::surroundings::ConfigMaps;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trainer {
    /// Its command and its arguments.
    pub(super) command: u64,
    /// How many accelerators its pod asks for.
    pub(super) accelerators: u64,
    /// How many pods run it. `None` if the object does not tell.
    pub(super) pods: Option<u64>,
    environment: Vec<Variable>,
    /// Names that the values of its variables may refer to with a `$`, except those that operators set.
    mentioned: BTreeSet<u64>,
    /// Its working directory and its `envFrom`.
    settings: u64,
    /// The ConfigMaps that it mounts.
    pub(super) config_maps: Vec<Mount>,
}

/// A variable of a container, by hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Variable {
    name: u64,
    /// The hash of name and value.
    pair: u64,
    /// Whether the command or a mounted script reads it, and no operator sets it.
    read: bool,
}

/// A template whose pods ask for accelerators.
pub(super) struct Pod<'a> {
    pub(super) template: &'a Value,
    pub(super) accelerators: u64,
    pub(super) pods: Option<u64>,
    pub(super) namespace: &'a str,
    pub(super) config_maps: &'a ConfigMaps,
}

impl Trainer {
    pub(super) fn of(container: &Value, pod: &Pod<'_>) -> Self {
        let list = |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
        let name =
            |variable: &Value| variable.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (config_maps, scripts) = mounts::of(container, pod);
        let names: BTreeSet<String> = list("env").take(LIMIT).map(name).collect();
        let texts = list("command").chain(list("args")).filter_map(Value::as_str).chain(scripts);
        let read: BTreeSet<&str> = texts.flat_map(names_in).filter(|word| names.contains(*word)).collect();
        let environment = list("env").take(LIMIT).map(|variable| {
            let text = name(variable);
            Variable {
                name: hash_of_text(&text),
                pair: hash(&[Some(variable)]),
                read: read.contains(text.as_str()) && !operators::set(&text),
            }
        });
        let values = list("env").take(LIMIT).filter_map(|variable| variable.get("value")?.as_str());
        let mentioned = values.filter(|value| value.contains('$')).flat_map(names_in);
        let mentioned = mentioned.filter(|word| !operators::set(word)).map(hash_of_text);
        let sources = list("envFrom").map(Some);
        let directory = container.get("workingDir").filter(|directory| !directory.is_null());
        let settings: Vec<_> = std::iter::once(directory).chain(sources).take(LIMIT).collect();
        Self {
            command: hash(&[container.get("command"), container.get("args")]),
            accelerators: pod.accelerators,
            pods: pod.pods,
            environment: environment.collect(),
            mentioned: mentioned.take(LIMIT).collect(),
            settings: hash(&settings),
            config_maps,
        }
    }

    /// Whether the child has these variables. It may add variables that the command does not read.
    pub(super) fn has_environment_of(&self, child: &Self, incomplete: bool) -> bool {
        let last = |trainer: &Self, name: u64| {
            trainer.environment.iter().rfind(|variable| variable.name == name).map(|variable| variable.pair)
        };
        let is_read = |variable: &Variable| variable.read || self.mentioned.contains(&variable.name);
        let same = child.environment.iter().all(|variable| {
            let mut own = self.environment.iter().filter(|own| own.name == variable.name).peekable();
            if own.peek().is_none() {
                return incomplete || !is_read(variable);
            }
            own.any(|own| own.pair == variable.pair)
                && last(self, variable.name) == last(child, variable.name)
        });
        let complete = self.environment.iter().all(|own| !is_read(own) || last(child, own.name).is_some());
        same && complete && (incomplete || self.settings == child.settings)
    }

    /// Whether it has more than is kept.
    pub(super) fn is_truncated(&self) -> bool {
        let kept = [self.environment.len(), self.mentioned.len(), self.config_maps.len()];
        kept.iter().any(|number| *number >= LIMIT)
    }
}

/// Words of a text that may be a variable's name: `$NAME`, `${NAME:-1}`, `$(NAME)`, `$((NAME))` and
/// `environ["NAME"]`.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Whether a container asks for accelerators.
pub(super) fn asks_for_accelerators(container: &Value, catalogue: &Catalogue) -> bool {
    let counts = |name: &String| {
        resources::of_resource(catalogue, name).is_some_and(|resource| resource.kind.counts_accelerators())
    };
    let resource = |pointer: &str| {
        container.pointer(pointer).and_then(Value::as_object).is_some_and(|map| map.keys().any(counts))
    };
    resource("/resources/limits")
        || resource("/resources/requests")
        || container.pointer("/resources/claims").is_some()
}
