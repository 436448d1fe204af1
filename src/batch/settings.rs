//! Fields outside a manifest: `--set sequence-length=8192`, the options that stand for one field, and the fields of a page.
//! And the way back: the fields of a job, as annotations write them.
//!
//! A field has the key of its annotation, or its path in the spec (`batch.sequenceLength`). A value is written as in the
//! annotation. An unknown key or an unreadable value is an error before anything is judged.
//!
//! A setting wins over everything in a file: it replaces the annotation of a workload, or the field of an estimate's spec.

use serde_json::{Map, Value, json};

use super::other_kinds;
use crate::job::grammar::Grammar;
use crate::job::keys::{KEYS, Key, PREFIX};
use crate::job::{AnyField, Ask, TrainingJob, field, nearest_key};
use crate::judge::judge;
use crate::policy::Policy;
use crate::surroundings::Surroundings;

/// A field and its value.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    key: &'static Key,
    text: String,
}

impl Setting {
    /// The key, without its prefix.
    pub(crate) fn key(&self) -> &'static str {
        self.key.name
    }

    /// The value, as it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The fields that it sets, with their values as the spec has them.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Value)> {
        let fields = self.key.grammar.read(self.key.sets, &self.text);
        fields.into_iter().flatten().map(|(field, value)| (field.path(), value)).collect()
    }

    /// Whether it sets this field.
    pub(crate) fn covers(&self, field: AnyField) -> bool {
        self.key.sets.covers(field)
    }

    /// The setting as a line of annotations. The value is a string, whatever YAML would read.
    pub(crate) fn line(&self) -> String {
        format!("{PREFIX}{}: {}", self.key.name, quoted(&self.text))
    }
}

/// A text as a scalar that YAML 1.1 reads as a string.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_word = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    let reads_otherwise = is_word.iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins && text.chars().all(plain) && !reads_otherwise {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The fields of a job as annotations write them, in the order of the keys. What no annotation can hold is left out.
pub(crate) fn written(job: &TrainingJob) -> Vec<Setting> {
    let tree = serde_json::to_value(job).unwrap_or_default();
    let value = |field: AnyField| tree.pointer(&format!("/{}", field.path().replace('.', "/")));
    let fields = field::SPEC.fields();
    let of_key = |key: &'static Key| {
        let set = fields.iter().filter(|field| key.sets.covers(**field));
        let set: Vec<_> = set.filter_map(|field| Some((*field, value(*field)?))).collect();
        let text = text_of(key, &set)?;
        of(key, &text).ok()
    };
    KEYS.iter().filter_map(of_key).collect()
}

/// The value of a key, from the fields that it sets.
fn text_of(key: &Key, set: &[(AnyField, &Value)]) -> Option<String> {
    let (_, first) = set.first()?;
    Some(match key.grammar {
        Grammar::Offload => {
            let on = set.iter().filter(|(_, value)| **value == Value::Bool(true));
            let names: Vec<_> = on.filter_map(|(field, _)| field.path().rsplit('.').next()).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(",") }
        }
        Grammar::Word { read, words } => {
            let meant = first.as_str()?;
            words.iter().find(|word| read(word) == Some(meant)).map_or(meant, |word| *word).to_owned()
        }
        Grammar::Price => set.iter().map(|(_, value)| plain(value)).collect::<Vec<_>>().join(" "),
        _ => plain(first),
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Reads `KEY=VALUE`.
pub(crate) fn setting(text: &str) -> Result<Setting, String> {
    let (name, value) = text.split_once('=').ok_or("write KEY=VALUE, like model=llama-2-70b")?;
    let key = key(name.trim())?;
    of(key, value.trim())
}

/// The setting of a key of the contract.
pub(crate) fn named(name: &str, value: &str) -> Result<Setting, String> {
    of(key(name)?, value)
}

fn of(key: &'static Key, value: &str) -> Result<Setting, String> {
    match key.grammar.read(key.sets, value) {
        Some(_) => Ok(Setting { key, text: value.to_owned() }),
        None => Err(format!("{}: \"{value}\" {}", key.name, key.grammar.complaint())),
    }
}

/// Whether a field has this name.
///
/// # Errors
/// It has not. The line says which name is near.
pub(crate) fn known(name: &str) -> Result<(), String> {
    key(name).map(|_| ())
}

fn key(name: &str) -> Result<&'static Key, String> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let by_name = |name: &str| KEYS.iter().find(|key| key.name == name);
    let by_path = || field::find(name).and_then(|member| KEYS.iter().find(|key| key.sets == member));
    if let Some(key) = by_name(name).or_else(by_path) {
        return Ok(key);
    }
    let nearest = nearest_key::nearest(name).join(" or ");
    let or = if nearest.is_empty() { ";".to_owned() } else { format!("; did you mean {nearest}?") };
    Err(format!("the field {name} is not known{or} `weighbridge annotations` lists all"))
}

/// Sets the fields of the objects that train. If none of them does, the settings say of every workload that it does.
pub(crate) fn apply_to(settings: &[Setting], objects: &mut [Value], policy: &Policy) {
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
    for (object, trains) in objects.iter_mut().zip(train) {
        if trains {
            apply(settings, object);
        } else if policy.kinds.of(object).is_none() {
            other_kinds::each_started(object, &mut |started| apply(settings, started));
        }
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
pub(crate) fn described(settings: &[Setting]) -> Value {
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
        for (text, message) in [
            (
                "tensor-paralel=2",
                "the field tensor-paralel is not known; did you mean tensor-parallel? `weighbridge annotations` lists all",
            ),
            (
                "modle=llama-3-8b",
                "the field modle is not known; did you mean model? `weighbridge annotations` lists all",
            ),
            (
                "tp=2",
                "the field tp is not known; did you mean tensor-parallel? `weighbridge annotations` lists all",
            ),
            ("xyzzy=2", "the field xyzzy is not known; `weighbridge annotations` lists all"),
            ("tensor-parallel", "write KEY=VALUE, like model=llama-2-70b"),
        ] {
            assert_eq!(setting(text).unwrap_err(), message, "{text}");
        }
        let error = setting("tensor-parallel=two").unwrap_err();
        assert!(error.starts_with("tensor-parallel: \"two\" is no whole number"), "{error}");
        assert!(setting("tokens = 2T").is_ok() && setting("batch.sequenceLength=4096").is_ok());
    }

    #[test]
    fn the_fields_of_a_job_are_written_as_they_are_read() {
        let texts = [
            "model=llama-3-8b",
            "tokens=2T",
            "sharding=zero3",
            "recompute=full",
            "sequence-parallel=true",
            "tensor-parallel=8",
            "offload=optimizer,parameters",
            "mfu=42.5",
            "gpu-type=A100-80GB",
            "lora-targets=q_proj,v_proj",
            "price-per-gpu-hour=2.5 EUR",
            "precision=bf16",
        ];
        let settings = texts.map(|text| setting(text).unwrap());
        let mut estimate = json!({"kind": "TrainingEstimate"});
        apply(&settings, &mut estimate);
        let job: TrainingJob = serde_json::from_value(estimate["spec"].clone()).unwrap();
        let mut again = json!({"kind": "TrainingEstimate"});
        let back = written(&job);
        apply(&back, &mut again);
        assert_eq!(again, estimate);
        let keys: std::collections::BTreeSet<_> = back.iter().map(Setting::key).collect();
        assert_eq!(keys, settings.iter().map(Setting::key).collect());
    }

    #[test]
    fn a_value_is_a_string_whatever_yaml_would_read() {
        for text in [
            "8",
            "true",
            "No",
            "1e3",
            "70B",
            "2T",
            "a: b",
            "#x",
            "\"q\"",
            "back\\slash",
            "llama-3-8b",
            "off",
            "",
        ] {
            let read: Value = serde_saphyr::from_str(&format!("a: {}\n", quoted(text))).unwrap();
            assert_eq!(read["a"], text, "{}", quoted(text));
        }
        assert_eq!(quoted("zero3"), "zero3");
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
