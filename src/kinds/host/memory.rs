//! Limits and requests of memory and of local disk, as the kubelet reads them.
//!
//! Without a request the limit is the request. A pod in which no container has a request or a limit of memory or processors is
//! the first that the kubelet evicts when a node runs short.
//! Source: Kubernetes, "Configure Quality of Service for Pods", and pod-level resources.

use serde_json::Value;

use super::MOST;
use crate::units::Bytes;

/// An amount, and the field that gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The amount.
    pub bytes: Bytes,
    /// The field: `spec.containers[0].resources.limits.memory`.
    pub source: String,
}

/// How soon the kubelet evicts a pod from a node that runs short of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is among the first: nothing is requested.
    BestEffort,
    /// Something is requested.
    Requested,
}

/// The limit of a container's resource: its own, or the pod's if that is smaller.
pub(super) fn limit(template: &Value, container: &Value, place: &str, resource: &str) -> Option<Amount> {
    let own = amount(container, "limits", place, resource);
    let pods = pods(template, "limits", place, resource);
    own.into_iter().chain(pods).min_by_key(|given| given.bytes)
}

/// The request of a container's resource. A limit alone is also the request.
pub(super) fn request(template: &Value, container: &Value, place: &str, resource: &str) -> Option<Amount> {
    amount(container, "requests", place, resource)
        .or_else(|| amount(container, "limits", place, resource))
        .or_else(|| pods(template, "requests", place, resource))
}

/// The pod's class.
pub(super) fn class(template: &Value) -> Class {
    let Some(spec) = template.get("spec") else { return Class::BestEffort };
    let lists = ["containers", "initContainers"];
    let containers = lists.iter().filter_map(|list| spec.get(list)?.as_array()).flatten().take(MOST);
    let requests = |owner: &Value| {
        let given = |list: &&str| owner.get("resources")?.get(list);
        let asks = |given: &Value| {
            ["cpu", "memory"].iter().any(|name| given.get(name).is_some_and(|v| !v.is_null()))
        };
        ["limits", "requests"].iter().filter_map(given).any(asks)
    };
    if requests(spec) || containers.into_iter().any(requests) { Class::Requested } else { Class::BestEffort }
}

fn pods(template: &Value, kind: &str, place: &str, resource: &str) -> Option<Amount> {
    let spec = place.rsplit_once("containers[").map_or("", |(spec, _)| spec).trim_end_matches('.');
    amount(template.get("spec")?, kind, spec, resource)
}

fn amount(owner: &Value, kind: &str, place: &str, resource: &str) -> Option<Amount> {
    let bytes = quantity(owner.get("resources")?.get(kind)?.get(resource)?)?;
    Some(Amount { bytes, source: format!("{place}.resources.{kind}.{resource}") })
}

/// An amount in bytes. Zero means no limit.
pub(super) fn quantity(value: &Value) -> Option<Bytes> {
    let bytes = match value {
        Value::Number(number) => Bytes(number.as_u64()?),
        Value::String(text) => Bytes::parse_quantity(text.trim()).ok()?,
        _ => return None,
    };
    (bytes > Bytes::ZERO).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_without_any_request_is_evicted_first() {
        for (spec, class) in [
            (json!({"containers": [{}]}), Class::BestEffort),
            (json!({"containers": [{"resources": {"limits": {"nvidia.com/gpu": 8}}}]}), Class::BestEffort),
            (json!({"containers": [{"resources": {"limits": {"memory": "1Gi"}}}]}), Class::Requested),
            (json!({"containers": [{}, {"resources": {"requests": {"cpu": "1"}}}]}), Class::Requested),
            (json!({"resources": {"requests": {"memory": "1Gi"}}, "containers": [{}]}), Class::Requested),
        ] {
            assert_eq!(super::class(&json!({ "spec": spec })), class, "{spec}");
        }
    }

    #[test]
    fn an_amount_that_is_no_amount_is_no_limit() {
        for value in [json!("lots"), json!("$MEMORY"), json!(-1), json!(null), json!("0")] {
            assert_eq!(quantity(&value), None, "{value}");
        }
        assert_eq!(quantity(&json!("64G")), Some(Bytes(64_000_000_000)));
        assert_eq!(quantity(&json!(1024)), Some(Bytes(1024)));
    }
}
