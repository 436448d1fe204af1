//! Labels of namespaces: whoever lets one enforce is told of the workloads in it that would be refused, as Pod Security
//! Admission does. With `kubectl label --dry-run=server` they are told beforehand.
//!
//! Nothing is refused, and nothing is judged: the caches know how each workload was judged last. Only names are said,
//! and of a namespace with many only some.

use serde_json::Value;

use super::review::{Operation, Request};
use crate::admission::message;
use crate::cluster::Workloads;
use crate::judgement::Verdict;
use crate::policy::Mode;
use crate::policy::mode::{self, MODE_LABEL, Namespace};

/// The webhook entry's name before the domain.
pub(super) const SLUG: &str = "namespace-mode";

/// The kind.
pub(super) const KIND: &str = "Namespace";

/// Workloads that are named.
const NAMED: usize = 8;

/// Whether the request is about a namespace, and not a part of it.
pub(super) fn is_one(request: &Request) -> bool {
    request.kind.group.is_empty()
        && request.kind.kind == KIND
        && request.sub_resource.is_empty()
        && request.operation == Operation::Update
}

/// What is to be said about a changed namespace.
pub(super) fn warnings(request: &Request, default: Mode, workloads: &Workloads) -> Vec<String> {
    let mode = |namespace: &Value| {
        let labels = namespace.pointer("/metadata/labels").and_then(Value::as_object);
        let label = labels.and_then(|labels| labels.get(MODE_LABEL)).and_then(Value::as_str);
        mode::of(&Namespace::Known(label.map(str::to_owned)), default)
    };
    let (before, after) = (mode(&request.old_object), mode(&request.object));
    let mut warnings: Vec<String> = after.problem.iter().map(|problem| message::warning(problem)).collect();
    if after.mode != Mode::Enforce || before.mode == Mode::Enforce {
        return warnings;
    }
    let mut refused: Vec<String> = workloads
        .all()
        .iter()
        .filter(|workload| workload.namespace == request.name && !workload.child && !workload.deleting)
        .filter(|workload| workload.verdict == Verdict::OutOfMemory)
        .map(|workload| format!("{}/{}", workload.kind.slug, workload.name))
        .collect();
    refused.sort();
    let more = refused.len().saturating_sub(NAMED);
    refused.truncate(NAMED);
    if !refused.is_empty() {
        let count = refused.len() + more;
        let line = format!("of the workloads in this namespace, {count} would be refused if created now:");
        warnings.push(message::warning(&line));
        warnings.extend(refused.iter().map(|name| message::warning(name)));
    }
    if more > 0 {
        warnings.push(format!("and {more} more"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::Digest;

    fn relabelled(before: Option<&str>, after: Option<&str>) -> Request {
        let namespace =
            |mode: Option<&str>| json!({"metadata": {"name": "team", "labels": {MODE_LABEL: mode}}});
        let request = json!({
            "kind": {"group": "", "version": "v1", "kind": "Namespace"}, "operation": "UPDATE", "name": "team",
            "object": namespace(after), "oldObject": namespace(before),
        });
        serde_json::from_value(request).unwrap()
    }

    #[test]
    fn who_lets_a_namespace_enforce_is_told_what_would_be_refused() {
        let workloads = Workloads::default();
        for (uid, verdict) in [("a", Verdict::OutOfMemory), ("b", Verdict::Fits)] {
            workloads.insert(Digest { verdict, name: uid.into(), ..Digest::example(uid) });
        }
        let said = |before, after, default| warnings(&relabelled(before, after), default, &workloads);
        let told = ["of the workloads in this namespace, 1 would be refused if created now:", "pytorchjob/a"];
        assert!(is_one(&relabelled(None, None)));
        assert_eq!(said(Some("warn"), Some("enforce"), Mode::Enforce), told);
        assert_eq!(said(Some("off"), None, Mode::Enforce), told);
        assert!(said(Some("enforce"), Some("warn"), Mode::Enforce).is_empty());
        assert!(said(None, Some("enforce"), Mode::Enforce).is_empty(), "it did before");
        assert_eq!(said(Some("warn"), Some("Enforce"), Mode::Warn).len(), 1, "a label that says nothing");
    }

    #[test]
    fn of_many_only_some_are_named() {
        let workloads = Workloads::default();
        for number in 10..40 {
            let name = format!("job-{number}");
            workloads.insert(Digest {
                verdict: Verdict::OutOfMemory,
                name: name.clone(),
                ..Digest::example(&name)
            });
        }
        let said = warnings(&relabelled(Some("warn"), Some("enforce")), Mode::Enforce, &workloads);
        assert_eq!((said.len(), said.last().map(String::as_str)), (NAMED + 2, Some("and 22 more")));
    }
}
