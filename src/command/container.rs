//! Which containers' commands are read, and in which order.
//!
//! First the container that asks for most accelerators; among equals, the one with the name that its operator gives
//! to the training container. Then all others: a command need not stand where the accelerators are (an `MPIJob`'s
//! launcher). Init containers, and sidecars among them, are read only if they ask for accelerators; others only
//! prepare. They run before the containers or beside them, and are last only in this order.

use serde_json::Value;

use crate::kinds::PodGroup;
use crate::kinds::requests::{Request, asked};

/// The most containers that are read.
const MOST_CONTAINERS: usize = 64;
/// The names that operators give to the container that trains.
const CONVENTIONAL: &[&str] = &["pytorch", "node", "jax", "ray-worker", "tensorflow", "trainer"];

/// A container whose command is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Container<'a> {
    /// The pods that hold it.
    pub(crate) group: &'a PodGroup<'a>,
    /// The container.
    pub(crate) spec: &'a Value,
    /// How many accelerators the container itself asks for.
    pub(crate) accelerators: u64,
    /// Whether it is one of the init containers.
    pub(crate) init: bool,
}

/// The containers of all groups of pods, the likeliest to train first, and whether some are left out.
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
