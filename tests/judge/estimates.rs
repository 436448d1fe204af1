//! A `TrainingEstimate`: the workload that it names, and its own fields.

use serde_json::{Value, json};
use weighbridge::judgement::{Reason, Verdict};
use weighbridge::surroundings::Surroundings;

use super::stated::{STATED, pytorchjob};
use super::{judged, judged_among, source};

#[test]
fn an_estimate_reads_its_workload_and_its_own_fields_win() {
    let workload = pytorchjob(STATED, 7);
    let around = Surroundings { workloads: vec![workload], ..Surroundings::default() };
    let estimate = |spec: Value| json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "e"}, "spec": spec});
    let reference = json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "job"});
    let same = judged_among(&estimate(json!({"workloadRef": reference})), &around);
    let direct = judged(&around.workloads[0]);
    assert_eq!(serde_json::to_string(&same).unwrap(), serde_json::to_string(&direct).unwrap());

    let other = estimate(
        json!({"workloadRef": reference, "accelerator": {"type": "A100-40GB"}, "parallelism": {"tensor": 2}}),
    );
    let judgement = judged_among(&other, &around);
    assert_eq!(source(&judgement, "accelerator.type"), Some(("A100-40GB", "spec")));
    assert_eq!(source(&judgement, "parallelism.tensor"), Some(("2", "spec")));
    assert_eq!(source(&judgement, "accelerator.count"), Some(("64", "limits nvidia.com/gpu × replicas")));
    assert!(judgement.warnings.is_empty(), "{:?}", judgement.warnings);

    let mut sized = around.clone();
    sized.workloads[0]["metadata"]["annotations"]["weighbridge.dev/layers"] = json!("32");
    let bigger = estimate(json!({"workloadRef": reference, "model": {"name": "llama-2-13b"}}));
    let judgement = judged_among(&bigger, &sized);
    assert_eq!(source(&judgement, "model.layers"), Some(("40", "model llama-2-13b")));

    for change in [
        json!({"name": "other"}),
        json!({"kind": "Job"}),
        json!({"uid": "1"}),
        json!({"apiVersion": "batch/v1"}),
    ] {
        let mut reference = reference.clone();
        let mut around = around.clone();
        around.workloads[0]["metadata"]["uid"] = json!("2");
        reference.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let judgement = judged_among(&estimate(json!({"workloadRef": reference})), &around);
        assert_eq!(
            (judgement.verdict, judgement.reason),
            (Verdict::Unknown, Reason::WorkloadNotFound),
            "{change}"
        );
    }
    let gone =
        estimate(json!({"workloadRef": {"kind": "Job", "name": "gone"}, "model": {"name": "llama-2-7b"},
        "accelerator": {"type": "H100-80GB", "count": 8}}));
    let judgement = judged_among(&gone, &around);
    assert!(judgement.memory.is_some());
    assert_eq!(judgement.warnings[0], "the workload gone is not there; only the spec is read");
}

#[test]
fn an_estimate_contradicts_itself_as_its_workload_does() {
    let workload = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"template": {"spec": {
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "containers": [{
                "name": "t", "resources": {"limits": {"nvidia.com/gpu": 8}},
                "command": ["torchrun", "--nproc-per-node=16", "pretrain_gpt.py", "--num-layers", "24", "--hidden-size",
                            "2048", "--num-attention-heads", "16", "--seq-length", "2048"],
            }],
        }}},
    });
    let around = Surroundings { workloads: vec![workload], ..Surroundings::default() };
    let estimate = json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "e"},
        "spec": {"workloadRef": {"apiVersion": "batch/v1", "kind": "Job", "name": "j"}}});
    let direct = judged(&around.workloads[0]);
    assert!(!direct.contradictions.is_empty(), "{:?}", direct.warnings);
    assert_eq!(judged_among(&estimate, &around).contradictions, direct.contradictions);
}

#[test]
fn wrong_fields_of_an_estimate_are_named_each_with_its_path() {
    let judgement = judged(&json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "e"},
        "spec": {
            "model": {"layers": "many", "colour": "blue"}, "precision": "BF17", "dataset": {"tokens": "2T"},
            "parallelism": "none", "accelerator": {"memory": "80"},
        },
    }));
    assert_eq!(judgement.reason, Reason::Malformed);
    let fields: Vec<_> = judgement.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["spec.model.layers", "spec.precision", "spec.parallelism", "accelerator.memory"]);
    assert_eq!(judgement.warnings, ["the field spec.model.colour is not known and not read"]);
    let misspelt = judged(&json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "e"},
        "spec": {"model": {"nam": "llama-3-8b"}},
    }));
    let meant = "the field spec.model.nam is not known and not read; did you mean spec.model.name?";
    assert_eq!(misspelt.warnings, [meant]);
    assert!(judgement.errors[3].message.contains("write it with its unit"), "{:?}", judgement.errors);
}
