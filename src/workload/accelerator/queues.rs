//! The accelerators that a Kueue queue hands out.
//!
//! ```text
//! label kueue.x-k8s.io/queue-name ─► LocalQueue ─► ClusterQueue ─► flavors that cover the resource ─► nodeLabels
//! ```
//!
//! A queue of several flavors may hand out any of them. The largest is judged, as everywhere. If one flavor names no
//! accelerator, none is assumed.

use serde_json::Value;

use super::{Candidate, candidate};
use crate::hardware::Catalogue;
use crate::hardware::labels::of_labels;
use crate::job::Source;
use crate::printable::printable;
use crate::surroundings::Documents;

/// The most flavors that are read.
const MAX: usize = 64;

/// The accelerators of the flavors through which the object's queue covers a resource.
pub(super) fn offered<'c>(
    object: &Value,
    resource: &str,
    documents: &Documents,
    catalogue: &'c Catalogue,
) -> Vec<Candidate<'c>> {
    of_queue(object, resource, documents, catalogue).unwrap_or_default()
}

fn of_queue<'c>(
    object: &Value,
    resource: &str,
    documents: &Documents,
    catalogue: &'c Catalogue,
) -> Option<Vec<Candidate<'c>>> {
    let queue = object.pointer("/metadata/labels/kueue.x-k8s.io~1queue-name")?.as_str()?;
    let namespace = crate::kinds::namespace(object).unwrap_or_default();
    let queue = documents.get("LocalQueue", namespace, queue)?;
    let queue = documents.get("ClusterQueue", "", queue.pointer("/spec/clusterQueue")?.as_str()?)?;
    let groups = queue.pointer("/spec/resourceGroups")?.as_array()?.iter();
    let covers = |group: &&Value| {
        let covered = group.get("coveredResources").and_then(Value::as_array);
        covered.is_some_and(|covered| covered.iter().any(|name| name == resource))
    };
    let flavors = groups.filter(covers).filter_map(|group| group.get("flavors")?.as_array()).flatten();
    let of_flavor = |flavor: &Value| {
        let name = flavor.get("name")?.as_str()?;
        let labels = documents.get("ResourceFlavor", "", name)?.pointer("/spec/nodeLabels")?;
        let found = of_labels(catalogue, |key| labels.get(key)?.as_str())?;
        let source = Source::Flavor { name: printable(name, 64), label: found.label.to_owned() };
        Some(candidate(&found, catalogue, source))
    };
    let mut flavors = flavors;
    let read: Option<Vec<_>> = flavors.by_ref().take(MAX).map(of_flavor).collect();
    // If there are more flavors than we read, the largest is unknown.
    read.filter(|_| flavors.next().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(flavors: &[(&str, Value)]) -> Vec<String> {
        let mut documents = Documents::default();
        documents.add("LocalQueue", "team", "q", json!({"spec": {"clusterQueue": "all"}}).into());
        let listed: Vec<Value> = flavors.iter().map(|(name, _)| json!({"name": name})).collect();
        let groups = json!([
            {"coveredResources": ["cpu"], "flavors": [{"name": "plain"}]},
            {"coveredResources": ["nvidia.com/gpu"], "flavors": listed},
        ]);
        documents.add("ClusterQueue", "", "all", json!({"spec": {"resourceGroups": groups}}).into());
        for (name, labels) in flavors {
            documents.add("ResourceFlavor", "", name, json!({"spec": {"nodeLabels": labels}}).into());
        }
        let object = json!({"metadata": {"namespace": "team", "labels": {"kueue.x-k8s.io/queue-name": "q"}}});
        let found = offered(&object, "nvidia.com/gpu", &documents, Catalogue::builtin());
        found.iter().map(|candidate| format!("{} by {}", candidate.shown(), candidate.source)).collect()
    }

    #[test]
    fn a_queue_hands_out_what_its_flavors_are_labelled_with() {
        let a100 = ("a100", json!({"cloud.google.com/gke-accelerator": "nvidia-a100-80gb"}));
        assert_eq!(
            names(std::slice::from_ref(&a100)),
            ["A100-80GB by ResourceFlavor a100 cloud.google.com/gke-accelerator"]
        );
        let spot = ("h200", json!({"node.kubernetes.io/instance-type": "p5en.48xlarge"}));
        assert_eq!(names(&[a100.clone(), spot]).len(), 2);
        assert!(names(&[a100, ("any", json!({"pool": "spot"}))]).is_empty());
        assert!(names(&[]).is_empty());
    }
}
