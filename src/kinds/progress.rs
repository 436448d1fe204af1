//! The progress of a workload, by its own status: when it began to run, when it ended, and its outcome.
//!
//! | what | field, the first that is set |
//! | --- | --- |
//! | start | `status.startTime`; none while the workload is held back (a Job's is cleared then, a Kubeflow kind's isn't) |
//! | end | `status.completionTime`, `status.endTime` (`RayJob`); when the condition that tells the outcome became true; when the last container of a pod ended |
//! | outcome | a condition that is true: `Complete`, `Completed`, `Succeeded` or `Failed`; `status.jobStatus`, `status.phase`, `status.state.phase` |
//!
//! The same pointers are read for every kind: these fields are equal in batch/v1, Kubeflow's kinds, `MPIJob`,
//! `JobSet`, `TrainJob`, Volcano's Job, `RayJob` and Pod, or absent.

use serde_json::Value;

use crate::kinds::Kind;

/// The progress of a workload. Times are in the API's format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When it began to run.
    pub started: Option<String>,
    /// How and when it ended.
    pub ended: Option<End>,
}

/// The end of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// The time. None if it is not recorded.
    pub at: Option<String>,
}

/// The progress of a workload.
pub fn progress(kind: &Kind, workload: &Value) -> Progress {
    let text = |pointer: &str| workload.pointer(pointer).and_then(Value::as_str);
    let outcome = outcome(workload);
    let ended = outcome.map(|(succeeded, since)| End {
        succeeded,
        at: text("/status/completionTime")
            .or_else(|| text("/status/endTime"))
            .or(since)
            .or_else(|| last_container(workload))
            .map(str::to_owned),
    });
    let held = kind.suspend.and_then(|pointer| workload.pointer(pointer)).and_then(Value::as_bool);
    let started = text("/status/startTime").filter(|_| held != Some(true) || ended.is_some());
    Progress { started: started.map(str::to_owned), ended }
}

/// Whether it succeeded, and when that condition became true. `None` before its end.
fn outcome(workload: &Value) -> Option<(bool, Option<&str>)> {
    let conditions = workload.pointer("/status/conditions").and_then(Value::as_array);
    let text =
        |condition: &'_ Value, field: &str| condition.get(field).and_then(Value::as_str).map(str::to_owned);
    let of_condition = conditions.into_iter().flatten().find_map(|condition| {
        let succeeded = result(&text(condition, "type")?)?;
        let holds = text(condition, "status")? == "True";
        holds.then(|| (succeeded, condition.get("lastTransitionTime").and_then(Value::as_str)))
    });
    of_condition.or_else(|| {
        // A pod's conditions do not show its end. Its phase does.
        ["/status/jobStatus", "/status/phase", "/status/state/phase"].into_iter().find_map(|pointer| {
            let word = workload.pointer(pointer).and_then(Value::as_str)?;
            Some((result(word)?, None))
        })
    })
}

/// The outcome that a condition's type or a phase means. Most mean none.
fn result(word: &str) -> Option<bool> {
    match word {
        "Complete" | "Completed" | "Succeeded" | "SUCCEEDED" => Some(true),
        "Failed" | "FAILED" | "Aborted" | "Terminated" | "STOPPED" => Some(false),
        _ => None,
    }
}

/// When the last container of a pod ended. UTC times sort as texts.
fn last_container(pod: &Value) -> Option<&str> {
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array)?;
    let ends =
        containers.iter().filter_map(|c| c.pointer("/state/terminated/finishedAt").and_then(Value::as_str));
    ends.max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn of(group: &str, kind: &str, object: &Value) -> Progress {
        progress(Kinds::built_in().find(group, kind).unwrap(), object)
    }

    fn end(succeeded: bool, at: &str) -> End {
        End { succeeded, at: Some(at.to_owned()) }
    }

    const START: &str = "2026-01-01T00:00:00Z";
    const END: &str = "2026-01-03T00:00:00Z";

    #[test]
    fn a_workload_that_is_held_back_has_not_begun() {
        let mut job = json!({"spec": {"runPolicy": {}}});
        assert_eq!(of("kubeflow.org", "PyTorchJob", &job), Progress::default());
        job["status"] = json!({"startTime": START});
        assert_eq!(of("kubeflow.org", "PyTorchJob", &job).started.as_deref(), Some(START));
        job["spec"]["runPolicy"]["suspend"] = json!(true);
        assert_eq!(of("kubeflow.org", "PyTorchJob", &job), Progress::default());
    }

    #[test]
    fn the_end_is_read_from_conditions_times_and_phases() {
        let condition = |kind: &str| {
            json!([
                {"type": "Created", "status": "True", "lastTransitionTime": START},
                {"type": kind, "status": "True", "lastTransitionTime": END},
            ])
        };
        for (status, ended) in [
            (json!({"startTime": START}), None),
            (json!({"conditions": condition("Running")}), None),
            (json!({"conditions": condition("Complete"), "completionTime": END}), Some(end(true, END))),
            (json!({"conditions": condition("Succeeded")}), Some(end(true, END))),
            (json!({"conditions": condition("Failed")}), Some(end(false, END))),
            (json!({"conditions": [{"type": "Failed", "status": "False"}]}), None),
            (json!({"jobStatus": "SUCCEEDED", "endTime": END}), Some(end(true, END))),
            (json!({"state": {"phase": "Completed"}}), Some(End { succeeded: true, at: None })),
            (json!({"conditions": "none", "phase": 1}), None),
        ] {
            assert_eq!(of("batch", "Job", &json!({"status": status})).ended, ended, "{status}");
        }
    }

    #[test]
    fn a_pod_ends_with_its_last_container() {
        let container = |at: &str| json!({"state": {"terminated": {"finishedAt": at}}});
        let status = json!({
            "phase": "Succeeded",
            "startTime": START,
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [container(END), container(START)],
        });
        let progress = of("", "Pod", &json!({"status": status}));
        assert_eq!((progress.started.as_deref(), progress.ended), (Some(START), Some(end(true, END))));
    }
}
