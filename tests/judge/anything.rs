//! For any input, the judgement keeps its bounds, agrees with itself, and is the same each time.

use proptest::prelude::*;
use serde_json::{Value, json};
use weighbridge::surroundings::Surroundings;

use super::stated::{STATED, pytorchjob, template, with};
use crate::hostile_input::sound;

/// The laws of every judgement.
fn check(object: &Value, around: &Surroundings) -> Result<(), TestCaseError> {
    sound::check(object, around).map(drop).map_err(TestCaseError::fail)
}

/// Any JSON, some with the keys and values that readers look for.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("8".to_owned()),
        Just("70B".to_owned()),
        Just("llama-2-7b".to_owned()),
        Just("BF16".to_owned()),
        Just("H100-80GB".to_owned()),
        Just("Always".to_owned()),
        Just("torchrun".to_owned()),
        "\\PC{0,12}",
        "[\\x00-\\x7f]{0,40}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0u32..100).prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let keys = [
        "metadata",
        "annotations",
        "spec",
        "template",
        "containers",
        "resources",
        "limits",
        "nvidia.com/gpu",
        "nodeSelector",
        "command",
        "model",
        "parallelism",
        "name",
        "replicas",
        "weighbridge.dev/training",
        "weighbridge.dev/model",
        "weighbridge.dev/layers",
        "tensor",
        "layers",
        "accelerator",
        "type",
        "count",
        "workloadRef",
        "batch",
        "sequenceLength",
        "matchExpressions",
        "values",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        let key = prop_oneof![prop::sample::select(keys.to_vec()).prop_map(str::to_owned), "[a-z./-]{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The object with one value replaced, at a place chosen by a number.
fn exchanged(mut object: Value, place: usize, value: Value) -> Value {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Object(fields) => fields.values().map(count).sum(),
            Value::Array(items) => items.iter().map(count).sum(),
            _ => 0,
        }
    }
    fn put(at: &mut Value, place: &mut usize, value: &mut Option<Value>) {
        if *place == 0 {
            if let Some(value) = value.take() {
                *at = value;
            }
            return;
        }
        *place -= 1;
        let children: Vec<&mut Value> = match at {
            Value::Object(fields) => fields.values_mut().collect(),
            Value::Array(items) => items.iter_mut().collect(),
            _ => return,
        };
        for child in children {
            if value.is_none() {
                return;
            }
            put(child, place, value);
        }
    }
    // The root stays. An object without its kind is nothing.
    let mut place = 1 + place % (count(&object) - 1);
    put(&mut object, &mut place, &mut Some(value));
    object
}

fn real_manifests() -> Vec<Value> {
    let mut all = vec![
        pytorchjob(STATED, 7),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "annotations": {
            "weighbridge.dev/parameters": "70B", "weighbridge.dev/pipeline-parallel": "8",
            "weighbridge.dev/training": "precision: BF16\nmodel: {experts: 8}\n"}},
            "spec": {"parallelism": 4, "completions": 4, "template": template(8)}}),
    ];
    for text in [
        include_str!("../../examples/trainingestimate-what-if.yaml"),
        include_str!("../../examples/pytorchjob-llama2-70b-oom.yaml"),
        include_str!("../../examples/job-llama3-8b-lora.yaml"),
        include_str!("../../examples/pytorchjob-minimal.yaml"),
    ] {
        all.push(serde_saphyr::from_str(text).unwrap());
    }
    all
}

proptest! {
    #[test]
    fn any_json_is_judged_without_a_panic(object in any_json()) {
        check(&object, &Surroundings::default())?;
    }

    #[test]
    fn any_spec_is_judged_without_a_panic(spec in any_json(), kind in prop::sample::select(vec![
        ("weighbridge.dev/v1alpha1", "TrainingEstimate"), ("batch/v1", "Job"), ("kubeflow.org/v1", "PyTorchJob"), ("v1", "Pod"),
    ]), metadata in any_json()) {
        let object = json!({"apiVersion": kind.0, "kind": kind.1, "metadata": metadata, "spec": spec});
        let around = Surroundings { workloads: vec![object.clone()], ..Surroundings::default() };
        check(&object, &around)?;
    }

    #[test]
    fn real_manifests_with_anything_in_them_are_judged_without_a_panic(
        manifest in prop::sample::select(real_manifests()),
        changes in prop::collection::vec((any::<usize>(), any_json()), 1..4),
    ) {
        let object = changes.into_iter().fold(manifest, |object, (place, value)| exchanged(object, place, value));
        check(&object, &Surroundings::default())?;
    }

    #[test]
    fn any_text_may_be_an_annotations_value(key in prop::sample::select(
        weighbridge::job::keys::KEYS.iter().map(|key| key.name).chain(["training", "override"]).collect::<Vec<_>>(),
    ), text in prop_oneof!["\\PC{0,40}", "[0-9]{1,25}", "[0-9.]{1,6}[KMBT%]?", "(model|batch|parallelism): \\{[a-z]{1,8}: [0-9]{1,12}\\}"]) {
        check(&pytorchjob(&with(STATED, (key, &text)), 7), &Surroundings::default())?;
    }
}
