//! A number has the range of the spec's schema, in every place that gives it.

use serde_json::{Map, Value, json};
use weighbridge::job::grammar::Grammar;
use weighbridge::job::keys::KEYS;
use weighbridge::judgement::Reason;
use weighbridge::surroundings::Surroundings;

use super::stated::pytorchjob;
use super::{judged, judged_among};

const DEFINITION: &str = include_str!("../../crds/weighbridge.dev_trainingestimates.yaml");

/// Every whole number of the spec, with its smallest and its largest value.
fn numbers() -> Vec<(String, i64, i64)> {
    fn walk(schema: &Value, path: &str, found: &mut Vec<(String, i64, i64)>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if let (Some(least), Some(most)) = (field["minimum"].as_i64(), field["maximum"].as_i64()) {
                found.push((path.clone(), least, most));
            }
            walk(field, &path, found);
        }
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(DEFINITION).unwrap();
    let definition =
        documents.iter().find(|document| document["kind"] == "CustomResourceDefinition").unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = Vec::new();
    walk(&schema["properties"]["spec"], "", &mut found);
    assert!(found.len() >= 40, "{found:?}");
    found
}

/// A spec in which one field has a value.
fn spec(field: &str, value: i64) -> Value {
    field
        .rsplit('.')
        .fold(json!(value), |inner, name| Value::Object(Map::from_iter([(name.to_owned(), inner)])))
}

fn estimate(spec: &Value) -> Value {
    json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "e"}, "spec": spec})
}

#[test]
fn a_number_beyond_its_range_is_refused_through_every_door() {
    for (field, least, most) in numbers() {
        for wrong in [least - 1, most + 1] {
            let spec = spec(&field, wrong);
            let block = pytorchjob(&[("training", &spec.to_string())], 7);
            let mut doors = vec![("the training annotation", block), ("a spec", estimate(&spec))];
            for key in KEYS.iter().filter(|key| key.path() == field) {
                if matches!(key.grammar, Grammar::Whole { .. } | Grammar::Layers { .. }) {
                    doors.push(("its annotation", pytorchjob(&[(key.name, &wrong.to_string())], 7)));
                }
            }
            for (door, object) in doors {
                let judgement = judged(&object);
                assert_eq!(judgement.reason, Reason::Malformed, "{field}: {wrong} by {door}");
                assert_eq!(judgement.errors.len(), 1, "{field}: {wrong} by {door}");
                let message = &judgement.errors[0].message;
                let says = message.contains(&wrong.to_string())
                    || wrong < 0
                    || message.contains("did not match any variant");
                assert!(says, "{field}: {wrong} by {door}: {message}");
            }
        }
    }
}

#[test]
fn a_number_within_its_range_is_read_through_every_door() {
    for (field, least, most) in numbers() {
        for right in [least, most] {
            let spec = spec(&field, right);
            for object in [pytorchjob(&[("training", &spec.to_string())], 7), estimate(&spec)] {
                let judgement = judged(&object);
                assert!(judgement.errors.is_empty(), "{field}: {right}: {:?}", judgement.errors);
            }
        }
    }
}

#[test]
fn a_number_of_a_command_beyond_its_range_is_not_believed() {
    let mut object = pytorchjob(&[("gpu-type", "H100-80GB")], 7);
    object["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["command"] =
        json!([
            "torchrun",
            "pretrain_gpt.py",
            "--num-layers",
            "32",
            "--hidden-size",
            "4096",
            "--num-attention-heads",
            "32",
            "--kv-channels",
            "4000000000",
            "--seq-length",
            "4096",
            "--max-position-embeddings",
            "4096",
        ]);
    let judgement = judged_among(&object, &Surroundings::default());
    assert!(judgement.errors.is_empty(), "{:?}", judgement.errors);
    let said = |warning: &String| warning.contains("4000000000 is out of range");
    assert!(judgement.warnings.iter().any(said), "{:?}", judgement.warnings);
}

#[test]
fn an_empty_group_is_understood() {
    let groups =
        ["model", "batch", "parallelism", "accelerator", "finetuning", "dataset", "offload", "price"];
    for group in groups {
        let judgement = judged(&estimate(&json!({group: {}, "recompute": "Full"})));
        assert!(judgement.warnings.is_empty() && judgement.errors.is_empty(), "{group}: {judgement:?}");
        let judgement = judged(&pytorchjob(&[("training", &format!("{group}: {{}}"))], 7));
        assert!(judgement.errors.is_empty(), "{group}: {:?}", judgement.errors);
        assert!(
            !judgement.warnings.iter().any(|warning| warning.contains(group)),
            "{:?}",
            judgement.warnings
        );
    }
    let nested = judged(&estimate(&json!({"model": {"latentAttention": {}}})));
    assert!(nested.warnings.is_empty(), "{:?}", nested.warnings);
    for (spec, field) in
        [(json!({"colours": {}}), "colours"), (json!({"model": {"colours": {}}}), "model.colours")]
    {
        let line = format!("the field spec.{field} is not known and not read");
        assert_eq!(judged(&estimate(&spec)).warnings, [line]);
    }
}
