//! The matchConditions of the webhook's entries, in CEL. Objects that cannot use accelerators never reach the
//! webhook.
//!
//! A condition skips an object only if the object proves that it uses no accelerator: no container requests an
//! extended resource in limits or requests, no device is claimed, and no annotation requests a fraction of a GPU or
//! is one of ours. Every accelerator is an extended resource, and the name of an extended resource has a domain. A
//! few common resources that are no accelerators are excluded by prefix. So a new accelerator needs no change here.
//!
//! An error in a condition silently admits the object under `failurePolicy: Ignore`, and wrongly refuses it under
//! `Fail`. So no expression can fail:
//!
//! - A field that may be absent is read as an optional with a default.
//! - A list or map is searched only if it has that type, and no field of a list is read. Without a schema, any value
//!   may stand in place of a field. Then the webhook is called: `true || error` is true in CEL, in either order.
//! - A list or map is searched only up to a [length](GROUPS). The apiserver stops an expression that costs too much,
//!   and that is an error too. A longer list or map reaches the webhook.
//!
//! A review of a [`Scale`](crate::webhook::scale) contains no templates, so it always reaches the webhook.

use crate::kinds::{Kind, Place, PodSpecs};

/// Prefixes of resources that are no accelerators.
const NO_ACCELERATORS: &[&str] =
    &["kubernetes.io/", "vpc.amazonaws.com/", "rdma/", "devices.kubevirt.io/", "smarter-devices/"];

/// Annotations that request a part of a GPU without a resource: KAI's and Run:ai's.
const FRACTIONS: &[&str] = &["gpu-fraction", "gpu-memory"];

/// The most templates that are searched. A test with a real apiserver checks that lists of the longest lengths stay
/// within the cost limit. Kubernetes 1.30 counts more than later versions: there 16 containers were too many.
const GROUPS: usize = 32;
/// The most containers of a pod that are searched, and the most init containers.
const CONTAINERS: usize = 8;
/// The most resources of a container that are searched, in limits and in requests.
const RESOURCES: usize = 16;
/// The most annotations of an object or template that are searched.
const ANNOTATIONS: usize = 64;

/// A condition of an entry.
pub struct Condition {
    /// Its name, unique within the webhook.
    pub name: &'static str,
    /// The expression, in CEL.
    pub expression: String,
}

/// The conditions for calling the webhook about an object of this kind.
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

/// Whether a predicate is true for any item of a list or key of a map. True if it is too long or of another type.
fn any(many: &str, type_name: &str, longest: usize, variable: &str, predicate: &str) -> String {
    // The list with one item names a value that is used three times.
    format!(
        "[{many}].exists(m, type(m) != {type_name} || m.size() > {longest} || m.exists({variable}, {predicate}))"
    )
}

/// Joins the alternatives that are not empty.
fn or<const N: usize>(alternatives: [String; N]) -> String {
    alternatives.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" || ")
}

/// Whether a list stands in place of an object: reading a field of it would be an error.
fn is_list(path: &str) -> String {
    format!("type({path}.orValue(0)) == list")
}

/// Whether a list stands in place of a field or of any of its parents.
fn lists_on(path: &str) -> String {
    let ends = path.match_indices(".?").map(|(at, _)| at).skip(1).chain([path.len()]);
    let prefixes = ends.filter_map(|end| path.get(..end)).filter(|prefix| prefix.contains(".?"));
    prefixes.map(is_list).collect::<Vec<_>>().join(" || ")
}

/// Whether a list stands in place of a parent of a field.
fn lists_before(path: &str) -> String {
    path.rsplit_once(".?").map(|(parent, _)| lists_on(parent)).unwrap_or_default()
}

/// Whether the pods of a template ask for accelerators.
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

/// Whether there are claims, or a value that is not a list.
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
            // A field of an object is read with `.?`, and each such chain ends with a default or a test.
            for root in ["object.", "oldObject."] {
                for (at, _) in text.match_indices(root) {
                    assert!(text[at + root.len()..].starts_with('?'), "{root} in {text}");
                }
            }
            // `m` is a value that has its default already.
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
    fn kinds_whose_pods_are_elsewhere_always_reach_the_webhook() {
        assert!(asks_for_accelerators(PodSpecs::Elsewhere).is_none());
    }

    #[test]
    fn no_field_is_read_of_a_value_that_may_be_a_list() {
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
    fn expressions_stay_short() {
        for kind in KINDS {
            for condition in of(kind) {
                assert!(condition.expression.len() < 6000, "{}: {}", kind.slug, condition.expression.len());
            }
        }
    }
}
