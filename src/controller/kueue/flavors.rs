//! The flavors that Kueue assigned to a workload, and those that it could assign instead.
//!
//! Kueue gives the pods of a set the node labels of the flavors of all their resources. It can assign another flavor of the
//! same group of resources, if node selectors and required affinities of the pods allow the labels of the flavor, and if the
//! pods or the flavor tolerate its taints. Of selectors and affinities only the keys count that label a flavor of the group.
//! Source: sigs.k8s.io/kueue v0.17.0, `pkg/scheduler/flavorassigner/flavorassigner.go`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::queued::{PodSet, Queued, list, text, texts};
use crate::admission::queued::Elsewhere;
use crate::surroundings::{Assigned, Documents, Labels};
use crate::workload::accelerator::placement::admits_labels;

/// The most other flavors that are tried.
const MOST: usize = 16;

/// What is assigned to a workload. An error names a flavor that is not in the cache.
pub(super) fn assigned(queued: &Queued, documents: &Documents) -> Result<Assigned, String> {
    let mut assigned = Assigned::default();
    for set in &queued.sets {
        let mut labels = BTreeMap::new();
        for flavor in set.flavors.values() {
            labels.extend(labels_of(flavor, documents).ok_or_else(|| flavor.clone())?);
        }
        assigned.add(&set.name, labels);
        if let Some(pods) = set.fewer_pods {
            assigned.start_fewer(&set.name, pods);
        }
    }
    Ok(assigned)
}

/// The node labels of a flavor, if it is in the cache.
fn labels_of(flavor: &str, documents: &Documents) -> Option<BTreeMap<String, String>> {
    let flavor = documents.get("ResourceFlavor", "", flavor)?;
    Some(texts(flavor.pointer("/spec/nodeLabels")))
}

/// What Kueue could assign instead, and what the workload would get.
pub(super) struct Other {
    pub(super) elsewhere: Elsewhere,
    pub(super) assigned: Assigned,
}

/// What the queue could assign instead: all pods, or another of its flavors for the workload's accelerators.
pub(super) fn others(queued: &Queued, documents: &Documents) -> Vec<Other> {
    all_pods(queued, documents).into_iter().chain(other_flavors(queued, documents)).collect()
}

/// The assigned flavors with all pods, if fewer start.
fn all_pods(queued: &Queued, documents: &Documents) -> Option<Other> {
    let all = |set: &PodSet| PodSet { fewer_pods: None, ..set.clone() };
    let all = Queued { sets: queued.sets.iter().map(all).collect(), ..queued.clone() };
    let assigned = assigned(&all, documents).ok().filter(|_| all.sets != queued.sets)?;
    Some(Other { elsewhere: Elsewhere::AllPods, assigned })
}

fn other_flavors(queued: &Queued, documents: &Documents) -> Vec<Other> {
    let queue = documents.get("ClusterQueue", "", &queued.cluster_queue);
    let groups = queue.and_then(|queue| queue.pointer("/spec/resourceGroups")?.as_array());
    let groups = groups.into_iter().flatten();
    groups.flat_map(|group| others_of(group, queued, documents)).take(MOST).collect()
}

/// Those of a group of resources, if the group has accelerators.
fn others_of(group: &Value, queued: &Queued, documents: &Documents) -> Vec<Other> {
    let covered: Vec<&str> = list(group, "/coveredResources").filter_map(Value::as_str).collect();
    if !covered.iter().any(|resource| resource.contains('/')) {
        return Vec::new();
    }
    let flavors = || list(group, "/flavors").map(|flavor| text(flavor, "name"));
    let keys: BTreeSet<String> =
        flavors().filter_map(|flavor| labels_of(flavor, documents)).flatten().map(|(key, _)| key).collect();
    let other = |flavor: &str| {
        let sets = queued.sets.iter().map(|set| moved(set, &covered, flavor)).collect();
        let moved = Queued { sets, ..queued.clone() };
        let of = documents.get("ResourceFlavor", "", flavor)?;
        let allowed = moved.sets != queued.sets && moved.sets.iter().all(|set| allows(set, of, &keys));
        let assigned = assigned(&moved, documents).ok().filter(|_| allowed)?;
        let mut labels = texts(of.pointer("/spec/nodeLabels"));
        let before = queued.accelerator_flavors().into_iter().filter_map(|it| labels_of(it, documents));
        for (key, value) in before.flatten() {
            labels.retain(|other, is| *other != key || *is != value);
        }
        Some(Other { elsewhere: Elsewhere::Flavor { name: flavor.to_owned(), labels }, assigned })
    };
    flavors().filter_map(other).collect()
}

/// The set with another flavor for the resources that it has of these.
fn moved(set: &PodSet, resources: &[&str], flavor: &str) -> PodSet {
    let mut set = set.clone();
    for (resource, assigned) in &mut set.flavors {
        if resources.contains(&resource.as_str()) {
            flavor.clone_into(assigned);
        }
    }
    set
}

/// Whether the pods of a set allow a flavor: its labels with these keys, and its taints.
fn allows(set: &PodSet, flavor: &Value, keys: &BTreeSet<String>) -> bool {
    let labels = texts(flavor.pointer("/spec/nodeLabels"));
    let labels: Labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let of_pods = || list(&set.template, "/spec/tolerations").chain(list(flavor, "/spec/tolerations"));
    let keeps_away = |taint: &&Value| ["NoSchedule", "NoExecute"].contains(&text(taint, "effect"));
    let mut taints = list(flavor, "/spec/nodeTaints").filter(keeps_away);
    admits_labels(&set.template, &labels, |key| keys.contains(key))
        && taints.all(|taint| of_pods().any(|toleration| tolerates(toleration, taint)))
}

/// Whether a toleration is for a taint, as Kubernetes matches them.
fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let is = |field: &str| text(toleration, field) == text(taint, field);
    let any = |field: &str| text(toleration, field).is_empty();
    let of_value = match text(toleration, "operator") {
        "Exists" => true,
        "" | "Equal" => is("value"),
        _ => false,
    };
    (any("effect") || is("effect")) && (any("key") || is("key")) && of_value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::queued::tests::waiting;
    use super::*;

    /// A queue with flavors of these labels.
    fn documents(flavors: &[(&str, Value)]) -> Documents {
        let mut documents = Documents::default();
        let names: Vec<Value> = flavors.iter().map(|(name, _)| json!({"name": name})).collect();
        let groups = json!([
            {"coveredResources": ["cpu"], "flavors": [{"name": "plain"}, {"name": "fast"}]},
            {"coveredResources": ["nvidia.com/gpu"], "flavors": names},
        ]);
        documents.add("ClusterQueue", "", "gpus", json!({"spec": {"resourceGroups": groups}}).into());
        documents.add("ResourceFlavor", "", "plain", json!({"spec": {"nodeLabels": {"disk": "ssd"}}}).into());
        documents.add("ResourceFlavor", "", "fast", json!({"spec": {}}).into());
        for (name, labels) in flavors {
            documents.add("ResourceFlavor", "", name, json!({"spec": {"nodeLabels": labels}}).into());
        }
        documents
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_set_has_the_labels_of_the_flavors_of_all_its_resources() {
        let queued = Queued::of(&waiting()).unwrap();
        let documents = documents(&[("a100", json!({"gpu": "a100"})), ("t4", json!({"gpu": "t4"}))]);
        let assigned = assigned(&queued, &documents).unwrap();
        assert_eq!(assigned.labels("Master"), Some(&map(&[("disk", "ssd"), ("gpu", "a100")])));
        assert_eq!(assigned.labels("Worker"), Some(&map(&[("disk", "ssd"), ("gpu", "t4")])));
    }

    #[test]
    fn a_flavor_that_is_not_in_the_cache_is_named() {
        let queued = Queued::of(&waiting()).unwrap();
        let documents = documents(&[("a100", json!({}))]);
        assert_eq!(assigned(&queued, &documents), Err("t4".to_owned()));
        assert!(assigned(&queued, &Documents::default()).is_err());
    }

    fn names(queued: &Queued, documents: &Documents) -> Vec<String> {
        let name = |other: Other| match other.elsewhere {
            Elsewhere::Flavor { name, .. } => name,
            Elsewhere::AllPods => "all pods".to_owned(),
        };
        others(queued, documents).into_iter().map(name).collect()
    }

    #[test]
    fn the_other_flavors_are_those_of_the_accelerators_that_the_pods_allow() {
        let queued = Queued::of(&waiting()).unwrap();
        let all = documents(&[
            ("a100", json!({"gpu": "a100", "zone": "a"})),
            ("t4", json!({"gpu": "t4", "zone": "a"})),
            ("h200", json!({"gpu": "h200", "zone": "a"})),
            ("far", json!({"gpu": "h200", "zone": "b"})),
        ]);
        assert_eq!(
            names(&queued, &all),
            ["a100", "t4", "h200"],
            "one for both sets, and none in another zone"
        );
        let others = others(&queued, &all);
        let h200 = map(&[("disk", "ssd"), ("gpu", "h200"), ("zone", "a")]);
        assert_eq!(others[2].assigned.labels("worker"), Some(&h200));
        let labels = map(&[("gpu", "h200")]);
        let elsewhere = Elsewhere::Flavor { name: "h200".to_owned(), labels };
        assert_eq!(others[2].elsewhere, elsewhere, "all are in this zone");
    }

    #[test]
    fn all_pods_are_another_assignment_if_fewer_start() {
        let mut queued = Queued::of(&waiting()).unwrap();
        let documents = documents(&[("a100", json!({"gpu": "a100"})), ("t4", json!({"gpu": "t4"}))]);
        assert_eq!(names(&queued, &documents), ["a100", "t4"]);
        queued.sets[1].fewer_pods = Some(1);
        assert_eq!(assigned(&queued, &documents).unwrap().fewer_pods("Worker"), Some(1));
        assert_eq!(names(&queued, &documents), ["all pods", "a100", "t4"]);
        assert_eq!(others(&queued, &documents)[0].assigned.fewer_pods("Worker"), None);
    }

    #[test]
    fn of_selectors_only_keys_that_label_a_flavor_decide() {
        let queued = Queued::of(&waiting()).unwrap();
        let all = documents(&[("a100", json!({"gpu": "a100"})), ("t4", json!({"gpu": "t4"}))]);
        assert_eq!(names(&queued, &all), ["a100", "t4"]);
    }

    #[test]
    fn an_affinity_or_a_taint_excludes_a_flavor() {
        let expression = json!({"key": "gpu", "operator": "In", "values": ["h200"]});
        let terms = json!({"nodeSelectorTerms": [{"matchExpressions": [expression]}]});
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}});
        let toleration = json!([{"key": "gpu", "operator": "Exists"}]);
        let taint = json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]);
        let soft = json!([{"key": "gpu", "effect": "PreferNoSchedule"}]);
        for (spec, flavor, expected) in [
            (json!({}), json!({"nodeTaints": taint}), false),
            (json!({}), json!({"nodeTaints": soft}), true),
            (json!({"tolerations": toleration}), json!({"nodeTaints": taint}), true),
            (json!({}), json!({"nodeTaints": taint, "tolerations": toleration}), true),
            (json!({"tolerations": [{"key": "gpu", "value": "no"}]}), json!({"nodeTaints": taint}), false),
            (json!({"affinity": affinity}), json!({"nodeLabels": {"gpu": "h200"}}), true),
            (json!({"affinity": affinity}), json!({"nodeLabels": {"gpu": "t4"}}), false),
        ] {
            let set = PodSet {
                name: "main".into(),
                flavors: BTreeMap::new(),
                fewer_pods: None,
                template: json!({"spec": spec}),
            };
            let keys = BTreeSet::from(["gpu".to_owned()]);
            assert_eq!(allows(&set, &json!({"spec": flavor}), &keys), expected, "{spec} on {flavor}");
        }
    }
}
