//! The accelerator: where it is stated, when only nodes show it, and partitions of one.

use std::sync::Arc;

use serde_json::{Value, json};
use weighbridge::judgement::{Judgement, Reason, Verdict};
use weighbridge::kinds::Kinds;
use weighbridge::surroundings::{Node, Surroundings};

use super::stated::{STATED, pytorchjob, without};
use super::{judged, judged_among, source};

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

    let node = |product: &str, gpus: u64| {
        Arc::new(Node {
            name: product.to_lowercase(),
            labels: [("nvidia.com/gpu.product", product)].into_iter().collect(),
            allocatable: [("nvidia.com/gpu".to_owned(), gpus)].into(),
            memory: None,
            schedulable: true,
        })
    };
    let nodes = vec![node("NVIDIA-H200", 8), node("NVIDIA-GB200", 0)];
    let around = Surroundings { nodes: nodes.into(), ..Surroundings::default() };
    let judgement = judged_among(&bare(), &around);
    assert_eq!(
        source(&judgement, "accelerator.type"),
        Some(("H200-141GB", "nodes' label nvidia.com/gpu.product"))
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

/// A node that offers GPUs, with or without this product label.
fn gpu_node(name: &str, product: Option<&str>) -> Arc<Node> {
    let labels = product.map(|product| ("nvidia.com/gpu.product", product));
    Arc::new(Node {
        name: name.into(),
        labels: labels.into_iter().collect(),
        allocatable: [("nvidia.com/gpu".to_owned(), 8)].into(),
        memory: None,
        schedulable: true,
    })
}

#[test]
fn no_job_is_refused_if_one_allowed_accelerator_is_unknown() {
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
fn a_node_selector_for_more_memory_than_the_card_has_is_not_believed() {
    let labels =
        json!({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "999999"});
    let mut object = pytorchjob(&without(STATED, &["gpu-type"]), 7);
    for role in ["Master", "Worker"] {
        object["spec"]["pytorchReplicaSpecs"][role]["template"]["spec"]["nodeSelector"] = labels.clone();
    }
    let capacity =
        |judgement: &Judgement| judgement.memory.as_ref().unwrap().capacity_bytes.unwrap().as_gib();
    let doubted = judged(&object);
    assert!((79.0..80.0).contains(&capacity(&doubted)), "{}", capacity(&doubted));
    assert!(doubted.warnings.iter().any(|warning| warning.contains("is ignored")), "{:?}", doubted.warnings);

    // A node with these labels is better evidence than the catalogue.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "labels": labels},
        "status": {"allocatable": {"nvidia.com/gpu": "8"}}});
    let believed = judged_among(&object, &Surroundings::of(&[node], Kinds::built_in()));
    assert!(capacity(&believed) > 900.0, "{}", capacity(&believed));

    for role in ["Master", "Worker"] {
        let selector = &mut object["spec"]["pytorchReplicaSpecs"][role]["template"]["spec"]["nodeSelector"];
        selector["nvidia.com/gpu.memory"] = json!("40000");
    }
    assert!(capacity(&judged(&object)) < 40.0, "of two amounts the smaller counts");
}
