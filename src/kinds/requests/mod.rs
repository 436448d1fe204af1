//! The accelerators that the pods ask for: their number and their resource.
//!
//! One pod is counted as the kubelet counts it. Containers and sidecars run together, so they are added. An init
//! container runs alone, beside the sidecars that started before it. The pod takes the larger of the two.
//!
//! ```text
//! pod = max(Σ containers + Σ sidecars, max over init containers (own + Σ sidecars before it))
//! ```
//!
//! Limits count; requests count only without limits. For extended resources the apiserver requires them to be equal.

mod claims;
mod fractions;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::hardware::resources::{Resource, ResourceKind, counts_accelerators, of_resource};
use crate::hardware::{Catalogue, Vendor};
use crate::job::Gap;
use crate::kinds::PodGroup;
use crate::surroundings::{Documents, Surroundings};
use crate::units::Bytes;

/// The most containers of a pod that are counted: fewer than the items that a list keeps.
const MOST_CONTAINERS: usize = 1_000;
/// The resource that a fraction is a part of.
const GPU: &str = "nvidia.com/gpu";

/// The request of the pods of one group.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The path of the group's template.
    pub path: &'a str,
    /// The template.
    pub template: &'a Value,
    /// The resource's name: `nvidia.com/gpu`.
    pub resource: String,
    /// The resource itself.
    pub what: Resource<'a>,
    /// How many one pod asks for.
    pub per_pod: u64,
    /// The number of pods. None if the object is one of several and does not tell how many.
    pub pods: Option<u64>,
    /// The limit of a container's memory on each accelerator, and the field or annotation that sets it.
    pub limit: Option<(Limit, String)>,
}

/// A limit on the memory of an accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// In bytes.
    Bytes(Bytes),
    /// In percent.
    Percent(u64),
}

/// The groups whose pods ask for accelerators. If a pod asks for several resources, the one with most devices counts.
/// A pod without such a resource may claim accelerators, or ask for a part of one by annotation.
pub fn requests<'a>(
    groups: &'a [PodGroup<'a>],
    documents: &Documents,
    namespace: &str,
    catalogue: &'a Catalogue,
) -> Vec<Request<'a>> {
    let request = |group: &'a PodGroup<'a>| {
        let counts = of_pod(group.template, &|name| {
            of_resource(catalogue, name).is_some_and(|resource| resource.kind.counts_accelerators())
        });
        let by_resource = || {
            let (resource, per_pod) = counts.iter().rev().max_by_key(|(_, count)| **count)?;
            let what = of_resource(catalogue, resource)?;
            (*per_pod > 0).then(|| (resource.clone(), what, *per_pod, limit(group.template, catalogue)))
        };
        let by_claim = || {
            let (class, what, count) = claims::of(group.template, documents, namespace, catalogue)?;
            (count > 0).then_some((class, what, count, None))
        };
        let by_fraction = || {
            let (cards, limit, source) = fractions::of(group.template)?;
            let what = Resource { vendor: Vendor::NVIDIA, kind: ResourceKind::Virtual, accelerator: None };
            (cards > 0).then(|| (GPU.to_owned(), what, cards, Some((limit, source.to_owned()))))
        };
        let (resource, what, per_pod, limit) = by_resource().or_else(by_claim).or_else(by_fraction)?;
        let pods = group.replicas;
        Some(Request { path: &group.path, template: group.template, resource, what, per_pod, pods, limit })
    };
    groups.iter().filter(|group| group.replicas != Some(0)).filter_map(request).collect()
}

/// The part of the pods that was not read, if they ask for no accelerator that was read.
pub fn gap(
    groups: &[PodGroup<'_>],
    requests: &[Request<'_>],
    around: &Surroundings,
    namespace: &str,
    catalogue: &Catalogue,
) -> Option<Gap> {
    let asks = |group: &&PodGroup<'_>| requests.iter().any(|request| request.path == group.path);
    let silent = groups.iter().filter(|group| group.replicas != Some(0) && !asks(group));
    let of = |group: &PodGroup<'_>| {
        let is_long = |pointer: &str| {
            let list = group.template.pointer(pointer).and_then(Value::as_array);
            list.is_some_and(|list| list.len() > MOST_CONTAINERS)
        };
        let containers = is_long("/spec/containers") || is_long("/spec/initContainers");
        let containers = containers.then_some(Gap::Containers);
        let unreadable = || asks_unreadably(group.template, catalogue).then_some(Gap::Quantity);
        containers.or_else(|| claims::gap(group.template, around, namespace)).or_else(unreadable)
    };
    silent.into_iter().find_map(of)
}

/// Whether a container asks for accelerators in words that are no number (`$GPUS_PER_NODE`), or for a resource whose
/// name is a placeholder.
fn asks_unreadably(template: &Value, catalogue: &Catalogue) -> bool {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let mut given = containers.take(MOST_CONTAINERS).flat_map(|container| {
        let resources =
            ["/resources/limits", "/resources/requests"].map(|pointer| container.pointer(pointer));
        resources.into_iter().flatten().filter_map(Value::as_object).flatten()
    });
    let placeholder = |name: &str| name.contains('$') || name.contains("{{");
    let unreadable = |name: &str, quantity: &Value| {
        let is_no_number =
            quantity.as_str().is_some_and(|text| !text.trim().is_empty()) && whole(quantity).is_none();
        is_no_number && counts_accelerators(catalogue, name)
    };
    given.any(|(name, quantity)| placeholder(name) || unreadable(name, quantity))
}

/// The largest limit of any container.
fn limit(template: &Value, catalogue: &Catalogue) -> Option<(Limit, String)> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array)?;
    let counts = containers.iter().flat_map(|container| of_container(container, &|_| true));
    let limits = counts.filter_map(|(name, count)| {
        let limit = match of_resource(catalogue, &name)?.kind {
            ResourceKind::Memory(unit) => Limit::Bytes(unit * count),
            ResourceKind::MemoryPercent => Limit::Percent(count.min(100)),
            _ => return None,
        };
        (count > 0).then(|| (limit, format!("limits {name}")))
    });
    limits.max_by_key(|(limit, _)| match limit {
        Limit::Bytes(bytes) => bytes.0,
        Limit::Percent(percent) => *percent,
    })
}

type Counts = BTreeMap<String, u64>;

fn of_pod(template: &Value, is_accelerator: &impl Fn(&str) -> bool) -> Counts {
    let list = |pointer| template.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let mut together = Counts::new();
    let mut alone = Counts::new();
    for container in list("/spec/initContainers") {
        let own = of_container(container, is_accelerator);
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            add(&mut together, &own);
        } else {
            // A resource that it doesn't ask for needs no entry: the sidecars before it have at most what all
            // sidecars have.
            for (name, count) in own {
                let beside = together.get(&name).copied().unwrap_or_default();
                larger(&mut alone, name, beside.saturating_add(count));
            }
        }
    }
    for container in list("/spec/containers") {
        add(&mut together, &of_container(container, is_accelerator));
    }
    for (name, count) in alone {
        larger(&mut together, name, count);
    }
    together
}

fn of_container(container: &Value, is_accelerator: &impl Fn(&str) -> bool) -> Counts {
    let mut counts = Counts::new();
    for list in ["limits", "requests"] {
        let given = container.get("resources").and_then(|resources| resources.get(list)?.as_object());
        for (name, quantity) in given.into_iter().flatten() {
            if let Some(count) = whole(quantity).filter(|_| name.contains('/') && is_accelerator(name)) {
                counts.entry(name.clone()).or_insert(count);
            }
        }
    }
    counts
}

/// How many of a resource a container asks for.
pub(crate) fn asked(container: &Value, resource: &str) -> u64 {
    of_container(container, &|name| name == resource).get(resource).copied().unwrap_or_default()
}

/// A whole quantity, for extended resources have no others. `8`, `8000m` and `8.0` are the same.
fn whole(quantity: &Value) -> Option<u64> {
    let text = match quantity {
        Value::Number(number) => return number.as_u64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    match text.strip_suffix('m') {
        Some(thousandths) => {
            thousandths.parse().ok().filter(|count: &u64| count.is_multiple_of(1_000)).map(|n| n / 1_000)
        }
        None => text.parse().ok().or_else(|| Bytes::parse_quantity(text).ok().map(|count| count.0)),
    }
}

fn add(sum: &mut Counts, other: &Counts) {
    for (name, count) in other {
        let entry = sum.entry(name.clone()).or_default();
        *entry = entry.saturating_add(*count);
    }
}

fn larger(most: &mut Counts, name: String, count: u64) {
    let entry = most.entry(name).or_default();
    *entry = count.max(*entry);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gpus(spec: &Value) -> Option<u64> {
        of_pod(&json!({ "spec": spec }), &|name| name == "nvidia.com/gpu").get("nvidia.com/gpu").copied()
    }

    #[test]
    fn a_placeholder_in_place_of_a_number_or_a_name_is_unreadable() {
        for (limits, expected) in [
            (json!({"nvidia.com/gpu": "$GPUS_PER_NODE"}), true),
            (json!({"nvidia.com/gpu": "{{ .Values.gpus }}"}), true),
            (json!({"${GPU_RESOURCE}": 1}), true),
            (json!({"nvidia.com/gpu": null}), false),
            (json!({"nvidia.com/gpu": ""}), false),
            (json!({"nvidia.com/gpu": "8"}), false),
            (json!({"memory": "$MEMORY", "rdma/hca": "x"}), false),
        ] {
            let template = json!({"spec": {"containers": [{"resources": {"limits": limits}}]}});
            assert_eq!(asks_unreadably(&template, Catalogue::builtin()), expected, "{limits}");
        }
    }

    #[test]
    fn containers_add_up_and_init_containers_do_not() {
        let gpu = |count: Value| json!({"resources": {"limits": {"nvidia.com/gpu": count, "rdma/hca": 8, "cpu": "4"}}});
        assert_eq!(gpus(&json!({"containers": [gpu(json!(4)), gpu(json!("4"))]})), Some(8));
        assert_eq!(gpus(&json!({"containers": [gpu(json!(4))], "initContainers": [gpu(json!(8))]})), Some(8));
        let mut sidecar = gpu(json!(1));
        sidecar["restartPolicy"] = json!("Always");
        assert_eq!(
            gpus(&json!({"containers": [gpu(json!(4))], "initContainers": [sidecar, gpu(json!(2))]})),
            Some(5)
        );
        assert_eq!(gpus(&json!({"containers": [gpu(json!(null))]})), None);
        assert_eq!(
            gpus(&json!({"containers": [{"resources": {"requests": {"nvidia.com/gpu": 2}}}]})),
            Some(2)
        );
        assert_eq!(gpus(&json!({"containers": "none"})), None);
    }
}
