//! Which containers' commands are read, and in which order.
//!
//! The one that asks for most accelerators first; of several the one that its operator names so by convention; then all
//! others, because a command need not stand where the accelerators are (an `MPIJob`'s launcher). Of init containers, and
//! of sidecars among them, those are read that ask for accelerators: others prepare. They run before the containers or
//! beside them, so they stand behind them only in this order.

use serde_json::Value;

use crate::kinds::PodGroup;
use crate::kinds::requests::{Request, asked};

/// Containers that are read at most.
const MOST_CONTAINERS: usize = 64;
/// The names that operators give to the container that trains.
const CONVENTIONAL: &[&str] = &["pytorch", "node", "jax", "ray-worker", "tensorflow", "trainer"];

/// A container whose command is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Container<'a> {
    /// The pods that it is in.
    pub(crate) group: &'a PodGroup<'a>,
    /// The container.
    pub(crate) spec: &'a Value,
    /// How many accelerators it asks for itself.
    pub(crate) accelerators: u64,
    /// Whether it is one of the init containers.
    pub(crate) init: bool,
}

/// The containers of all groups of pods, the likeliest to train first, and whether there are more than are read.
pub(crate) fn ordered<'a>(
    groups: &'a [PodGroup<'a>],
    requests: &[Request<'_>],
) -> (Vec<Container<'a>>, bool) {
    let mut containers: Vec<Container<'a>> = Vec::new();
    for group in groups {
        let request = requests.iter().find(|request| request.path == group.path);
        let list = |pointer| group.template.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let of = |spec, init| {
            let accelerators = request.map_or(0, |request| asked(spec, &request.resource));
            Container { group, spec, accelerators, init }
        };
        containers.extend(list("/spec/containers").map(|spec| of(spec, false)));
        let init = list("/spec/initContainers").map(|spec| of(spec, true));
        containers.extend(init.filter(|container| container.accelerators > 0));
    }
    let conventional = |spec: &Value| {
        spec.get("name").and_then(Value::as_str).is_some_and(|name| CONVENTIONAL.contains(&name))
    };
    containers.sort_by_cached_key(|c| (c.init, u64::MAX - c.accelerators, !conventional(c.spec)));
    let more = containers.len() > MOST_CONTAINERS;
    containers.truncate(MOST_CONTAINERS);
    (containers, more)
}
