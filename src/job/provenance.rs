//! The source of each value.
//!
//! Every source offers its values for the spec's fields, the stronger sources first: an annotation of the workload, an
//! annotation of a pod template, the `training` block, the pods' requests, a known model's dimensions. The first value
//! of a field wins. A later, different value is named in a warning, because one of the two sources must be wrong.
//!
//! Values are kept by field, as the JSON of the spec. So all sources use one format, and a [`TrainingJob`] is made
//! once.
//!
//! Each value records whether it comes from another object. If that object's value must be hidden, [`Hidden`] names the
//! object and the field instead.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::job::handle::{AnyField, Field, FieldType, Group, ValueOf};
use crate::job::{Input, Source, TrainingJob, field};
use crate::units::Count;

/// The longest value that is shown.
const LONGEST_VALUE: usize = 64;

/// A value and its source.
#[derive(Clone, Debug, PartialEq)]
struct Sourced {
    value: Value,
    source: Source,
    /// Whether it comes from another object than the request.
    elsewhere: bool,
}

impl Sourced {
    fn new(value: Value, source: Source) -> Self {
        let elsewhere = source.is_elsewhere();
        Self { value, source, elsewhere }
    }
}

/// The values of two sources for one field.
#[derive(Clone, Debug)]
struct Disagreement {
    field: AnyField,
    believed: Sourced,
    other: Sourced,
}

/// The values of all sources.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// The winning value of each field.
    fields: BTreeMap<AnyField, Sourced>,
    /// Values that differ from the winning one.
    disagreements: Vec<Disagreement>,
}

/// The names that stand for other objects' values when those are hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// The objects that the request refers to, with the names it uses: `ConfigMap train key model`.
    pub(crate) objects: Vec<String>,
    /// The ConfigMaps that the request names, whether they exist or not.
    pub(crate) config_maps: Vec<String>,
    /// All objects that the request names, whether they exist or not: `ConfigMap train`.
    pub(crate) named: Vec<String>,
}

impl Hidden {
    /// The objects in a few words.
    pub(crate) fn named(&self) -> String {
        match self.objects.as_slice() {
            [] => "another object".to_owned(),
            [one] => one.clone(),
            [one, other] => format!("{one} or {other}"),
            [one, others @ ..] => format!("{one} or {} others", others.len()),
        }
    }

    /// A source in another object, described with the request's own names.
    pub(crate) fn source(&self, source: &Source) -> String {
        let names_it = |name: &str| self.config_maps.iter().any(|known| known == name);
        if source.is_of_the_cluster() || source.config_map().is_some_and(names_it) {
            source.to_string()
        } else {
            self.named()
        }
    }
}

impl Provenance {
    /// Takes a source's value for a field, unless a stronger source has one. Records any difference.
    pub(crate) fn offer<F: Into<AnyField>>(
        &mut self,
        field: F,
        value: impl ValueOf<F>,
        source: impl Into<Source>,
    ) {
        let (field, value) = (field.into(), value.json());
        match self.fields.get(&field) {
            None => {
                self.fields.insert(field, Sourced::new(value, source.into()));
            }
            Some(believed) if believed.value == value => {}
            Some(believed) => {
                let (believed, other) = (believed.clone(), Sourced::new(value, source.into()));
                self.disagreements.push(Disagreement { field, believed, other });
            }
        }
    }

    /// Takes a default for a field without a value. A default that differs is not recorded.
    pub(crate) fn assume<F: Into<AnyField> + Copy>(
        &mut self,
        field: F,
        value: impl ValueOf<F>,
        source: impl Into<Source>,
    ) {
        if !self.knows(field) {
            self.offer(field, value, source);
        }
    }

    /// Drops a field's value, so that the next source's counts.
    pub(crate) fn forget<F: Into<AnyField>>(&mut self, field: F) {
        self.fields.remove(&field.into());
    }

    /// Overrides a field, for the job with its open fields at their leanest.
    pub(crate) fn override_with<F: Into<AnyField>>(&mut self, field: F, value: impl ValueOf<F>) {
        self.fields.insert(field.into(), Sourced::new(value.json(), Source::Open));
    }

    /// Takes the values of another reading for the fields that have none. Differences are not recorded, because a
    /// what-if is meant to differ. Another model brings its own dimensions.
    pub(crate) fn fill_from(&mut self, other: Self) {
        let name = field::model::NAME;
        let another_model = self.knows(name) && self.text(name) != other.text(name);
        for (field, sourced) in other.fields {
            if !(another_model && field::MODEL.has(field)) {
                self.fields.entry(field).or_insert(sourced);
            }
        }
        self.disagreements.extend(other.disagreements);
    }

    /// Marks values that come from other objects: all values that the same object does not give without those objects.
    /// The object may start several trainings. The values of each of them are its own.
    pub(crate) fn distinguish(&mut self, own: &[&Self]) {
        let mark = |field: AnyField, sourced: &mut Sourced| {
            let disagreements = own.iter().flat_map(|own| &own.disagreements);
            let said = disagreements.filter(|known| known.field == field);
            let said = said.flat_map(|known| [&known.believed, &known.other]);
            let mut said = own.iter().filter_map(|own| own.fields.get(&field)).chain(said);
            sourced.elsewhere |=
                !said.any(|said| said.value == sourced.value && said.source == sourced.source);
        };
        self.fields.iter_mut().for_each(|(field, sourced)| mark(*field, sourced));
        for Disagreement { field, believed, other } in &mut self.disagreements {
            mark(*field, believed);
            mark(*field, other);
        }
    }

    /// Whether another has the same value for every field, from any source. Where a training saves does not matter.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let values = |provenance: &'_ Self| {
            let fields =
                provenance.fields.iter().filter(|(field, _)| **field != field::checkpoint::DIRECTORY);
            fields.map(|(field, sourced)| (*field, sourced.value.clone())).collect::<Vec<_>>()
        };
        values(self) == values(other)
    }

    /// Whether a field has a value.
    pub(crate) fn knows(&self, field: impl Into<AnyField>) -> bool {
        self.fields.contains_key(&field.into())
    }

    /// Whether any field of a group has a value.
    pub(crate) fn knows_any(&self, group: Group) -> bool {
        self.fields.keys().any(|field| group.has(*field))
    }

    /// Whether a field's value comes from another object.
    pub(crate) fn is_elsewhere(&self, field: impl Into<AnyField>) -> bool {
        self.fields.get(&field.into()).is_some_and(|believed| believed.elsewhere)
    }

    /// Whether a value of a group's field comes from another object.
    pub(crate) fn any_is_elsewhere(&self, group: Group) -> bool {
        self.fields.iter().any(|(field, believed)| group.has(*field) && believed.elsewhere)
    }

    /// The source of a field's value.
    pub(crate) fn source(&self, field: impl Into<AnyField>) -> Option<&Source> {
        self.fields.get(&field.into()).map(|believed| &believed.source)
    }

    /// Whether a source gives a different value for a field.
    pub(crate) fn contradicts(&self, field: AnyField, value: &Value) -> bool {
        self.fields.get(&field).is_some_and(|believed| believed.value != *value)
    }

    /// The value of a text field.
    pub(crate) fn text(&self, field: Field<String>) -> Option<&str> {
        self.fields.get(&field.erased())?.value.as_str()
    }

    /// The value of a number field.
    pub(crate) fn number<T: FieldType>(&self, field: Field<T>) -> Option<u64>
    where
        u64: ValueOf<Field<T>>,
    {
        self.fields.get(&field.erased())?.value.as_u64()
    }

    /// One line for each pair of sources that disagree. Values from other objects are named, not quoted.
    pub(crate) fn disagreements(&self, hidden: Option<&Hidden>) -> Vec<String> {
        let named = |sourced: &Sourced| match hidden.filter(|_| sourced.elsewhere) {
            Some(hidden) => hidden.source(&sourced.source),
            None => sourced.source.to_string(),
        };
        let line = |Disagreement { field, believed, other }: &Disagreement| {
            let (source, another) = (named(believed), named(other));
            let value = |sourced: &Sourced| shown(*field, &sourced.value, 24);
            match (believed.elsewhere, other.elsewhere) {
                (false, false) => {
                    format!("{field} is {} ({source}), not {} ({another})", value(believed), value(other))
                }
                (false, true) => {
                    format!("{field} is {} ({source}), not what {another} says", value(believed))
                }
                (true, _) => format!("{field} is what {source} says, not what {another} does"),
            }
        };
        self.disagreements.iter().map(line).collect()
    }

    /// The training job that the sources describe.
    pub(crate) fn job(&self) -> TrainingJob {
        self.job_of(|_| true)
    }

    /// The training job that the request alone describes, without values from other objects.
    pub(crate) fn own_job(&self) -> TrainingJob {
        self.job_of(|believed| !believed.elsewhere)
    }

    fn job_of(&self, counts: impl Fn(&Sourced) -> bool) -> TrainingJob {
        let believed = self.fields.iter().filter(|(_, believed)| counts(believed));
        TrainingJob::of_values(believed.map(|(field, believed)| (*field, &believed.value)))
    }

    /// Every value of the job with its source, in the order of the spec. If a value comes from another object and must
    /// be hidden, only the source is shown.
    pub(crate) fn inputs_of(&self, job: &TrainingJob, hidden: Option<&Hidden>) -> Vec<Input> {
        let input = |(field, value): (AnyField, Value)| {
            let believed = self.fields.get(&field)?;
            let (value, source) = match hidden.filter(|_| believed.elsewhere) {
                Some(hidden) => (String::new(), format!("from {}", hidden.source(&believed.source))),
                None => (shown(field, &value, LONGEST_VALUE), believed.source.to_string()),
            };
            Some(Input { field, value, source })
        };
        job.values().into_iter().filter_map(input).collect()
    }

    #[cfg(test)]
    pub(crate) fn inputs(&self, hidden: Option<&Hidden>) -> Vec<Input> {
        self.inputs_of(&self.job(), hidden)
    }
}

/// A value for people, cut to `longest` characters.
fn shown(field: AnyField, value: &Value, longest: usize) -> String {
    let text = match value {
        Value::Number(number) => match number.as_u64() {
            Some(count) if field.is_count() => Count(count).to_string(),
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(field, item, longest)).collect();
            items.join(",")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    crate::printable::printable(&text, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(option: &str) -> Source {
        Source::Argument { place: "container a".into(), option: option.into() }
    }

    fn block() -> Source {
        Source::Block { object: String::new(), elsewhere: false }
    }

    fn file() -> Source {
        Source::ConfigMap { name: "training-config".into(), key: "config.yaml".into() }.key("sequence_len")
    }

    fn hidden() -> Hidden {
        Hidden {
            objects: vec!["ConfigMap settings key tp".into()],
            config_maps: vec!["training-config".into()],
            named: Vec::new(),
        }
    }

    #[test]
    fn the_first_source_is_believed_and_a_second_opinion_is_named() {
        let mut provenance = Provenance::default();
        provenance.offer(field::parallelism::TENSOR, 8, argument("--tp"));
        provenance.offer(field::parallelism::TENSOR, 8, block());
        assert!(provenance.disagreements(None).is_empty());
        provenance.offer(field::parallelism::TENSOR, 2, block());
        let lines = provenance.disagreements(None);
        assert_eq!(lines, ["parallelism.tensor is 8 (container a: --tp), not 2 (training annotation)"]);
        assert_eq!(provenance.job().parallelism.unwrap().tensor, Some(8));
    }

    #[test]
    fn what_another_object_says_is_named_and_not_quoted() {
        let mut provenance = Provenance::default();
        provenance.offer(field::batch::SEQUENCE_LENGTH, 4096, argument("--seq-length"));
        provenance.offer(field::batch::SEQUENCE_LENGTH, 777, file());
        provenance.offer(field::batch::MICRO_BATCH_SIZE, 777, file());
        provenance.offer(field::batch::MICRO_BATCH_SIZE, 2, argument("--mbs"));
        let named = "ConfigMap training-config key config.yaml: sequence_len";
        assert_eq!(
            provenance.disagreements(Some(&hidden())),
            [
                format!("batch.sequenceLength is 4096 (container a: --seq-length), not what {named} says"),
                format!("batch.microBatchSize is what {named} says, not what container a: --mbs does"),
            ]
        );
    }

    #[test]
    fn what_came_by_way_of_an_argument_is_named_by_the_object_that_the_request_names() {
        let of = |tensor: u64| {
            let mut provenance = Provenance::default();
            provenance.offer(field::parallelism::TENSOR, tensor, argument("--tp"));
            provenance.offer(field::parallelism::PIPELINE, 4, argument("--pp"));
            provenance.offer(field::parallelism::TENSOR, 2, block());
            provenance
        };
        let (mut all, mut own) = (of(77), Provenance::default());
        own.offer(field::parallelism::PIPELINE, 4, argument("--pp"));
        own.offer(field::parallelism::TENSOR, 2, block());
        all.distinguish(&[&own]);
        assert!(
            all.is_elsewhere(field::parallelism::TENSOR) && !all.is_elsewhere(field::parallelism::PIPELINE)
        );
        let line =
            "parallelism.tensor is what ConfigMap settings key tp says, not what training annotation does";
        assert_eq!(all.disagreements(Some(&hidden())), [line]);
        let inputs: Vec<_> = all.inputs(Some(&hidden())).into_iter().map(|i| (i.value, i.source)).collect();
        let expected = [("", "from ConfigMap settings key tp"), ("4", "container a: --pp")];
        assert_eq!(inputs, expected.map(|(value, source)| (value.to_owned(), source.to_owned())));
        assert_eq!(all.own_job().parallelism.unwrap().tensor, None);
    }

    #[test]
    fn inputs_come_in_the_order_of_the_spec_and_counts_are_short() {
        let mut provenance = Provenance::default();
        provenance.offer(field::dataset::TOKENS, 2_000_000_000_000, "a");
        provenance.offer(field::latent_attention::QUERY_RANK, 1536, "b");
        provenance.offer(field::model::LAYERS, 61, "c");
        let inputs: Vec<_> =
            provenance.inputs(None).into_iter().map(|i| (i.field.to_string(), i.value, i.source)).collect();
        let expected = [
            ("model.layers", "61", "c"),
            ("model.latentAttention.queryRank", "1536", "b"),
            ("dataset.tokens", "2T", "a"),
        ];
        assert_eq!(inputs, expected.map(|(f, v, s)| (f.to_owned(), v.to_owned(), s.to_owned())));
    }
}
