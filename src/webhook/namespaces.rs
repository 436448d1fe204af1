//! Warnings about changed mode labels. A person who sets a namespace to enforce learns which of its workloads would
//! be refused, as in Pod Security Admission. With `kubectl label --dry-run=server` they learn it beforehand.
//!
//! Nothing is refused or judged here: the cache knows each workload's latest verdict. The warnings contain only
//! names, and at most [`NAMED`] of them.

use serde_json::Value;

use super::review::{Operation, Request};
use crate::admission::message;
use crate::cluster::Workloads;
use crate::judgement::Verdict;
use crate::policy::Mode;
use crate::policy::mode::{self, MODE_LABEL, Namespace};

/// The webhook entry's name before the domain.
pub(super) const SLUG: &str = "namespace-mode";

/// The kind of namespaces.
pub(super) const KIND: &str = "Namespace";

/// The most workloads that are named.
const NAMED: usize = 8;

/// Whether the request is an update of a namespace itself.
pub(super) fn is_one(request: &Request) -> bool {
    request.kind.group.is_empty()
        && request.kind.kind == KIND
        && request.sub_resource.is_empty()
        && request.operation == Operation::Update
}

/// The warnings about a changed namespace.
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
        let line = format!("{count} of the workloads in this namespace would be refused if created now:");
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
    fn a_change_to_enforce_lists_the_workloads_that_would_be_refused() {
        let workloads = Workloads::default();
        for (uid, verdict) in [("a", Verdict::OutOfMemory), ("b", Verdict::Fits)] {
            workloads.insert(Digest { verdict, name: uid.into(), ..Digest::example(uid) });
        }
        let warned = |before, after, default| warnings(&relabelled(before, after), default, &workloads);
        let expected =
            ["1 of the workloads in this namespace would be refused if created now:", "pytorchjob/a"];
        assert!(is_one(&relabelled(None, None)));
        assert_eq!(warned(Some("warn"), Some("enforce"), Mode::Enforce), expected);
        assert_eq!(warned(Some("off"), None, Mode::Enforce), expected);
        assert!(warned(Some("enforce"), Some("warn"), Mode::Enforce).is_empty());
        assert!(warned(None, Some("enforce"), Mode::Enforce).is_empty(), "it did before");
        assert_eq!(warned(Some("warn"), Some("block"), Mode::Warn).len(), 1, "a label that says nothing");
    }

    #[test]
    fn at_most_eight_workloads_are_named() {
        let workloads = Workloads::default();
        for number in 10..40 {
            let name = format!("job-{number}");
            workloads.insert(Digest {
                verdict: Verdict::OutOfMemory,
                name: name.clone(),
                ..Digest::example(&name)
            });
        }
        let warned = warnings(&relabelled(Some("warn"), Some("enforce")), Mode::Enforce, &workloads);
        assert_eq!((warned.len(), warned.last().map(String::as_str)), (NAMED + 2, Some("and 22 more")));
    }
}
