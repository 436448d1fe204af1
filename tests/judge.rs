//! The contract of `judge`: what comes out for what goes in, whatever goes in.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use weighbridge::hardware::Catalogue;
use weighbridge::judge::{Ask, Rules, judge};
use weighbridge::judgement::{Judgement, Reason, Verdict};
use weighbridge::surroundings::{Node, Surroundings};

fn judged_among(object: &Value, around: &Surroundings) -> Judgement {
    judge(object, around, Catalogue::builtin(), &Rules::default(), &Ask::default())
}

fn judged(object: &Value) -> Judgement {
    judged_among(object, &Surroundings::default())
}

/// A pod template whose container asks for so many GPUs.
fn template(gpus: u64) -> Value {
    json!({"spec": {"containers": [{
        "name": "pytorch",
        "image": "trainer",
        "command": ["torchrun", "train.py"],
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
    }]}})
}

/// A `PyTorchJob` of one master and workers of 8 GPUs each, with these annotations.
fn pytorchjob(annotations: &[(&str, &str)], workers: u64) -> Value {
    let annotations: Map<String, Value> =
        annotations.iter().map(|(key, value)| (format!("weighbridge.dev/{key}"), (*value).into())).collect();
    json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "job", "annotations": annotations},
        "spec": {"pytorchReplicaSpecs": {
            "Master": {"replicas": 1, "template": template(8)},
            "Worker": {"replicas": workers, "template": template(8)},
        }},
    })
}

/// Everything that decides, for Llama-2-7B on H100.
const STATED: &[(&str, &str)] = &[
    ("model", "llama-2-7b"),
    ("framework", "fsdp"),
    ("sharding", "fsdp"),
    ("recompute", "full"),
    ("attention", "flash"),
    ("precision", "bf16"),
    ("micro-batch-size", "1"),
    ("global-batch-size", "64"),
    ("sequence-length", "4096"),
    ("tokens", "1T"),
    ("gpu-type", "H100-80GB"),
];

fn with<'a>(annotations: &[(&'a str, &'a str)], change: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    annotations.iter().copied().filter(|(key, _)| *key != change.0).chain([change]).collect()
}

fn without<'a>(annotations: &[(&'a str, &'a str)], keys: &[&str]) -> Vec<(&'a str, &'a str)> {
    annotations.iter().copied().filter(|(key, _)| !keys.contains(key)).collect()
}

fn source<'a>(judgement: &'a Judgement, field: &str) -> Option<(&'a str, &'a str)> {
    let input = judgement.inputs.iter().find(|input| input.field == field)?;
    Some((input.value.as_str(), input.source.as_str()))
}

#[test]
fn what_is_stated_in_full_is_judged_in_full() {
    let judgement = judged(&pytorchjob(STATED, 7));
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Fits, Reason::BelowCapacity));
    assert!(
        judgement.message.starts_with("needs ") && judgement.message.contains("an H100-80GB offers 79.1 GiB")
    );
    assert_eq!(judgement.summary.model.as_deref(), Some("llama-2-7b"));
    assert_eq!(judgement.summary.accelerators, Some(64));
    let time = judgement.time.as_ref().unwrap();
    assert!(time.days.unwrap() > 1.0 && time.gpu_hours.unwrap() > 1000.0);
    assert!(judgement.cost.as_ref().unwrap().as_of.is_some());
    for (field, value, from) in [
        ("model.name", "llama-2-7b", "annotation weighbridge.dev/model"),
        ("model.layers", "32", "model llama-2-7b"),
        ("dataset.tokens", "1T", "annotation weighbridge.dev/tokens"),
        ("accelerator.count", "64", "limits nvidia.com/gpu × replicas"),
        ("optimizer", "AdamW", "assumed"),
    ] {
        assert_eq!(source(&judgement, field), Some((value, from)), "{field}");
    }
    assert!(judgement.warnings.is_empty(), "{:?}", judgement.warnings);
}

#[test]
fn a_denial_says_what_is_needed_what_there_is_and_what_would_fit() {
    let judgement = judged(&pytorchjob(&with(STATED, ("sharding", "ddp")), 7));
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::OutOfMemory, Reason::AboveCapacity));
    assert!(judgement.oom_probability.unwrap() >= 0.9);
    assert!(judgement.message.ends_with("; sharding=fsdp fits"), "{}", judgement.message);
    assert_eq!(judgement.advice[0].change, "sharding=fsdp");
    assert_eq!(
        serde_json::to_value(&judgement.advice[0].spec).unwrap(),
        json!({"parallelism": {"sharding": "FSDP"}})
    );
    let ask = Ask { advice: false, ..Ask::default() };
    let object = pytorchjob(&with(STATED, ("sharding", "ddp")), 7);
    let quick = judge(&object, &Surroundings::default(), Catalogue::builtin(), &Rules::default(), &ask);
    assert!(quick.advice.is_empty() && quick.verdict == Verdict::OutOfMemory);
}

#[test]
fn what_can_be_said_is_said() {
    let count_unknown = json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "what-if"},
        "spec": {"model": {"name": "llama-2-7b"}, "accelerator": {"type": "H100-80GB"}, "dataset": {"tokens": "1T"}},
    });
    let judgement = judged(&count_unknown);
    let time = judgement.time.as_ref().unwrap();
    assert_eq!((time.days, judgement.summary.accelerators), (None, None));
    assert!(time.gpu_hours.is_some() && judgement.cost.is_some());

    let tokens_unknown = judged(&pytorchjob(&without(STATED, &["tokens"]), 7));
    assert_eq!(tokens_unknown.verdict, Verdict::Fits);
    assert!(tokens_unknown.cost.is_none() && tokens_unknown.time.unwrap().gpu_hours.is_none());

    let accelerator_unknown = judged(&pytorchjob(&without(STATED, &["gpu-type"]), 7));
    assert_eq!(accelerator_unknown.verdict, Verdict::Unknown);
    assert_eq!(accelerator_unknown.reason, Reason::UnknownAccelerator);
    assert_eq!(accelerator_unknown.missing.first().map(String::as_str), Some("accelerator.type"));
    assert_eq!(accelerator_unknown.memory.unwrap().capacity_bytes, None);

    let of_nobody = judged(&pytorchjob(&with(STATED, ("gpu-type", "H9000-640GB")), 7));
    assert_eq!((of_nobody.reason, of_nobody.memory.is_some()), (Reason::UnknownAccelerator, true));
    assert_eq!(of_nobody.missing.first().map(String::as_str), Some("accelerator.memory"));
}

#[test]
fn an_unknown_model_says_what_to_add_and_does_no_harm_where_dimensions_are_given() {
    let unknown = judged(&pytorchjob(&with(STATED, ("model", "acme/frontier-x")), 7));
    assert_eq!((unknown.verdict, unknown.reason), (Verdict::Unknown, Reason::UnknownModel));
    assert_eq!(unknown.missing, ["model.parameters", "model.layers", "model.hiddenSize"]);
    let with_size = with(STATED, ("model", "acme/frontier-x"));
    let with_size = with(&with_size, ("parameters", "7B"));
    assert_eq!(judged(&pytorchjob(&with_size, 7)).verdict, Verdict::Fits);
}

#[test]
fn a_size_that_contradicts_the_name_is_believed_and_said() {
    let judgement = judged(&pytorchjob(&with(STATED, ("parameters", "70B")), 0));
    assert_eq!(source(&judgement, "model.layers"), None);
    assert!(
        judgement
            .warnings
            .iter()
            .any(|w| w == "llama-2-7b has 6.74B parameters, not 70B: only the given size is used"),
        "{:?}",
        judgement.warnings
    );
    let rounded = judged(&pytorchjob(&with(STATED, ("parameters", "7B")), 7));
    assert_eq!(source(&rounded, "model.layers"), Some(("32", "model llama-2-7b")));
    assert!(rounded.warnings.is_empty(), "{:?}", rounded.warnings);
}

#[test]
fn an_explicit_dimension_wins_over_the_name_and_the_disagreement_is_named() {
    let judgement = judged(&pytorchjob(&with(STATED, ("layers", "16")), 7));
    assert_eq!(source(&judgement, "model.layers"), Some(("16", "annotation weighbridge.dev/layers")));
    assert_eq!(
        judgement.warnings,
        ["model.layers is 16 (annotation weighbridge.dev/layers), not 32 (model llama-2-7b)"]
    );
}

#[test]
fn key_value_heads_that_are_given_win_over_the_names_and_both_are_named() {
    let stated = with(STATED, ("model", "meta-llama/Llama-3.2-1B"));
    let judgement = judged(&pytorchjob(&with(&stated, ("kv-heads", "2")), 7));
    assert_eq!(source(&judgement, "model.keyValueHeads"), Some(("2", "annotation weighbridge.dev/kv-heads")));
    assert_eq!(source(&judgement, "model.layers"), Some(("16", "model llama-3.2-1b")));
    assert_eq!(
        judgement.warnings,
        ["model.keyValueHeads is 2 (annotation weighbridge.dev/kv-heads), not 8 (model llama-3.2-1b)"]
    );
}

#[test]
fn dimensions_of_another_model_are_believed_and_said_in_one_line() {
    let stated = [("layers", "80"), ("hidden-size", "8192"), ("attention-heads", "64"), ("kv-heads", "8")];
    let stated = stated.iter().fold(STATED.to_vec(), |all, pair| with(&all, *pair));
    let judgement = judged(&pytorchjob(&stated, 7));
    assert_eq!(source(&judgement, "model.layers"), Some(("80", "annotation weighbridge.dev/layers")));
    assert_eq!(source(&judgement, "model.ffnHiddenSize"), None);
    assert_eq!(source(&judgement, "model.vocabSize"), Some(("32000", "model llama-2-7b")));
    let line = "4 dimensions that are given are not llama-2-7b's: those given are used";
    assert!(judgement.warnings.iter().any(|warning| warning == line), "{:?}", judgement.warnings);
    assert!(
        !judgement.warnings.iter().any(|warning| warning.starts_with("model.")),
        "{:?}",
        judgement.warnings
    );
}

#[test]
fn a_misspelt_model_is_told_the_nearest_name() {
    let judgement = judged(&pytorchjob(&with(STATED, ("model", "meta-llama/Lama-2-70b-hf")), 7));
    assert_eq!(
        judgement.message,
        "the model meta-llama/Lama-2-70b-hf is not known; did you mean llama-2-70b? Otherwise add \
         weighbridge.dev/parameters, or its layers and hidden-size"
    );
}

#[test]
fn what_does_not_go_together_is_a_warning_and_no_denial() {
    let clean = judged(&pytorchjob(STATED, 7));
    let odd = judged(&pytorchjob(&with(STATED, ("expert-parallel", "7")), 7));
    assert_eq!((odd.verdict, odd.reason), (clean.verdict, clean.reason));
    assert_eq!(odd.warnings, ["expert parallel is 7, but the model has no experts"]);
}

#[test]
fn a_model_of_another_width_takes_no_widths_from_the_name() {
    let judgement = judged(&pytorchjob(&with(STATED, ("hidden-size", "2048")), 7));
    assert_eq!(source(&judgement, "model.ffnHiddenSize"), None);
    assert_eq!(source(&judgement, "model.layers"), Some(("32", "model llama-2-7b")));
    assert_eq!(judgement.warnings.len(), 1, "{:?}", judgement.warnings);
}

#[test]
fn malformed_values_are_all_named_and_nothing_is_judged() {
    let annotations = with(STATED, ("tensor-parallel", "four"));
    let judgement = judged(&pytorchjob(&with(&annotations, ("tokens", "2 trillion")), 7));
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::Malformed));
    assert_eq!(judgement.errors.len(), 2);
    assert_eq!(judgement.errors[0].field, "metadata.annotations[weighbridge.dev/tensor-parallel]");
    assert_eq!(judgement.message, judgement.errors[0].message);
    assert!(judgement.memory.is_none() && judgement.oom_probability.is_none());
}

#[test]
fn annotations_of_a_template_count_and_the_workloads_win() {
    let mut object = pytorchjob(&without(STATED, &["sequence-length"]), 7);
    object["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["metadata"] = json!({"annotations": {
        "weighbridge.dev/sequence-length": "2048", "weighbridge.dev/micro-batch-size": "4",
    }});
    let judgement = judged(&object);
    assert_eq!(
        source(&judgement, "batch.sequenceLength"),
        Some(("2048", "spec.pytorchReplicaSpecs.Worker.template annotation weighbridge.dev/sequence-length"))
    );
    assert_eq!(
        source(&judgement, "batch.microBatchSize"),
        Some(("1", "annotation weighbridge.dev/micro-batch-size"))
    );
    assert!(
        judgement.warnings[0].starts_with("batch.microBatchSize is 1 (annotation"),
        "{:?}",
        judgement.warnings
    );
}

#[test]
fn what_does_not_train_is_left_alone() {
    let job = |command: Value, gpus: u64| {
        let mut template = template(gpus);
        template["spec"]["containers"][0]["command"] = command;
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": {"template": template}})
    };
    let of_kind = |kind: &str, object: &Value| {
        let template = &object["spec"]["template"];
        match kind {
            "PyTorchJob" => json!({
                "apiVersion": "kubeflow.org/v1", "kind": kind,
                "spec": {"pytorchReplicaSpecs": {"Master": {"template": template}}},
            }),
            _ => object.clone(),
        }
    };
    for (kind, command, gpus, verdict) in [
        ("Job", json!(["torchrun", "train.py"]), 8, Verdict::Unknown),
        ("Job", json!(["bash", "-c", "cd /work && accelerate launch train.py"]), 8, Verdict::Unknown),
        ("Job", json!(["torchrun", "train.py"]), 0, Verdict::NotTraining),
        ("Job", json!(["python", "serve.py"]), 8, Verdict::NotTraining),
        ("PyTorchJob", json!(["python", "train.py"]), 8, Verdict::Unknown),
        ("PyTorchJob", json!(["python", "train.py"]), 0, Verdict::NotTraining),
        ("PyTorchJob", json!(["mpirun", "all_reduce_perf"]), 8, Verdict::NotTraining),
    ] {
        let object = of_kind(kind, &job(command.clone(), gpus));
        let judgement = judged(&object);
        assert_eq!(judgement.verdict, verdict, "{kind} {command} {gpus}");
        if verdict == Verdict::NotTraining {
            assert!(judgement.warnings.is_empty() && judgement.message.is_empty());
        } else {
            assert_eq!(
                (judgement.reason, judgement.missing[0].as_str()),
                (Reason::MissingInputs, "model.name")
            );
        }
    }
    // An override alone does not make a backup a training job.
    let mut backup = job(json!(["restic"]), 0);
    backup["metadata"]["annotations"] = json!({"weighbridge.dev/override": "because"});
    assert_eq!(judged(&backup).verdict, Verdict::NotTraining);
}

#[test]
fn the_accelerator_is_found_where_it_is_stated() {
    let bare = || pytorchjob(&without(STATED, &["gpu-type"]), 7);
    let place = |object: &mut Value, key: &str, value: Value| {
        for role in ["Master", "Worker"] {
            object["spec"]["pytorchReplicaSpecs"][role]["template"]["spec"][key] = value.clone();
        }
    };
    let affinity = |values: Value| {
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": values}]},
        ]}}})
    };

    let mut selected = bare();
    place(&mut selected, "nodeSelector", json!({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}));
    let judgement = judged(&selected);
    assert_eq!(
        source(&judgement, "accelerator.type"),
        Some(("NVIDIA-A100-SXM4-80GB", "node selector nvidia.com/gpu.product"))
    );
    assert_eq!(judgement.summary.accelerator_name.as_deref(), Some("A100-80GB"));

    let mut one_of = bare();
    place(&mut one_of, "affinity", affinity(json!(["NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-SXM4-80GB"])));
    let judgement = judged(&one_of);
    assert_eq!(judgement.summary.accelerator_name.as_deref(), Some("A100-80GB"));
    assert!(judgement.warnings.iter().any(|w| w.contains("judged on A100-80GB")), "{:?}", judgement.warnings);

    let node = |product: &str, gpus: u64| Node {
        name: product.to_lowercase(),
        labels: [("nvidia.com/gpu.product".to_owned(), product.to_owned())].into(),
        allocatable: [("nvidia.com/gpu".to_owned(), gpus)].into(),
        schedulable: true,
    };
    let nodes = vec![node("NVIDIA-H200", 8), node("NVIDIA-GB200", 0)];
    let around = Surroundings { nodes: nodes.into(), ..Surroundings::default() };
    let judgement = judged_among(&bare(), &around);
    assert_eq!(
        source(&judgement, "accelerator.type"),
        Some(("NVIDIA-H200", "nodes' label nvidia.com/gpu.product"))
    );

    let mut contradiction = pytorchjob(STATED, 7);
    place(&mut contradiction, "nodeSelector", json!({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}));
    let judgement = judged(&contradiction);
    assert_eq!(judgement.summary.accelerator_name.as_deref(), Some("H100-80GB"));
    let [warning] = judgement.warnings.as_slice() else { panic!("{:?}", judgement.warnings) };
    assert!(
        warning.starts_with(
            "accelerator.type is H100-80GB (annotation weighbridge.dev/gpu-type), not NVIDIA-A100-SXM4-80GB (node selector"
        ),
        "{warning}"
    );
}

/// A node that offers GPUs, with this product label or none.
fn gpu_node(name: &str, product: Option<&str>) -> Node {
    let labels = product.map(|product| ("nvidia.com/gpu.product".to_owned(), product.to_owned()));
    Node {
        name: name.into(),
        labels: labels.into_iter().collect(),
        allocatable: [("nvidia.com/gpu".to_owned(), 8)].into(),
        schedulable: true,
    }
}

#[test]
fn nobody_is_turned_away_for_the_smaller_of_accelerators_of_which_one_is_not_known() {
    let job = pytorchjob(&without(STATED, &["gpu-type"]), 0);
    for unknown in [None, Some("NVIDIA-Z9000")] {
        let nodes = [gpu_node("a", Some("Tesla-T4")), gpu_node("b", unknown)].into();
        let judgement = judged_among(&job, &Surroundings { nodes, ..Surroundings::default() });
        assert_eq!(judgement.reason, Reason::UnknownAccelerator, "{unknown:?}: {}", judgement.message);
    }
    let nodes = [gpu_node("a", Some("Tesla-T4"))].into();
    let judgement = judged_among(&job, &Surroundings { nodes, ..Surroundings::default() });
    assert_eq!(judgement.verdict, Verdict::OutOfMemory);

    let term = |key: &str, value: &str| json!({"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]});
    let among = |terms: Value| {
        let mut job = job.clone();
        job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["affinity"] = json!({"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        judged(&job).reason
    };
    let t4 = term("nvidia.com/gpu.product", "Tesla-T4");
    assert_eq!(among(json!([t4])), Reason::AboveCapacity);
    assert_eq!(among(json!([t4, term("zone", "a")])), Reason::UnknownAccelerator);
}

#[test]
fn one_pod_of_many_is_not_judged_as_if_it_were_alone() {
    let annotations: &[_] = &[
        ("model", "llama-2-70b"),
        ("framework", "fsdp"),
        ("sharding", "fsdp"),
        ("recompute", "full"),
        ("attention", "flash"),
        ("precision", "bf16"),
        ("micro-batch-size", "1"),
        ("sequence-length", "2048"),
        ("gpu-type", "H100-80GB"),
    ];
    let mut pod = template(8);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"] = pytorchjob(annotations, 0)["metadata"].clone();
    assert_eq!(judged(&pod).verdict, Verdict::OutOfMemory);
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob", "name": "a", "uid": "b", "controller": true}]);
    let judgement = judged(&pod);
    assert_eq!(judgement.verdict, Verdict::Unknown, "{}", judgement.message);
    assert!(judgement.missing.contains(&"accelerator.count".to_owned()), "{:?}", judgement.missing);
}

#[test]
fn an_elastic_job_is_judged_as_it_is_asked_for() {
    let mut job = pytorchjob(STATED, 7);
    let asked_for = judged(&job);
    job["spec"]["elasticPolicy"] = json!({"minReplicas": 1, "maxReplicas": 7});
    assert_eq!(judged(&job).memory, asked_for.memory);
}

#[test]
fn an_object_of_thousands_of_groups_is_too_large_to_read() {
    let mut job = pytorchjob(STATED, 7);
    for number in 0..300 {
        job["spec"]["pytorchReplicaSpecs"][format!("Role{number}")] = json!({"template": template(8)});
    }
    let judgement = judged(&job);
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::TooLarge));
}

#[test]
fn a_slice_offers_its_own_memory_and_speed() {
    let mut object = pytorchjob(STATED, 0);
    let limits = json!({"nvidia.com/mig-3g.40gb": 1});
    object["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["resources"]["limits"] =
        limits;
    let mut one = pytorchjob(STATED, 0);
    one["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["resources"]["limits"] =
        json!({"nvidia.com/gpu": 1});
    let whole = judged(&one);
    let slice = judged(&object);
    let capacity =
        |judgement: &Judgement| judgement.memory.as_ref().unwrap().capacity_bytes.unwrap().as_gib();
    assert!((39.0..40.0).contains(&capacity(&slice)) && capacity(&whole) > 79.0);
    assert!(slice.message.contains("3g.40gb of H100-80GB offers"), "{}", slice.message);
    let speed = |judgement: &Judgement| judgement.time.as_ref().unwrap().tokens_per_second_per_gpu;
    assert!((speed(&slice) / speed(&whole) - 3.0 / 7.0).abs() < 0.01);
}

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
    assert_eq!(judgement.warnings, ["nobody reads the field spec.model.colour"]);
    assert!(judgement.errors[3].message.contains("write it with its unit"), "{:?}", judgement.errors);
}

#[test]
fn more_than_was_asked_for_is_not_read() {
    let ask = Ask { max_bytes: 1000, ..Ask::default() };
    let mut object = pytorchjob(STATED, 7);
    object["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["args"] =
        json!(["x".repeat(1001)]);
    let judgement = judge(&object, &Surroundings::default(), Catalogue::builtin(), &Rules::default(), &ask);
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::TooLarge));
    assert!(judgement.inputs.is_empty());
}

/// What holds of every judgement.
fn check(object: &Value, around: &Surroundings) -> Result<(), TestCaseError> {
    let judgement = judged_among(object, around);
    let lines = judgement.warnings.iter().chain([&judgement.message]).chain(&judgement.missing);
    for line in lines {
        prop_assert!(line.chars().count() <= 256 && !line.chars().any(char::is_control), "{line:?}");
    }
    prop_assert!(judgement.warnings.iter().all(|line| line.chars().count() <= 120));
    prop_assert!(
        judgement.warnings.len() <= 16 && judgement.inputs.len() <= 96 && judgement.advice.len() <= 5
    );
    prop_assert!(
        judgement.inputs.iter().all(|i| i.value.chars().count() <= 64 && i.source.chars().count() <= 256)
    );
    prop_assert!(judgement.errors.is_empty() || judgement.reason == Reason::Malformed);
    let decided = matches!(judgement.verdict, Verdict::Fits | Verdict::Tight | Verdict::OutOfMemory);
    if let Some(probability) = judgement.oom_probability {
        prop_assert!((0.0..=1.0).contains(&probability));
    }
    prop_assert!(!decided || (judgement.oom_probability.is_some() && judgement.memory.is_some()));
    if judgement.verdict == Verdict::NotTraining {
        prop_assert!(
            judgement.warnings.is_empty() && judgement.inputs.is_empty() && judgement.message.is_empty()
        );
    } else {
        prop_assert!(!judgement.message.is_empty());
    }
    if judgement.verdict == Verdict::Unknown && judgement.errors.is_empty() {
        let unread = matches!(judgement.reason, Reason::TooLarge | Reason::WorkloadNotFound);
        prop_assert!(unread || !judgement.missing.is_empty());
    }
    if let Some(memory) = &judgement.memory {
        prop_assert!(memory.lower_bytes <= memory.peak_bytes && memory.peak_bytes <= memory.upper_bytes);
    }
    let json = serde_json::to_string(&judgement).unwrap();
    prop_assert_eq!(json, serde_json::to_string(&judged_among(object, around)).unwrap());
    Ok(())
}

/// Any JSON: with the keys and values that are looked for among others.
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

/// The object with the value at a place, chosen by a number, exchanged.
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
    // The root stays: without its kind an object is nothing.
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
        include_str!("../examples/trainingestimate-what-if.yaml"),
        include_str!("../examples/pytorchjob-llama2-70b-oom.yaml"),
        include_str!("../examples/job-llama3-8b-lora.yaml"),
        include_str!("../examples/pytorchjob-minimal.yaml"),
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
        weighbridge::workload::annotations::KEYS.iter().map(|key| key.name).chain(["training", "override"]).collect::<Vec<_>>(),
    ), text in prop_oneof!["\\PC{0,40}", "[0-9]{1,25}", "[0-9.]{1,6}[KMBT%]?", "(model|batch|parallelism): \\{[a-z]{1,8}: [0-9]{1,12}\\}"]) {
        check(&pytorchjob(&with(STATED, (key, &text)), 7), &Surroundings::default())?;
    }
}
