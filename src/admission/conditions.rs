//! The entries' matchConditions, in CEL: what never needs to reach the webhook.
//!
//! Only where the absence of accelerators can be proved from the object: no container asks for an extended resource by
//! limits or requests, nothing claims a device, and no annotation asks for a fraction of a GPU or is one of ours. Every
//! accelerator is an extended resource, whoever makes it, and an extended resource has a domain in its name; those few
//! that are common and known to be something else are left out. So a new accelerator needs no change here.
//!
//! An error in a condition would be a silent bypass under `failurePolicy: Ignore`, and a wrong refusal under `Fail`. So
//! every expression is total:
//!
//! - A field that may be absent is read as an optional with a default.
//! - A list or map is looked through only if it is one, and a field is read of no list. A definition without a schema lets
//!   anything stand in a field's place, and then the webhook is asked: `true || error` is true in CEL, in either order.
//! - A list or map is looked through only up to a [length](GROUPS). The apiserver stops an expression that costs too
//!   much, and that stop is an error too. What is longer comes to the webhook.
//!
//! A review of a [`Scale`](crate::webhook::scale) shows no templates, so it always comes to the webhook.

use crate::kinds::{Kind, Place, PodSpecs};

/// Prefixes of resources that have a domain in their name and hold no memory to train in.
const NO_ACCELERATORS: &[&str] =
    &["kubernetes.io/", "vpc.amazonaws.com/", "rdma/", "devices.kubevirt.io/", "smarter-devices/"];

/// Annotations that ask for a part of a GPU without any resource: KAI's and Run:ai's.
const FRACTIONS: &[&str] = &["gpu-fraction", "gpu-memory"];

/// Templates that are looked through, at most. A test on the apiserver holds that the longest lists together stay within
/// what an expression may cost.
const GROUPS: usize = 32;
/// Containers of a pod that are looked through, at most; as many again of its init containers.
const CONTAINERS: usize = 16;
/// Resources of a container that are looked through, at most; limits and requests each.
const RESOURCES: usize = 16;
/// Annotations of an object or of a template that are looked through, at most.
const ANNOTATIONS: usize = 64;

/// A condition, by name.
pub struct Condition {
    /// Its name, unique within the webhook.
    pub name: &'static str,
    /// In CEL.
    pub expression: String,
}

/// What must hold before the webhook is asked about an object of this kind.
pub fn of(kind: &Kind) -> Vec<Condition> {
    let mut conditions = vec![Condition {
        name: "is-not-being-deleted",
        expression: "request.operation != 'UPDATE' || !oldObject.?metadata.?deletionTimestamp.hasValue()"
            .into(),
    }];
    if let Some(expression) = asks_for_accelerators(kind.pod_specs) {
        conditions.push(Condition { name: "asks-for-accelerators", expression });
    }
    conditions
}

fn asks_for_accelerators(pod_specs: PodSpecs) -> Option<String> {
    let places = match pod_specs {
        PodSpecs::Elsewhere => return None,
        PodSpecs::At(places) => places,
    };
    let place = |place: &Place| match place {
        Place::Template(path) => or([lists_on(path), asks(path)]),
        Place::Map(path) => {
            let role = format!("{path}[?role]");
            let template = format!("{role}.?template");
            let asks = or([is_list(&role), is_list(&template), asks(&template)]);
            or([lists_before(path), any(&format!("{path}.orValue({{}})"), "map", GROUPS, "role", &asks)])
        }
        Place::List(path, template) => {
            let template = format!("item.{template}");
            let asks = or(["type(item) == list".into(), lists_on(&template), asks(&template)]);
            or([lists_before(path), any(&format!("{path}.orValue([])"), "list", GROUPS, "item", &asks)])
        }
    };
    let templates = places.iter().map(place).collect::<Vec<_>>().join(" || ");
    let annotated = annotated("object");
    let asks = if templates.contains(&annotated) { templates } else { format!("{annotated} || {templates}") };
    Some(format!("request.?subResource.orValue('') == 'scale' || {asks}"))
}

/// Whether a predicate holds of any item of a list or key of a map; true of what is longer, or something else.
fn any(many: &str, what: &str, longest: usize, variable: &str, predicate: &str) -> String {
    // A list of one, to name a value that is needed three times.
    format!(
        "[{many}].exists(m, type(m) != {what} || m.size() > {longest} || m.exists({variable}, {predicate}))"
    )
}

/// Alternatives, without those that are empty.
fn or<const N: usize>(alternatives: [String; N]) -> String {
    alternatives.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" || ")
}

/// Whether a list stands where an object should: to read a field of it is an error.
fn is_list(path: &str) -> String {
    format!("type({path}.orValue(0)) == list")
}

/// Whether a list stands anywhere on the way to a field, or in its place.
fn lists_on(path: &str) -> String {
    let ends = path.match_indices(".?").map(|(at, _)| at).skip(1).chain([path.len()]);
    let prefixes = ends.filter_map(|end| path.get(..end)).filter(|prefix| prefix.contains(".?"));
    prefixes.map(is_list).collect::<Vec<_>>().join(" || ")
}

/// Whether a list stands on the way to a field.
fn lists_before(path: &str) -> String {
    path.rsplit_once(".?").map(|(parent, _)| lists_on(parent)).unwrap_or_default()
}

/// Whether pods of this template ask.
fn asks(template: &str) -> String {
    let containers = |field: &str| {
        let containers = format!("{template}.?spec.?{field}.orValue([])");
        any(&containers, "list", CONTAINERS, "c", &container_asks())
    };
    or([
        is_list(&format!("{template}.?spec")),
        is_list(&format!("{template}.?metadata")),
        containers("containers"),
        containers("initContainers"),
        claims(&format!("{template}.?spec.?resourceClaims")),
        annotated(template),
    ])
}

fn container_asks() -> String {
    let resource = |field: &str| {
        any(&format!("c.?resources.?{field}.orValue({{}})"), "map", RESOURCES, "r", &is_extended())
    };
    or([
        "type(c) == list".into(),
        is_list("c.?resources"),
        resource("limits"),
        resource("requests"),
        claims("c.?resources.?claims"),
    ])
}

/// Whether there is a list of claims that is not empty, or something else in its place.
fn claims(path: &str) -> String {
    format!("{path}.orValue([]) != []")
}

fn is_extended() -> String {
    let others = NO_ACCELERATORS.iter().map(|prefix| format!("!r.startsWith('{prefix}')"));
    std::iter::once("r.contains('/')".to_owned()).chain(others).collect::<Vec<_>>().join(" && ")
}

fn annotated(object: &str) -> String {
    let fractions = FRACTIONS.iter().map(|key| format!("a == '{key}'"));
    let ours = std::iter::once("a.startsWith('weighbridge.dev/')".to_owned()).chain(fractions);
    let ours = ours.collect::<Vec<_>>().join(" || ");
    any(&format!("{object}.?metadata.?annotations.orValue({{}})"), "map", ANNOTATIONS, "a", &ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    #[test]
    fn every_field_that_may_be_absent_is_optional() {
        for condition in KINDS.iter().flat_map(of) {
            let text = &condition.expression;
            // What is read of an object is read with `.?`, and each such chain ends in a default or a test.
            for root in ["object.", "oldObject."] {
                for (at, _) in text.match_indices(root) {
                    assert!(text[at + root.len()..].starts_with('?'), "{root} in {text}");
                }
            }
            // `m` is what has its default already.
            assert_eq!(text.matches(".exists(m,").count(), text.matches("m.exists(").count(), "{text}");
            assert_eq!(text.matches("m.size() > ").count(), text.matches("m.exists(").count(), "{text}");
            assert_eq!(text.matches("type(m) != ").count(), text.matches("m.exists(").count(), "{text}");
            let chains = [
                ".exists(m,",
                ".orValue([]) != []",
                ".orValue(0)) == list",
                "request.?subResource",
                ".hasValue()",
            ];
            let chains: usize = chains.iter().map(|end| text.matches(end).count()).sum();
            let ends = text.matches(".orValue(").count() + text.matches(".hasValue()").count();
            assert_eq!(ends, chains, "{text}");
        }
    }

    #[test]
    fn kinds_whose_pods_are_elsewhere_always_call() {
        assert!(asks_for_accelerators(PodSpecs::Elsewhere).is_none());
    }

    #[test]
    fn no_field_is_read_of_what_may_be_a_list() {
        assert_eq!(lists_on("object"), "");
        assert_eq!(lists_on("object.?spec"), "type(object.?spec.orValue(0)) == list");
        assert_eq!(
            lists_on("item.?template.?spec"),
            "type(item.?template.orValue(0)) == list || type(item.?template.?spec.orValue(0)) == list"
        );
        assert_eq!(lists_before("object.?spec.?tasks"), lists_on("object.?spec"));
        assert_eq!(lists_before("object.?spec"), "");
    }

    #[test]
    fn expressions_stay_readable_in_size() {
        for kind in KINDS {
            for condition in of(kind) {
                assert!(condition.expression.len() < 6000, "{}: {}", kind.slug, condition.expression.len());
            }
        }
    }
}
