//! The labels of the flavors that Kueue assigned to a workload, and of those that it could assign instead.
//!
//! Kueue gives the pods of a set the node labels of the flavors of all their resources. It can assign another flavor of the
//! same group of resources, unless the pods' own node selector contradicts the flavor's labels.

use std::collections::BTreeMap;

use serde_json::Value;

use super::queued::{PodSet, Queued, list, texts};
use crate::surroundings::{Assigned, Documents};

/// The most other flavors that are tried.
const MOST: usize = 16;

/// The nodes that are assigned to a workload. An error names a flavor that is not in the cache.
pub(super) fn assigned(queued: &Queued, documents: &Documents) -> Result<Assigned, String> {
    let mut assigned = Assigned::default();
    for set in &queued.sets {
        let mut labels = BTreeMap::new();
        for flavor in set.flavors.values() {
            labels.extend(labels_of(flavor, documents).ok_or_else(|| flavor.clone())?);
        }
        assigned.add(&set.name, labels);
    }
    Ok(assigned)
}

/// The node labels of a flavor, if it is in the cache.
fn labels_of(flavor: &str, documents: &Documents) -> Option<BTreeMap<String, String>> {
    let flavor = documents.get("ResourceFlavor", "", flavor)?;
    Some(texts(flavor.pointer("/spec/nodeLabels")))
}

/// The other flavors that the queue has for the workload's accelerators, each with the nodes that it would give.
pub(super) fn others(queued: &Queued, documents: &Documents) -> Vec<(String, Assigned)> {
    let queue = documents.get("ClusterQueue", "", &queued.cluster_queue);
    let groups = queue.and_then(|queue| queue.pointer("/spec/resourceGroups")?.as_array());
    let mut others = Vec::new();
    for group in groups.into_iter().flatten() {
        let covered: Vec<&str> = list(group, "/coveredResources").filter_map(Value::as_str).collect();
        if !covered.iter().any(|resource| resource.contains('/')) {
            continue;
        }
        for flavor in list(group, "/flavors").filter_map(|flavor| flavor.get("name")?.as_str()) {
            let moved = Queued {
                sets: queued.sets.iter().map(|set| moved(set, &covered, flavor)).collect(),
                ..queued.clone()
            };
            let is_another = moved.sets != queued.sets;
            if is_another
                && others.len() < MOST
                && let Ok(assigned) = assigned(&moved, documents)
                && moved.sets.iter().all(|set| admits(set, &assigned))
            {
                others.push((flavor.to_owned(), assigned));
            }
        }
    }
    others
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

/// Whether the node selector of the pods allows the labels of their nodes.
fn admits(set: &PodSet, assigned: &Assigned) -> bool {
    let labels = assigned.labels(&set.name);
    let mut both = set.selector.iter().filter_map(|(key, value)| Some((value, labels?.get(key)?)));
    both.all(|(wanted, label)| wanted == label)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::queued::tests::waiting;
    use super::*;

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

    #[test]
    fn the_other_flavors_are_those_of_the_accelerators_that_the_pods_allow() {
        let queued = Queued::of(&waiting()).unwrap();
        let all = documents(&[
            ("a100", json!({"gpu": "a100"})),
            ("t4", json!({"gpu": "t4"})),
            ("h200", json!({"gpu": "h200", "zone": "a"})),
            ("far", json!({"gpu": "h200", "zone": "b"})),
        ]);
        let others = others(&queued, &all);
        let names: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a100", "t4", "h200"], "one for both sets, and none in another zone");
        let h200 = map(&[("disk", "ssd"), ("gpu", "h200"), ("zone", "a")]);
        assert_eq!(others[2].1.labels("worker"), Some(&h200));
    }
}
