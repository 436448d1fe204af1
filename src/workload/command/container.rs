//! Which containers' commands are read, and in which order.
//!
//! The one that asks for most accelerators first; of several the one that its operator names so by convention; then all
//! others, because a command need not stand where the accelerators are (an `MPIJob`'s launcher). Init containers prepare
//! and are not read.

use serde_json::Value;

use crate::workload::accelerator::Request;
use crate::workload::kinds::PodGroup;

/// Containers that are read at most.
const MOST_CONTAINERS: usize = 64;
/// The names that operators give to the container that trains.
const CONVENTIONAL: &[&str] = &["pytorch", "node", "jax", "ray-worker", "tensorflow", "trainer"];

/// The containers of all groups of pods, each with its group, the likeliest to train first.
pub(super) fn ordered<'a>(
    groups: &'a [PodGroup<'a>],
    requests: &[Request<'_>],
) -> Vec<(&'a PodGroup<'a>, &'a Value)> {
    let mut containers: Vec<(u64, bool, &PodGroup<'_>, &Value)> = Vec::new();
    for group in groups {
        let request = requests.iter().find(|request| request.path == group.path);
        let list = group.template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
        for container in list.take(MOST_CONTAINERS) {
            let count = request.map_or(0, |request| asked(container, &request.resource));
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            containers.push((count, CONVENTIONAL.contains(&name), group, container));
        }
        if containers.len() >= MOST_CONTAINERS {
            break;
        }
    }
    containers.sort_by_key(|(count, conventional, ..)| (u64::MAX - count, !conventional));
    containers.into_iter().map(|(_, _, group, container)| (group, container)).collect()
}

/// How many of a resource a container asks for.
fn asked(container: &Value, resource: &str) -> u64 {
    let quantity = |list: &str| {
        let quantity = container.pointer(list)?.get(resource)?;
        quantity.as_u64().or_else(|| quantity.as_str()?.parse().ok())
    };
    quantity("/resources/limits").or_else(|| quantity("/resources/requests")).unwrap_or(0)
}
