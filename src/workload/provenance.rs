//! Where each value came from.
//!
//! Every source offers what it says of the spec's fields, the stronger sources first: an annotation of the workload, one
//! of a pod template, the `training` block, what the pods ask for, a known model's dimensions. The first to say
//! something of a field is believed, and who says something else later is named in a warning: two sources that disagree
//! are a mistake of one of them.
//!
//! Values are kept as the JSON of the spec, by field path (`parallelism.tensor`), so that all sources speak one
//! language and a [`TrainingJob`] is made of them once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::TrainingJob;
use crate::judgement::Input;
use crate::units::Count;

/// Fields that people read short: `70B`, `2T`.
const COUNTS: &[&str] = &["model.parameters", "model.activeParameters", "dataset.tokens"];
/// The largest global batch that the spec takes.
const MAX_GLOBAL_BATCH: u64 = 2_147_483_647;
/// The longest value that is shown.
const LONGEST_VALUE: usize = 64;

/// A value, and who says so.
#[derive(Clone, Debug, PartialEq)]
struct Sourced {
    value: Value,
    source: String,
}

/// What all sources together say.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    fields: BTreeMap<String, Sourced>,
    disagreements: Vec<String>,
}

impl Provenance {
    /// Takes what a source says of a field, unless a stronger one has spoken; notes where they disagree.
    pub(crate) fn offer(&mut self, field: &str, value: Value, source: &str) {
        match self.fields.get(field) {
            None => {
                self.fields.insert(field.to_owned(), Sourced { value, source: source.to_owned() });
            }
            Some(believed) if believed.value == value => {}
            Some(believed) => {
                let (said, other) = (shown(field, &believed.value, 24), shown(field, &value, 24));
                let line = match (is_elsewhere(&believed.source), is_elsewhere(source)) {
                    (false, false) => {
                        format!("{field} is {said} ({}), not {other} ({source})", believed.source)
                    }
                    (false, true) => {
                        format!("{field} is {said} ({}), not what {source} says", believed.source)
                    }
                    (true, _) => format!("{field} is what {} says, not what {source} does", believed.source),
                };
                self.disagreements.push(line);
            }
        }
    }

    /// Takes a default of a field of which nothing is said; what it would have been is no disagreement.
    pub(crate) fn assume(&mut self, field: &str, value: Value, source: &str) {
        let default = || Sourced { value, source: source.to_owned() };
        self.fields.entry(field.to_owned()).or_insert_with(default);
    }

    /// Takes a value instead of whatever is said of a field: for a job as it may be, too.
    pub(crate) fn suppose(&mut self, field: &str, value: Value) {
        self.fields.insert(field.to_owned(), Sourced { value, source: "unsaid".to_owned() });
    }

    /// Takes the global batch that follows from gradient accumulation, where the batch of each rank and their number are
    /// known and no global batch is.
    pub(crate) fn accumulate(&mut self, steps: u64, source: &str) {
        let number = |field: &str| self.number(&format!("parallelism.{field}")).unwrap_or(1).max(1);
        let model = number("tensor").saturating_mul(number("pipeline")).saturating_mul(number("context"));
        let count = self.number("accelerator.count").filter(|count| count.is_multiple_of(model));
        let data = self.number("parallelism.data").or_else(|| Some(count? / model));
        let global = data.zip(self.number("batch.microBatchSize"));
        let global = global.and_then(|(data, micro)| data.checked_mul(micro)?.checked_mul(steps));
        if let Some(global) = global.filter(|global| (1..=MAX_GLOBAL_BATCH).contains(global)) {
            self.assume("batch.globalBatchSize", global.into(), source);
        }
    }

    /// Takes what another reading says of the fields of which nothing is said yet, without a word where they disagree:
    /// for a what-if, to differ is its purpose. Another model brings its own dimensions.
    pub(crate) fn fill_from(&mut self, other: Self) {
        let name = "model.name";
        let another_model = self.knows(name) && self.text(name) != other.text(name);
        for (field, sourced) in other.fields {
            if !(another_model && field.starts_with("model.")) {
                self.fields.entry(field).or_insert(sourced);
            }
        }
        self.disagreements.extend(other.disagreements);
    }

    /// Whether another says the same of every field, whoever says so.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let pairs = self.fields.iter().zip(&other.fields);
        self.fields.len() == other.fields.len()
            && pairs.into_iter().all(|(one, another)| (one.0, &one.1.value) == (another.0, &another.1.value))
    }

    /// Whether anything is said of a field.
    pub(crate) fn knows(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Whether something else is said of a field.
    pub(crate) fn contradicts(&self, field: &str, value: &Value) -> bool {
        self.fields.get(field).is_some_and(|believed| believed.value != *value)
    }

    /// Whether anything is said of a group of fields.
    pub(crate) fn knows_any(&self, group: &str) -> bool {
        self.fields.keys().any(|field| field.starts_with(group))
    }

    /// What is said of a field, where that is a text.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.value.as_str()
    }

    /// What is said of a field, where that is a number.
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.value.as_u64()
    }

    /// One line for each pair of sources that disagree.
    pub(crate) fn disagreements(&self) -> &[String] {
        &self.disagreements
    }

    /// The training job that the sources describe.
    pub(crate) fn job(&self) -> TrainingJob {
        let mut spec = Map::new();
        for (field, sourced) in &self.fields {
            put(&mut spec, field, sourced.value.clone());
        }
        // Every value was read as its field's type before it was offered.
        serde_json::from_value(Value::Object(spec)).unwrap_or_default()
    }

    /// Every value with its source, in the order of the spec.
    pub(crate) fn inputs(&self) -> Vec<Input> {
        let spec = serde_json::to_value(self.job()).unwrap_or_default();
        let mut inputs = Vec::new();
        for_each_leaf(&spec, &mut |field, value| {
            if let Some(sourced) = self.fields.get(field) {
                let value = shown(field, value, LONGEST_VALUE);
                inputs.push(Input { field: field.to_owned(), value, source: sourced.source.clone() });
            }
        });
        inputs
    }
}

/// Whether a source is another object than the workload: who submits the one need not be allowed to read the other, and
/// so what it says is named by object and field alone.
fn is_elsewhere(source: &str) -> bool {
    ["ConfigMap ", "ClusterTrainingRuntime ", "TrainingRuntime "].iter().any(|kind| source.contains(kind))
}

/// Puts a value at a path of fields.
pub(crate) fn put(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((group, rest)) => {
            let group = object.entry(group).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(group) = group {
                put(group, rest, value);
            }
        }
    }
}

/// Visits every value of a spec that is no group of fields, with its path. Nulls say nothing and are left out.
pub(crate) fn for_each_leaf(spec: &Value, visit: &mut impl FnMut(&str, &Value)) {
    fn walk(value: &Value, path: &mut String, visit: &mut impl FnMut(&str, &Value)) {
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                for (name, value) in fields {
                    let length = path.len();
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(name);
                    walk(value, path, visit);
                    path.truncate(length);
                }
            }
            leaf => visit(path, leaf),
        }
    }
    walk(spec, &mut String::new(), visit);
}

/// A value as people read it, cut to `longest` characters.
fn shown(field: &str, value: &Value, longest: usize) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(count) if COUNTS.contains(&field) => Count(count).to_string(),
            _ => number.to_string(),
        },
        Value::Array(items) => {
            items.iter().map(|item| shown("", item, longest)).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    super::printable(&text, longest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_source_is_believed_and_a_second_opinion_is_named() {
        let mut provenance = Provenance::default();
        provenance.offer("parallelism.tensor", json!(8), "annotation weighbridge.dev/tensor-parallel");
        provenance.offer("parallelism.tensor", json!(8), "training annotation");
        assert!(provenance.disagreements().is_empty());
        provenance.offer("parallelism.tensor", json!(2), "training annotation");
        assert_eq!(
            provenance.disagreements(),
            [
                "parallelism.tensor is 8 (annotation weighbridge.dev/tensor-parallel), not 2 (training annotation)"
            ]
        );
        assert_eq!(provenance.job().parallelism.unwrap().tensor, Some(8));
    }

    #[test]
    fn what_another_object_says_is_named_and_not_quoted() {
        let mut provenance = Provenance::default();
        let file = "ConfigMap training-config key config.yaml: sequence_len";
        provenance.offer("batch.sequenceLength", json!(4096), "container a: --seq-length");
        provenance.offer("batch.sequenceLength", json!(777), file);
        provenance.offer("batch.microBatchSize", json!(777), file);
        provenance.offer("batch.microBatchSize", json!(2), "container a: env MBS");
        assert_eq!(
            provenance.disagreements(),
            [
                format!("batch.sequenceLength is 4096 (container a: --seq-length), not what {file} says"),
                format!("batch.microBatchSize is what {file} says, not what container a: env MBS does"),
            ]
        );
    }

    #[test]
    fn inputs_come_in_the_order_of_the_spec_and_counts_are_short() {
        let mut provenance = Provenance::default();
        provenance.offer("dataset.tokens", json!(2_000_000_000_000_u64), "a");
        provenance.offer("model.latentAttention.queryRank", json!(1536), "b");
        provenance.offer("model.layers", json!(61), "c");
        let inputs: Vec<_> = provenance.inputs().into_iter().map(|i| (i.field, i.value, i.source)).collect();
        let expected = [
            ("model.layers", "61", "c"),
            ("model.latentAttention.queryRank", "1536", "b"),
            ("dataset.tokens", "2T", "a"),
        ];
        assert_eq!(inputs, expected.map(|(f, v, s)| (f.to_owned(), v.to_owned(), s.to_owned())));
    }
}
