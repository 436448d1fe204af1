//! The accelerators of the nodes that a queue has assigned, and the number of pods that it starts.
//!
//! A queue assigns a flavor to each set of pods before the workload starts. At the start it writes the flavor's labels into
//! the node selectors of the pods. Here the labels are in the templates before that, so that every rule reads the nodes that
//! the pods will have.
//!
//! What these nodes tell of the accelerator is a fact. So it beats annotations of the accelerator, if the catalogue knows the
//! type. Sets of pods may have different types. Then the one with the most memory counts, as everywhere.
//!
//! A queue may start fewer pods than the object asks for. Shards of the states are larger then.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Candidate, largest, selected};
use crate::hardware::Catalogue;
use crate::kinds::PodGroup;
use crate::kinds::requests::Request;
use crate::surroundings::{Assigned, Surroundings};

/// The template of each group, with the labels that its nodes will have.
pub(in crate::workload) fn templates<'a>(
    groups: &[PodGroup<'a>],
    assigned: &Assigned,
) -> Vec<Cow<'a, Value>> {
    let template = |group: &PodGroup<'a>| {
        let labels = assigned.labels(group.role).filter(|labels| !labels.is_empty());
        let Some(labels) = labels else { return Cow::Borrowed(group.template) };
        let mut template = group.template.clone();
        let spec = template.get_mut("spec").and_then(Value::as_object_mut);
        let selector = spec.map(|spec| spec.entry("nodeSelector").or_insert_with(|| json!({})));
        if let Some(selector) = selector {
            if selector.is_null() {
                *selector = json!({});
            }
            for (key, value) in labels {
                if let Some(selector) = selector.as_object_mut() {
                    selector.insert(key.clone(), json!(value));
                }
            }
        }
        Cow::Owned(template)
    };
    groups.iter().map(template).collect()
}

/// The groups with these templates, and with the pods that are started.
pub(in crate::workload) fn placed<'a>(
    groups: Vec<PodGroup<'a>>,
    templates: &'a [Cow<'_, Value>],
    assigned: &Assigned,
) -> Vec<PodGroup<'a>> {
    let placed = |(group, template): (PodGroup<'a>, &'a Cow<'_, Value>)| {
        let replicas = assigned.fewer_pods(group.role).or(group.replicas);
        PodGroup { template: template.as_ref(), replicas, ..group }
    };
    groups.into_iter().zip(templates).map(placed).collect()
}

/// The accelerator of the assigned nodes, if the catalogue knows it.
pub(super) fn offered<'c>(
    requests: &[Request<'_>],
    around: &Surroundings,
    catalogue: &'c Catalogue,
) -> Option<Candidate<'c>> {
    if around.assigned.is_empty() {
        return None;
    }
    let candidates = requests.iter().flat_map(|request| {
        // The same doubts are found again where the template is read.
        let selected = selected(request, around, catalogue, &mut Vec::new());
        if selected.is_empty() { super::offered(request, around, catalogue) } else { selected }
    });
    largest(candidates.collect()).filter(|candidate| candidate.accelerator.is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::job::Ask;
    use crate::judge::judge;
    use crate::judgement::Verdict;
    use crate::policy::Policy;

    const PRODUCT: &str = "nvidia.com/gpu.product";

    fn assigned(sets: &[(&str, &str)]) -> Assigned {
        let mut assigned = Assigned::default();
        for (set, product) in sets {
            assigned.add(set, BTreeMap::from([(PRODUCT.to_owned(), (*product).to_owned())]));
        }
        assigned
    }

    /// The accelerator on which a job of two groups is judged, and the verdict.
    fn judged(annotations: &Value, sets: &[(&str, &str)]) -> (Option<String>, Verdict) {
        let container = json!({"name": "a", "command": ["torchrun", "train.py"],
            "resources": {"limits": {"nvidia.com/gpu": 8}}});
        let group = json!({"replicas": 1, "template": {"spec": {"containers": [container]}}});
        let mut all = json!({
            "weighbridge.dev/model": "llama-2-7b", "weighbridge.dev/sharding": "ddp", "weighbridge.dev/method": "full",
            "weighbridge.dev/micro-batch-size": "1", "weighbridge.dev/sequence-length": "1024",
            "weighbridge.dev/precision": "bf16", "weighbridge.dev/recompute": "full",
        });
        all.as_object_mut().unwrap().extend(annotations.as_object().unwrap().clone());
        let job = json!({
            "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
            "metadata": {"name": "a", "namespace": "team", "annotations": all},
            "spec": {"pytorchReplicaSpecs": {"Master": group, "Worker": group}},
        });
        let around = Surroundings { assigned: assigned(sets).into(), ..Surroundings::default() };
        let judgement = judge(&job, &around, &Policy::default().world(), &Ask::default());
        (judgement.summary.accelerator, judgement.verdict)
    }

    #[test]
    fn a_job_is_judged_on_the_accelerator_that_its_queue_assigned() {
        let none = json!({});
        let (t4, h200) = (("main", "Tesla-T4"), ("main", "NVIDIA-H200"));
        assert_eq!(judged(&none, &[]), (None, Verdict::Unknown));
        assert_eq!(judged(&none, &[t4]), (Some("t4".into()), Verdict::OutOfMemory));
        assert_eq!(judged(&none, &[h200]).0.as_deref(), Some("h200-141gb"));
    }

    #[test]
    fn what_was_assigned_beats_an_annotation_of_the_accelerator() {
        let annotated = json!({"weighbridge.dev/gpu-type": "T4", "weighbridge.dev/gpu-memory": "16Gi"});
        let (accelerator, verdict) = judged(&annotated, &[("main", "NVIDIA-H200")]);
        assert_eq!(accelerator.as_deref(), Some("h200-141gb"));
        assert_ne!(verdict, Verdict::OutOfMemory);
        let annotated = json!({"weighbridge.dev/gpu-type": "H200"});
        assert_eq!(judged(&annotated, &[("main", "Tesla-T4")]).1, Verdict::OutOfMemory);
        assert_eq!(judged(&annotated, &[("main", "Weber-9000")]).0.as_deref(), Some("h200-141gb"));
    }

    #[test]
    fn of_different_flavors_the_largest_counts() {
        let sets = [("master", "NVIDIA-H200"), ("worker", "Tesla-T4")];
        assert_eq!(judged(&json!({}), &sets).0.as_deref(), Some("h200-141gb"));
        let sets = [("worker", "NVIDIA-H200"), ("master", "Tesla-T4")];
        assert_eq!(judged(&json!({}), &sets).0.as_deref(), Some("h200-141gb"));
    }

    #[test]
    fn a_group_of_which_fewer_pods_start_has_these() {
        let template = json!({});
        let pods = |assigned: &Assigned, role: &str| {
            let group = PodGroup { role, template: &template, path: String::new(), replicas: Some(4) };
            let templates = templates(std::slice::from_ref(&group), assigned);
            placed(vec![group], &templates, assigned)[0].replicas
        };
        let mut fewer = assigned(&[("main", "NVIDIA-H200")]);
        assert_eq!(pods(&fewer, ""), Some(4));
        fewer.start_fewer("main", 2);
        assert_eq!(pods(&fewer, ""), Some(2));
        let mut fewer = assigned(&[("master", "NVIDIA-H200"), ("worker", "NVIDIA-H200")]);
        fewer.start_fewer("worker", 2);
        assert_eq!([pods(&fewer, "Master"), pods(&fewer, "Worker")], [Some(4), Some(2)]);
    }

    #[test]
    fn sets_are_found_by_the_name_of_the_group_or_are_all_alike() {
        let two = assigned(&[("master", "A"), ("worker", "B")]);
        let product =
            |assigned: &Assigned, role: &str| assigned.labels(role).map(|labels| labels[PRODUCT].clone());
        assert_eq!(product(&two, "Worker").as_deref(), Some("B"));
        assert_eq!(product(&two, "Evaluator"), None);
        assert_eq!(product(&assigned(&[("main", "A")]), "").as_deref(), Some("A"));
        assert_eq!(product(&Assigned::default(), ""), None);
    }
}
