//! The progress of a workload, by its own status: whether its pods run, since when, and how it ended.
//!
//! A workload runs while its pods run. A start time in a status is mostly the time of creation, and a Job whose pods
//! are all pending has one too. So the first of these signs decides that the status has:
//!
//! | sign | runs | since |
//! | --- | --- | --- |
//! | condition `Running` (Kubeflow), `PodsReady` (AppWrapper), `Available` (LeaderWorkerSet) | it is true | its transition |
//! | `status.jobStatus` (RayJob), `status.state.phase` (Volcano), `status.phase` (Pod, ElasticJob), `status.status` (Kaiwo), `status.state` (RayCluster) | `Running`; `ready` of a cluster | beside it, or the start of the pod's containers |
//! | `status.ready` (Job), `status.readyReplicas` | it is positive | not recorded |
//! | `status.replicatedJobsStatus` (JobSet), `status.jobsStatus` (TrainJob) | a Job of it is ready, initializers aside | not recorded |
//!
//! A kind of the policy's file may have none of these. Then its `status.startTime` counts.
//!
//! | what | field, the first that is set |
//! | --- | --- |
//! | end | `status.completionTime`, `status.endTime` (`RayJob`); when the condition that tells the outcome became true; `status.state.lastTransitionTime` (Volcano); when the last container of a pod ended |
//! | outcome | a condition that is true: `Complete`, `Completed`, `Succeeded` or `Failed`; `status.jobStatus`, `status.phase`, `status.state.phase` |
//! | report | `status.trainerStatus` (TrainJob): percentage and remaining seconds, as the training itself reports them |
//!
//! The fields are those of batch/v1, kubeflow.org/v1 and v2beta1, jobset.x-k8s.io/v1alpha2, trainer.kubeflow.org/v1alpha1,
//! batch.volcano.sh/v1alpha1, ray.io/v1, workload.codeflare.dev/v1beta2 and leaderworkerset.x-k8s.io/v1.

use serde_json::Value;

use crate::kinds::{KINDS, Kind};

/// The progress of a workload. Times are in the API's format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The earliest time at which it may have begun to run: `status.startTime`.
    pub created: Option<String>,
    /// Whether its pods run now.
    pub running: Option<Running>,
    /// Since when its pods do not run, if its status records this: it is suspended, or starts again.
    pub stopped: Option<String>,
    /// How and when it ended.
    pub ended: Option<End>,
    /// How far the training says that it is.
    pub report: Option<Report>,
}

/// A workload whose pods run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Since when. None if its status does not record this.
    pub since: Option<String>,
}

/// The end of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// The time. None if it is not recorded.
    pub at: Option<String>,
    /// The reason that its controller gives, in one word: `DeadlineExceeded`.
    pub reason: Option<String>,
}

/// What a training reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How much is done, from 0 to 100.
    pub percent: Option<u64>,
    /// The seconds until its end.
    pub remaining_seconds: Option<u64>,
    /// When it reported this.
    pub at: Option<String>,
}

/// Conditions of workloads whose pods run.
const RUNNING: &[&str] = &["Running", "PodsReady", "Available"];

/// Words for the phase, with the field that says since when, if any.
const PHASES: &[(&str, Option<&str>)] = &[
    ("/status/jobStatus", Some("/status/rayJobInfo/startTime")),
    ("/status/state/phase", Some("/status/state/lastTransitionTime")),
    ("/status/phase", None),
    ("/status/status", None),
    ("/status/state", Some("/status/stateTransitionTimes/ready")),
];

/// Jobs that only fetch the model and the data.
const INITIALIZER: &str = "-initializer";

/// The progress of a workload.
pub fn progress(kind: &Kind, workload: &Value) -> Progress {
    let created = text(workload, "/status/startTime").map(str::to_owned);
    let held =
        kind.suspend.and_then(|pointer| workload.pointer(pointer)).and_then(Value::as_bool) == Some(true);
    let ended = end(workload);
    let running = running(kind, workload).filter(|_| ended.is_none() && !held);
    let stopped = if running.is_none() { stopped(workload) } else { None };
    Progress { created, running, stopped: stopped.map(str::to_owned), ended, report: report(workload) }
}

fn text<'a>(workload: &'a Value, pointer: &str) -> Option<&'a str> {
    workload.pointer(pointer).and_then(Value::as_str)
}

fn conditions(workload: &Value) -> impl Iterator<Item = &Value> {
    workload.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn field<'a>(condition: &'a Value, name: &str) -> Option<&'a str> {
    condition.get(name).and_then(Value::as_str)
}

/// Whether a condition holds, and since when. None if the status does not have it.
fn condition<'a>(workload: &'a Value, kind: &str) -> Option<(bool, Option<&'a str>)> {
    let found = conditions(workload).find(|condition| field(condition, "type") == Some(kind))?;
    Some((field(found, "status") == Some("True"), field(found, "lastTransitionTime")))
}

fn running(kind: &Kind, workload: &Value) -> Option<Running> {
    let since = |at: Option<&str>| Running { since: at.map(str::to_owned) };
    if let Some((holds, at)) = RUNNING.iter().find_map(|kind| condition(workload, kind)) {
        return holds.then(|| since(at));
    }
    if let Some((word, at)) = PHASES.iter().find_map(|(pointer, at)| Some((text(workload, pointer)?, at))) {
        let at = at.and_then(|pointer| text(workload, pointer)).or_else(|| first_container(workload));
        return (word.eq_ignore_ascii_case("running") || word == "ready").then(|| since(at));
    }
    let counts = ["/status/ready", "/status/readyReplicas"];
    if let Some(ready) = counts.iter().find_map(|pointer| workload.pointer(pointer)?.as_u64()) {
        return (ready > 0).then(Running::default);
    }
    let lists = ["/status/replicatedJobsStatus", "/status/jobsStatus"];
    if let Some(jobs) = lists.iter().find_map(|pointer| workload.pointer(pointer)?.as_array()) {
        let trains = |job: &&Value| !field(job, "name").is_some_and(|name| name.ends_with(INITIALIZER));
        let ready = |job: &Value| job.get("ready").and_then(Value::as_u64).is_some_and(|ready| ready > 0);
        return jobs.iter().filter(trains).any(ready).then(Running::default);
    }
    let is_built_in = KINDS.iter().any(|known| known.slug == kind.slug);
    let started = text(workload, "/status/startTime").filter(|_| !is_built_in);
    started.map(|at| since(Some(at)))
}

/// Since when it is suspended, or no longer running.
fn stopped(workload: &Value) -> Option<&str> {
    let since = |kind: &str, holding: bool| {
        let (holds, at) = condition(workload, kind)?;
        at.filter(|_| holds == holding)
    };
    since("Suspended", true).or_else(|| RUNNING.iter().find_map(|kind| since(kind, false)))
}

/// How it ended. `None` before its end.
fn end(workload: &Value) -> Option<End> {
    let (succeeded, since, reason) = outcome(workload)?;
    let at = ["/status/completionTime", "/status/endTime"].iter().find_map(|pointer| text(workload, pointer));
    let at = at
        .or(since)
        .or_else(|| text(workload, "/status/state/lastTransitionTime"))
        .or_else(|| last_container(workload));
    Some(End { succeeded, at: at.map(str::to_owned), reason: reason.map(str::to_owned) })
}

/// Whether it succeeded, when that condition became true, and its reason.
fn outcome(workload: &Value) -> Option<(bool, Option<&str>, Option<&str>)> {
    let of_condition = conditions(workload).find_map(|condition| {
        let succeeded = result(field(condition, "type")?)?;
        let holds = field(condition, "status")? == "True";
        holds.then(|| (succeeded, field(condition, "lastTransitionTime"), field(condition, "reason")))
    });
    of_condition.or_else(|| {
        // A pod's conditions do not show its end. Its phase does.
        ["/status/jobStatus", "/status/phase", "/status/state/phase"].into_iter().find_map(|pointer| {
            let reason = text(workload, "/status/reason").or_else(|| text(workload, "/status/state/reason"));
            Some((result(text(workload, pointer)?)?, None, reason))
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

fn report(workload: &Value) -> Option<Report> {
    let told = workload.pointer("/status/trainerStatus")?;
    let count = |name: &str| told.get(name).and_then(Value::as_u64);
    let report = Report {
        percent: count("progressPercentage").filter(|percent| *percent <= 100),
        remaining_seconds: count("estimatedRemainingSeconds"),
        at: field(told, "lastUpdatedTime").map(str::to_owned),
    };
    (report.percent.is_some() || report.remaining_seconds.is_some()).then_some(report)
}

/// When the first container of a pod began to run. UTC times sort as texts.
fn first_container(pod: &Value) -> Option<&str> {
    containers(pod).filter_map(|c| text(c, "/state/running/startedAt")).min()
}

/// When the last container of a pod ended. UTC times sort as texts.
fn last_container(pod: &Value) -> Option<&str> {
    containers(pod).filter_map(|c| text(c, "/state/terminated/finishedAt")).max()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten()
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
        End { succeeded, at: Some(at.to_owned()), reason: None }
    }

    const START: &str = "2026-01-01T00:00:00Z";
    const END: &str = "2026-01-03T00:00:00Z";

    #[test]
    fn a_workload_runs_when_its_pods_run_and_not_when_it_was_created() {
        const KUBEFLOW: (&str, &str) = ("kubeflow.org", "PyTorchJob");
        const TRAINER: (&str, &str) = ("trainer.kubeflow.org", "TrainJob");
        const VOLCANO: (&str, &str) = ("batch.volcano.sh", "Job");
        const SET: (&str, &str) = ("leaderworkerset.x-k8s.io", "LeaderWorkerSet");
        let is =
            |kind: &str, status: &str| json!([{"type": kind, "status": status, "lastTransitionTime": START}]);
        let jobs = |name: &str, ready: u64| json!([{"name": name, "ready": ready, "active": 1}]);
        let since = |at: Option<&str>| Some(Running { since: at.map(str::to_owned) });
        let pod =
            json!([{"state": {"running": {"startedAt": END}}}, {"state": {"running": {"startedAt": START}}}]);
        for ((group, kind), status, running) in [
            (("batch", "Job"), json!({"startTime": START, "active": 2, "ready": 0}), None),
            (("batch", "Job"), json!({"startTime": START, "active": 2, "ready": 2}), since(None)),
            (KUBEFLOW, json!({"startTime": START, "conditions": is("Created", "True")}), None),
            (KUBEFLOW, json!({"startTime": START, "conditions": is("Running", "True")}), since(Some(START))),
            (KUBEFLOW, json!({"startTime": START, "conditions": is("Running", "False")}), None),
            (TRAINER, json!({"jobsStatus": jobs("model-initializer", 1)}), None),
            (TRAINER, json!({"jobsStatus": jobs("node", 0)}), None),
            (TRAINER, json!({"jobsStatus": jobs("node", 1)}), since(None)),
            (("jobset.x-k8s.io", "JobSet"), json!({"replicatedJobsStatus": jobs("workers", 1)}), since(None)),
            (VOLCANO, json!({"state": {"phase": "Pending", "lastTransitionTime": START}}), None),
            (
                VOLCANO,
                json!({"state": {"phase": "Running", "lastTransitionTime": START}}),
                since(Some(START)),
            ),
            (SET, json!({"conditions": is("Available", "False"), "readyReplicas": 1}), None),
            (SET, json!({"conditions": is("Available", "True")}), since(Some(START))),
            (("ray.io", "RayJob"), json!({"jobStatus": "PENDING", "startTime": START}), None),
            (
                ("ray.io", "RayJob"),
                json!({"jobStatus": "RUNNING", "rayJobInfo": {"startTime": START}}),
                since(Some(START)),
            ),
            (("", "Pod"), json!({"phase": "Pending", "startTime": START}), None),
            (("", "Pod"), json!({"phase": "Running", "containerStatuses": pod}), since(Some(START))),
        ] {
            assert_eq!(of(group, kind, &json!({"status": status})).running, running, "{kind} {status}");
        }
    }

    #[test]
    fn a_workload_that_is_held_back_does_not_run() {
        let running = json!([
            {"type": "Running", "status": "True", "lastTransitionTime": START},
            {"type": "Suspended", "status": "True", "lastTransitionTime": END},
        ]);
        let mut job = json!({"spec": {"runPolicy": {}}});
        assert_eq!(of("kubeflow.org", "PyTorchJob", &job), Progress::default());
        job["status"] = json!({"conditions": running});
        assert!(of("kubeflow.org", "PyTorchJob", &job).running.is_some());
        job["spec"]["runPolicy"]["suspend"] = json!(true);
        let held = of("kubeflow.org", "PyTorchJob", &job);
        assert_eq!((held.running, held.stopped.as_deref()), (None, Some(END)));
    }

    #[test]
    fn a_condition_that_no_longer_holds_says_since_when_the_pods_do_not_run() {
        let not_running = json!([{"type": "Running", "status": "False", "lastTransitionTime": END}]);
        let restarting = of("kubeflow.org", "PyTorchJob", &json!({"status": {"conditions": not_running}}));
        assert_eq!((restarting.running, restarting.stopped.as_deref()), (None, Some(END)));
        let pending = of("batch", "Job", &json!({"status": {"startTime": START, "ready": 0}}));
        assert_eq!(pending.stopped, None);
    }

    #[test]
    fn a_training_may_report_how_far_it_is() {
        let status = json!({"trainerStatus": {
            "progressPercentage": 45, "estimatedRemainingSeconds": 7200, "lastUpdatedTime": END,
        }});
        let report = of("trainer.kubeflow.org", "TrainJob", &json!({"status": status})).report.unwrap();
        assert_eq!((report.percent, report.remaining_seconds), (Some(45), Some(7200)));
        assert_eq!(report.at.as_deref(), Some(END));
        let nothing = json!({"status": {"trainerStatus": {"lastUpdatedTime": END}}});
        assert_eq!(of("trainer.kubeflow.org", "TrainJob", &nothing).report, None);
    }

    #[test]
    fn the_end_is_read_from_conditions_times_and_phases() {
        let condition = |kind: &str| {
            json!([
                {"type": "Created", "status": "True", "lastTransitionTime": START},
                {"type": kind, "status": "True", "lastTransitionTime": END},
            ])
        };
        let late = json!([
            {"type": "Failed", "status": "True", "lastTransitionTime": END, "reason": "DeadlineExceeded"},
        ]);
        let exceeded = End { reason: Some("DeadlineExceeded".into()), ..end(false, END) };
        for (status, ended) in [
            (json!({"startTime": START}), None),
            (json!({"conditions": condition("Running")}), None),
            (json!({"conditions": condition("Complete"), "completionTime": END}), Some(end(true, END))),
            (json!({"conditions": condition("Succeeded")}), Some(end(true, END))),
            (json!({"conditions": condition("Failed")}), Some(end(false, END))),
            (json!({"conditions": late}), Some(exceeded)),
            (json!({"conditions": [{"type": "Failed", "status": "False"}]}), None),
            (json!({"jobStatus": "SUCCEEDED", "endTime": END}), Some(end(true, END))),
            (json!({"state": {"phase": "Completed", "lastTransitionTime": END}}), Some(end(true, END))),
            (json!({"state": {"phase": "Completed"}}), Some(End { at: None, ..end(true, END) })),
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
        assert_eq!((progress.created.as_deref(), progress.ended), (Some(START), Some(end(true, END))));
        assert_eq!(progress.running, None);
    }
}
