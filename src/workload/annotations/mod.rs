//! The annotation contract: every key under `weighbridge.dev/`, its grammar, its errors.
//!
//! Keys are lower-case and dashed, values as people write them (`70B`, `bf16`, `A100-80GB`). They are read on the
//! workload, then on the templates of the pods that ask for accelerators; the workload wins. A single key beats the
//! [`training`](block) block. A value that cannot be read is an error, complete in itself; a key that is not known is a
//! warning with the nearest name, since a newer cluster may know it.
//!
//! The table is [`KEYS`]. Beside it there are `training`, one YAML block with the fields of a `TrainingEstimate`'s spec,
//! and `override`, the reason why a denial should become a warning; whether it counts is the policy's to say.

mod block;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Findings;
use crate::job::keys::{KEYS, Key, PREFIX};
use crate::job::{InputError, Provenance, Source, field, nearest_key, out_of_range};
use crate::judgement::LONGEST_WARNING;
use crate::printable::printable;

/// The key of the YAML block.
pub const TRAINING: &str = "training";
/// The key of the reason for an override.
pub const OVERRIDE: &str = "override";
/// A label of namespaces, which people look for on workloads.
const MODE: &str = "mode";
/// Unknown keys that are named at most.
const MOST_STRANGERS: usize = 48;
/// Unknown keys that have a warning each. More share their lines.
const OWN_LINES: usize = 3;

/// An object's annotations, and where they stand.
#[derive(Clone, Copy, Debug)]
pub struct Annotations<'a> {
    values: Option<&'a Map<String, Value>>,
    /// The object that has them: empty for the workload, `spec.template` for a template.
    path: &'a str,
}

/// Whether a key says what the job runs on, or its price. A server and a notebook have these too.
fn is_about_hardware(name: &str) -> bool {
    let group = |key: &Key| key.path().split('.').next().unwrap_or_default();
    let key = KEYS.iter().find(|key| key.name == name);
    key.is_some_and(|key| group(key) == field::ACCELERATOR.path() || group(key) == field::PRICE.path())
}

impl<'a> Annotations<'a> {
    /// Those of the workload itself, or of the template at `path`.
    pub fn of(object: &'a Value, path: &'a str) -> Self {
        Self { values: object.pointer("/metadata/annotations").and_then(Value::as_object), path }
    }

    /// Whether any of them says something of a training job: an override, a mode or the hardware alone does not.
    pub fn speak_of_training(self) -> bool {
        self.ours().any(|(name, _)| name != OVERRIDE && name != MODE && !is_about_hardware(name))
    }

    /// Whether another object has them. The user who submits this object may lack the right to read that one.
    pub fn are_elsewhere(self) -> bool {
        self.path.contains(' ')
    }

    /// How many bytes they take.
    pub fn bytes(self) -> usize {
        self.ours().map(|(_, value)| value.as_str().map_or(0, str::len)).sum()
    }

    /// The keys under the prefix, and their values.
    fn ours(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.values.into_iter().flatten().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)))
    }

    /// The value of one of our keys. One that is no string says nothing: the apiserver has none, and `check` reports it.
    fn value(self, name: &str) -> Option<&'a str> {
        self.values?.get(&format!("{PREFIX}{name}"))?.as_str()
    }

    /// One of our keys as a source.
    fn source(self, name: &str) -> Source {
        let (object, key) = (self.path.to_owned(), format!("{PREFIX}{name}"));
        Source::Annotation { object, key, elsewhere: self.are_elsewhere() }
    }

    /// Where a key stands.
    fn place(self, name: &str) -> String {
        let path = if self.path.is_empty() { String::new() } else { format!("{}.", self.path) };
        format!("{path}metadata.annotations[{PREFIX}{name}]")
    }

    /// Reads the single keys.
    pub(super) fn read_keys(self, provenance: &mut Provenance, findings: &mut Findings) {
        let ours: BTreeMap<&str, &Value> = self.ours().collect();
        for key in KEYS.iter().filter(|_| !ours.is_empty()) {
            let Some(text) = ours.get(key.name).and_then(|value| value.as_str()) else { continue };
            let source = self.source(key.name);
            match key.grammar.read(key.sets, text) {
                Some(fields) => {
                    for (field, value) in fields {
                        provenance.offer(field, value, source.clone());
                    }
                }
                None => findings.errors.push(self.unreadable(key.name, text, &key.grammar.complaint())),
            }
        }
        findings.warnings.extend(self.strangers());
    }

    /// What to say of the keys that are not in the contract, and of those whose prefix is almost ours.
    fn strangers(self) -> Vec<String> {
        let known =
            |name: &str| KEYS.iter().any(|key| key.name == name) || [TRAINING, OVERRIDE].contains(&name);
        let strange = self.ours().map(|(name, _)| name).filter(|name| !known(name));
        let (modes, strange): (Vec<_>, Vec<_>) = strange.partition(|name| *name == MODE);
        let mut warnings = unknown_keys(&strange);
        let of_mode = format!("{PREFIX}{MODE} is a label of namespaces; as an annotation it does nothing");
        warnings.extend(modes.first().map(|_| of_mode));
        let others = self.values.into_iter().flatten().filter_map(|(key, _)| other_prefix(key));
        warnings.extend(others.take(OWN_LINES));
        warnings
    }

    /// Reads the `training` block.
    pub(super) fn read_block(self, provenance: &mut Provenance, findings: &mut Findings) {
        let Some(text) = self.value(TRAINING) else { return };
        match block::read(text) {
            Ok(block) => {
                let source = Source::Block { object: self.path.to_owned(), elsewhere: self.are_elsewhere() };
                for (field, value) in block.fields {
                    match out_of_range(field, &value) {
                        Some(problem) => findings.errors.push(InputError {
                            field: self.place(TRAINING),
                            message: format!("{PREFIX}{TRAINING}: {field}: {problem}"),
                        }),
                        None => provenance.offer(field, value, source.clone()),
                    }
                }
                for field in block.unknown {
                    let meant = nearest_key::nearest_field(&field);
                    let meant = meant.map(|field| format!("; did you mean {field}?")).unwrap_or_default();
                    let field = printable(&field, 48);
                    findings.warnings.push(format!(
                        "{PREFIX}{TRAINING}: the field {field} is not known and not read{meant}"
                    ));
                }
            }
            Err(problem) => findings.errors.push(InputError {
                field: self.place(TRAINING),
                message: format!("{PREFIX}{TRAINING}: {problem}"),
            }),
        }
    }

    /// Reads the reason for an override.
    pub(super) fn read_override(self, findings: &mut Findings) {
        let Some(text) = self.value(OVERRIDE) else { return };
        let reason = printable(text.trim(), 256);
        if reason.is_empty() {
            findings.errors.push(self.unreadable(
                OVERRIDE,
                text,
                "is no reason: write in words why it should run anyway",
            ));
        } else if findings.override_reason.is_none() {
            findings.override_reason = Some(reason);
        }
    }

    fn unreadable(self, name: &str, text: &str, complaint: &str) -> InputError {
        let message = format!("{PREFIX}{name}: \"{}\" {complaint}", printable(text, 64));
        InputError { field: self.place(name), message }
    }
}

/// What to say of unknown keys: a line each, or a few lines that name them all.
fn unknown_keys(strange: &[&str]) -> Vec<String> {
    let guess = |name: &str| nearest_key::nearest(name).join(" or ");
    if strange.len() <= OWN_LINES {
        let line = |name: &&str| {
            let (shown, guess) = (printable(name, 40), guess(name));
            let or = if guess.is_empty() { String::new() } else { format!("; did you mean {guess}?") };
            format!("{PREFIX}{shown} is not known and not read{or}")
        };
        return strange.iter().map(line).collect();
    }
    let named = strange.iter().take(MOST_STRANGERS).map(|name| {
        let (shown, guess) = (printable(name, 40), guess(name));
        if guess.is_empty() { shown } else { format!("{shown} ({guess}?)") }
    });
    let more = strange.len().saturating_sub(MOST_STRANGERS);
    let more = (more > 0).then(|| format!("and {more} more"));
    packed("keys that are not known and not read: ", named.chain(more))
}

/// The words in as few lines as hold them, each line after the same beginning.
fn packed(beginning: &str, words: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + word.chars().count() <= LONGEST_WARNING => {
                line.push_str(", ");
                line.push_str(&word);
            }
            _ => lines.push(format!("{beginning}{word}")),
        }
    }
    lines
}

/// What to say of a key whose prefix is almost ours: `weighbridge.io/model`.
fn other_prefix(key: &str) -> Option<String> {
    let (prefix, name) = key.split_once('/')?;
    let own = PREFIX.trim_end_matches('/');
    let like = prefix != own
        && prefix.len() < 40
        && (prefix.starts_with("weighbridge") || strsim::damerau_levenshtein(prefix, own) <= 2);
    like.then(|| format!("{} is not read; write {PREFIX}{}", printable(key, 48), printable(name, 40)))
}
