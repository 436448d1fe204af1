//! Fields from the command line: `--set sequence-length=8192`, and the options that stand for one field.
//!
//! A field has the key of its annotation, or its path in the spec (`batch.sequenceLength`). A value is written as in the
//! annotation. An unknown key or an unreadable value is an error before anything is judged.
//!
//! A setting wins over everything in a file: it replaces the annotation of a workload, or the field of an estimate's spec.

use serde_json::{Map, Value, json};

use crate::job::keys::{KEYS, Key, PREFIX};
use crate::job::{Ask, field, nearest_key};
use crate::judge::judge;
use crate::policy::Policy;
use crate::surroundings::Surroundings;

/// A field and its value.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    key: &'static Key,
    text: String,
}

/// Reads `KEY=VALUE`.
pub(super) fn setting(text: &str) -> Result<Setting, String> {
    let (name, value) = text.split_once('=').ok_or("write KEY=VALUE, like model=llama-2-70b")?;
    let key = key(name.trim())?;
    of(key, value.trim())
}

/// The setting of a key of the contract.
pub(super) fn named(name: &str, value: &str) -> Result<Setting, String> {
    of(key(name)?, value)
}

fn of(key: &'static Key, value: &str) -> Result<Setting, String> {
    match key.grammar.read(key.sets, value) {
        Some(_) => Ok(Setting { key, text: value.to_owned() }),
        None => Err(format!("{}: \"{value}\" {}", key.name, key.grammar.complaint())),
    }
}

fn key(name: &str) -> Result<&'static Key, String> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let by_name = |name: &str| KEYS.iter().find(|key| key.name == name);
    let by_path = || field::find(name).and_then(|member| KEYS.iter().find(|key| key.sets == member));
    if let Some(key) = by_name(name).or_else(by_path) {
        return Ok(key);
    }
    let nearest = nearest_key::nearest(name).join(" or ");
    let or = if nearest.is_empty() { String::new() } else { format!("; did you mean {nearest}?") };
    Err(format!("the field {name} is not known{or} `weighbridge annotations` lists all"))
}

/// Sets the fields of the objects that train. If none of them does, the settings say of every workload that it does.
pub(super) fn apply_to(settings: &[Setting], objects: &mut [Value], policy: &Policy) {
    if settings.is_empty() {
        return;
    }
    let around = Surroundings::of(objects, &policy.kinds);
    let ask = Ask { advice: false, ..Ask::default() };
    let trains = |object: &Value| judge(object, &around, &policy.world(), &ask).verdict.trains();
    let mut train: Vec<bool> = objects.iter().map(trains).collect();
    if !train.contains(&true) {
        train = objects.iter().map(|object| policy.kinds.of(object).is_some()).collect();
    }
    for (object, _) in objects.iter_mut().zip(train).filter(|(_, trains)| *trains) {
        apply(settings, object);
    }
}

fn apply(settings: &[Setting], object: &mut Value) {
    let is_estimate = object.get("kind").is_some_and(|kind| kind == "TrainingEstimate");
    for setting in settings {
        if is_estimate {
            for (field, value) in
                setting.key.grammar.read(setting.key.sets, &setting.text).into_iter().flatten()
            {
                put(object, std::iter::once("spec").chain(field.path().split('.')), value);
            }
        } else {
            let key = format!("{PREFIX}{}", setting.key.name);
            put(object, ["metadata", "annotations", &key].into_iter(), setting.text.as_str().into());
        }
    }
}

/// Puts a value at a path. What is no mapping on the way is replaced.
fn put<'a>(object: &mut Value, path: impl Iterator<Item = &'a str>, value: Value) {
    let mut at = object;
    for name in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(map) = at else { return };
        at = map.entry(name).or_insert(Value::Null);
    }
    *at = value;
}

/// A Job without pods. The settings describe all of it.
pub(super) fn described(settings: &[Setting]) -> Value {
    let model = settings.iter().find(|setting| setting.key.name == "model");
    let name = model.map_or("training", |setting| setting.text.as_str());
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {}});
    apply(settings, &mut job);
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_an_error_with_the_nearest_one() {
        for (text, said) in [
            ("tensor-paralel=2", "did you mean tensor-parallel?"),
            ("modle=llama-3-8b", "did you mean model?"),
            ("tp=2", "did you mean tensor-parallel?"),
            ("xyzzy=2", "the field xyzzy is not known"),
            ("tensor-parallel=two", "tensor-parallel: \"two\" is no whole number"),
            ("tensor-parallel", "write KEY=VALUE"),
        ] {
            let error = setting(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(setting("tokens = 2T").is_ok() && setting("batch.sequenceLength=4096").is_ok());
    }

    #[test]
    fn a_setting_replaces_the_annotation_or_the_field_of_the_spec() {
        let settings = ["sequence-length=8192", "offload=optimizer"].map(|text| setting(text).unwrap());
        let mut job =
            json!({"kind": "Job", "metadata": {"annotations": {"weighbridge.dev/sequence-length": "1"}}});
        apply(&settings, &mut job);
        assert_eq!(job["metadata"]["annotations"]["weighbridge.dev/sequence-length"], "8192");
        let mut estimate = json!({"kind": "TrainingEstimate", "spec": {"batch": {"microBatchSize": 2}}});
        apply(&settings, &mut estimate);
        assert_eq!(estimate["spec"]["batch"], json!({"microBatchSize": 2, "sequenceLength": 8192}));
        assert_eq!(estimate["spec"]["offload"]["optimizer"], true);
    }
}
