//! The entries' matchConditions, in CEL: what never needs to reach the webhook.
//!
//! Only where the absence of accelerators can be proved from the object: no container asks for an extended resource by
//! limits or requests, nothing claims a device, and no annotation asks for a fraction of a GPU or is one of ours. Every
//! accelerator is an extended resource, whoever makes it, and an extended resource has a domain in its name; those few
//! that are common and known to be something else are left out. So a new accelerator needs no change here.
//!
//! Every expression is total: a field that may be absent is read as an optional with a default. An error in one would be
//! a silent bypass under `failurePolicy: Ignore`, and a wrong refusal under `Fail`.

use crate::workload::kinds::{Kind, Place, PodSpecs};

/// Prefixes of resources that have a domain in their name and hold no memory to train in.
const NO_ACCELERATORS: &[&str] =
    &["kubernetes.io/", "vpc.amazonaws.com/", "rdma/", "devices.kubevirt.io/", "smarter-devices/"];

/// Annotations that ask for a part of a GPU without any resource: KAI's and Run:ai's.
const FRACTIONS: &[&str] = &["gpu-fraction", "gpu-memory"];

/// A condition, by name.
pub(super) struct Condition {
    pub(super) name: &'static str,
    pub(super) expression: String,
}

/// What must hold before the webhook is asked about an object of this kind.
pub(super) fn of(kind: &Kind) -> Vec<Condition> {
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
        Place::Template(path) => asks(path),
        Place::Map(path) => {
            format!("{path}.orValue({{}}).exists(role, {})", asks(&format!("{path}[?role].?template")))
        }
        Place::List(path, template) => {
            format!("{path}.orValue([]).exists(item, {})", asks(&format!("item.{template}")))
        }
    };
    let templates = places.iter().map(place).collect::<Vec<_>>().join(" || ");
    let annotated = annotated("object");
    Some(if templates.contains(&annotated) { templates } else { format!("{annotated} || {templates}") })
}

/// Whether pods of this template ask.
fn asks(template: &str) -> String {
    let containers = ["containers", "initContainers"]
        .map(|field| format!("{template}.?spec.?{field}.orValue([]).exists(c, {})", container_asks()))
        .join(" || ");
    let claims = format!("{template}.?spec.?resourceClaims.orValue([]).size() > 0");
    format!("{containers} || {claims} || {}", annotated(template))
}

fn container_asks() -> String {
    let resource = |field: &str| format!("c.?resources.?{field}.orValue({{}}).exists(r, {})", is_extended());
    format!(
        "{} || {} || c.?resources.?claims.orValue([]).size() > 0",
        resource("limits"),
        resource("requests")
    )
}

fn is_extended() -> String {
    let others = NO_ACCELERATORS.iter().map(|prefix| format!("!r.startsWith('{prefix}')"));
    std::iter::once("r.contains('/')".to_owned()).chain(others).collect::<Vec<_>>().join(" && ")
}

fn annotated(object: &str) -> String {
    let fractions = FRACTIONS.iter().map(|key| format!("a == '{key}'"));
    let any = std::iter::once("a.startsWith('weighbridge.dev/')".to_owned()).chain(fractions);
    let any = any.collect::<Vec<_>>().join(" || ");
    format!("{object}.?metadata.?annotations.orValue({{}}).exists(a, {any})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::kinds::KINDS;

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
            let chains = text.matches(".exists(").count() + text.matches(".size()").count();
            assert_eq!(text.matches(".orValue(").count(), chains, "{text}");
        }
    }

    #[test]
    fn kinds_whose_pods_are_elsewhere_always_call() {
        assert!(asks_for_accelerators(PodSpecs::Elsewhere).is_none());
    }

    #[test]
    fn expressions_stay_readable_in_size() {
        for kind in KINDS {
            for condition in of(kind) {
                assert!(condition.expression.len() < 5000, "{}: {}", kind.slug, condition.expression.len());
            }
        }
    }
}
