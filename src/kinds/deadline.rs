//! How long the workload may run: the earliest limit of the workload, its queue and its pods.
//!
//! | the workload is ended by | the limit is in |
//! | --- | --- |
//! | the kind's controller | the kind's `activeDeadlineSeconds` |
//! | the kubelet | `activeDeadlineSeconds` of a pod template |
//! | Kueue | label `kueue.x-k8s.io/max-exec-time-seconds` |
//! | the provisioner, by way of Kueue | annotation `provreq.kueue.x-k8s.io/maxRunDurationSeconds` |
//! | no controller; Volcano plans with it | `spec.runningEstimate`, a Go duration |
//!
//! The user's own deadline, `target.days`, is a field of the training job and joins these limits in the judgement.

use serde_json::Value;

use crate::kinds::{Kind, PodGroup, dotted};
use crate::units::GoDuration;

const EXECUTION_TIME: &str = "kueue.x-k8s.io/max-exec-time-seconds";
const RUN_DURATION: &str = "provreq.kueue.x-k8s.io/maxRunDurationSeconds";
const ESTIMATE: &str = "runningEstimate";
const VOLCANO: &str = "batch.volcano.sh";

/// A limit on how long a workload may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// From its start to its end.
    pub seconds: u64,
    /// The field that sets it: `spec.activeDeadlineSeconds`.
    pub source: String,
}

/// The earliest limit.
pub(crate) fn read(object: &Value, kind: &Kind, groups: &[PodGroup<'_>]) -> Option<Limit> {
    let own = kind.active_deadline_seconds.map(|pointer| {
        let source = dotted(pointer);
        (object.pointer(pointer).and_then(Value::as_u64), source)
    });
    let queue = (written(object, "labels", EXECUTION_TIME), format!("label {EXECUTION_TIME}"));
    let provisioner = (written(object, "annotations", RUN_DURATION), format!("annotation {RUN_DURATION}"));
    let estimate = (kind.group == VOLCANO)
        .then(|| object.pointer("/spec").and_then(|spec| spec.get(ESTIMATE)).and_then(Value::as_str))
        .flatten()
        .map(|text| (go_duration(text), format!("spec.{ESTIMATE}")));
    // A pod is its own template.
    let templates = groups.iter().filter(|group| !group.path.is_empty()).flat_map(|group| {
        let (template, path) = (group.template, &group.path);
        let pods = template.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_u64);
        [
            (pods, format!("{path}.spec.activeDeadlineSeconds")),
            (written(template, "annotations", RUN_DURATION), format!("annotation {RUN_DURATION}")),
        ]
    });
    let all = own.into_iter().chain([queue, provisioner]).chain(estimate).chain(templates);
    let limits =
        all.filter_map(|(seconds, source)| Some(Limit { seconds: seconds.filter(|s| *s > 0)?, source }));
    limits.min_by_key(|limit| limit.seconds)
}

/// The seconds in a label or an annotation, a text of digits.
fn written(object: &Value, group: &str, key: &str) -> Option<u64> {
    object.pointer("/metadata")?.get(group)?.get(key)?.as_str()?.trim().parse().ok()
}

/// The whole seconds of a Go duration. None for a negative one.
fn go_duration(text: &str) -> Option<u64> {
    Some(GoDuration::parse(text).ok()?.forward()?.as_secs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn of(object: &Value) -> Option<(u64, String)> {
        let kind = Kinds::built_in().of(object).unwrap();
        read(object, kind, &kind.pod_groups(object)).map(|limit| (limit.seconds, limit.source))
    }

    #[test]
    fn the_earliest_limit_binds() {
        let mut job = json!({
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {},
            "spec": {
                "runPolicy": {},
                "pytorchReplicaSpecs": {"Worker": {"replicas": 2, "template": {"spec": {"containers": []}}}},
            },
        });
        assert_eq!(of(&job), None);
        job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["activeDeadlineSeconds"] =
            json!(9000);
        let pods = "spec.pytorchReplicaSpecs.Worker.template.spec.activeDeadlineSeconds";
        assert_eq!(of(&job), Some((9000, pods.into())));
        job["metadata"]["labels"] = json!({EXECUTION_TIME: "8000"});
        assert_eq!(of(&job), Some((8000, format!("label {EXECUTION_TIME}"))));
        job["metadata"]["annotations"] = json!({RUN_DURATION: "7000"});
        assert_eq!(of(&job), Some((7000, format!("annotation {RUN_DURATION}"))));
        job["spec"]["runPolicy"]["activeDeadlineSeconds"] = json!(6000);
        assert_eq!(of(&job), Some((6000, "spec.runPolicy.activeDeadlineSeconds".into())));
    }

    #[test]
    fn a_field_without_a_whole_number_of_seconds_is_no_limit() {
        let pod = |seconds: Value| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"labels": {EXECUTION_TIME: "soon"}},
                "spec": {"activeDeadlineSeconds": seconds},
            })
        };
        for seconds in [json!(null), json!(0), json!(-5), json!("600")] {
            assert_eq!(of(&pod(seconds)), None);
        }
        assert_eq!(of(&pod(json!(600))), Some((600, "spec.activeDeadlineSeconds".into())));
    }

    #[test]
    fn an_estimate_counts_in_whole_positive_seconds() {
        let of_estimate = |text: &str| {
            let job = json!({
                "apiVersion": "batch.volcano.sh/v1alpha1",
                "kind": "Job",
                "spec": {ESTIMATE: text, "tasks": []},
            });
            of(&job).map(|(seconds, _)| seconds)
        };
        for (text, seconds) in [
            ("36h", Some(129_600)),
            ("1h30m", Some(5400)),
            ("90m0.5s", Some(5400)),
            ("1500ms", Some(1)),
            (".5h", Some(1800)),
            ("1µs", None),
            ("-1h", None),
            ("0", None),
            ("12", None),
            ("1d", None),
            ("", None),
        ] {
            assert_eq!(of_estimate(text), seconds, "{text}");
        }
    }
}
