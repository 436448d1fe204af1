//! How a workload ended, and the evidence.
//!
//! The evidence is in the states of the pods' containers, present and last, and in the status of the pods:
//!
//! | outcome | evidence, the strongest first |
//! | --- | --- |
//! | `OutOfMemory` | a termination message with the words of a framework whose allocator failed |
//! | `HostOutOfMemory` | a container with the reason `OOMKilled`: the kernel ended it at its memory limit (exit code 137) |
//! | `Deadline` | the reason `DeadlineExceeded` of the workload or of a pod |
//! | `Evicted` | the reason `Evicted` of a pod, or its condition `DisruptionTarget` |
//! | `Failed` | it failed, and nothing above is known |
//! | `Completed` | it succeeded |
//!
//! Exit code 137 alone is no evidence: any SIGKILL gives it. A message is there only if the program writes one, or if
//! the container has `terminationMessagePolicy: FallbackToLogsOnError`. Of a message only the words that were found are
//! kept, since the rest may hold anything. A success counts above all: an earlier attempt may have failed.
//!
//! The words are those of PyTorch (c10/cuda/CUDACachingAllocator.cpp and its twins for HIP, XPU and NPU), of the CUDA
//! driver and runtime, and of XLA.

use serde_json::Value;

use crate::kinds::progress::End;

/// How a workload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It succeeded.
    Completed,
    /// It failed for another or an unknown reason.
    Failed,
    /// Its pods were evicted or preempted.
    Evicted,
    /// It ran to its deadline.
    Deadline,
    /// The memory of a pod was used up.
    HostOutOfMemory,
    /// The memory of an accelerator was used up.
    OutOfMemory,
}

impl Kind {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::Failed,
        Self::Evicted,
        Self::Deadline,
        Self::HostOutOfMemory,
        Self::OutOfMemory,
    ];

    /// The outcome's word, as statuses and metrics show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Evicted => "Evicted",
            Self::Deadline => "Deadline",
            Self::HostOutOfMemory => "HostOutOfMemory",
            Self::OutOfMemory => "OutOfMemory",
        }
    }

    /// The outcome of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == word)
    }
}

/// An outcome and its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub kind: Kind,
    /// The pod's container that shows it.
    pub container: Option<String>,
    /// The evidence in few words: `CUDA out of memory`, `OOMKilled`, `exit code 1`.
    pub reason: Option<String>,
    /// When, in the API's format.
    pub at: Option<String>,
}

/// Words of allocators that failed. The first that a message contains is the evidence.
const OUT_OF_MEMORY: &[&str] = &[
    "CUDA out of memory",
    "HIP out of memory",
    "NPU out of memory",
    "XPU out of memory",
    "torch.OutOfMemoryError",
    "torch.cuda.OutOfMemoryError",
    "CUDA error: out of memory",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "cudaErrorMemoryAllocation",
    "hipErrorOutOfMemory",
    "RESOURCE_EXHAUSTED: Out of memory",
    "RESOURCE_EXHAUSTED: Failed to allocate",
];

/// What a pod shows about the end of its workload. None for a pod that ended well or runs.
pub fn of_pod(pod: &Value) -> Option<Outcome> {
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let of_containers = statuses.flat_map(|status| {
        ["/state/terminated", "/lastState/terminated"].into_iter().filter_map(|state| {
            of_container(status.get("name").and_then(Value::as_str), status.pointer(state)?)
        })
    });
    of_containers.chain(of_status(pod)).max_by_key(|outcome| outcome.kind)
}

fn of_container(name: Option<&str>, terminated: &Value) -> Option<Outcome> {
    let text = |field: &str| terminated.get(field).and_then(Value::as_str);
    let code = terminated.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
    let message = text("message").unwrap_or_default();
    let words = OUT_OF_MEMORY.iter().find(|words| message.contains(**words));
    let (kind, reason) = match (words, text("reason")) {
        (Some(words), _) if code != 0 => (Kind::OutOfMemory, (*words).to_owned()),
        (_, Some("OOMKilled")) => (Kind::HostOutOfMemory, "OOMKilled".to_owned()),
        _ if code != 0 => (Kind::Failed, format!("exit code {code}")),
        _ => return None,
    };
    let at = text("finishedAt").map(str::to_owned);
    Some(Outcome { kind, container: name.map(str::to_owned), reason: Some(reason), at })
}

fn of_status(pod: &Value) -> Option<Outcome> {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let disrupted = conditions.into_iter().find(|condition| {
        text(condition, "type").as_deref() == Some("DisruptionTarget")
            && text(condition, "status").as_deref() == Some("True")
    });
    let status = pod.pointer("/status")?;
    let (kind, reason, at) = match (text(status, "reason").as_deref(), disrupted) {
        (Some("DeadlineExceeded"), _) => (Kind::Deadline, Some("DeadlineExceeded".to_owned()), None),
        (_, Some(condition)) => {
            (Kind::Evicted, text(condition, "reason"), text(condition, "lastTransitionTime"))
        }
        (Some("Evicted"), None) => (Kind::Evicted, Some("Evicted".to_owned()), None),
        _ => return None,
    };
    Some(Outcome { kind, container: None, reason: reason.as_deref().map(short), at })
}

/// The outcome of a workload: by its own end, what its pods show, and what was known before. None while it runs and
/// nothing went wrong.
pub fn of_workload(end: Option<&End>, pods: &[Outcome], before: Option<&Outcome>) -> Option<Outcome> {
    let at_end = |kind: Kind, reason: Option<&String>| Outcome {
        kind,
        container: None,
        reason: reason.map(|reason| short(reason)),
        at: end.and_then(|end| end.at.clone()),
    };
    // An attempt that failed for another reason may be followed by one that runs.
    let shown = pods.iter().chain(before).filter(|shown| shown.kind > Kind::Failed || end.is_some());
    // Of equal evidence the earliest stays, so that nothing is written again and again.
    let shown = || shown.clone().filter(|shown| shown.kind != Kind::Completed);
    let strongest = shown().map(|shown| shown.kind).max();
    let evidence = before.filter(|before| Some(before.kind) == strongest).or_else(|| {
        shown().filter(|shown| Some(shown.kind) == strongest).min_by_key(|shown| shown.at.clone())
    });
    match end {
        Some(end) if end.succeeded => Some(at_end(Kind::Completed, None)),
        Some(end) if end.reason.as_deref() == Some("DeadlineExceeded") => {
            let memory = evidence.filter(|shown| shown.kind > Kind::Deadline).cloned();
            Some(memory.unwrap_or_else(|| at_end(Kind::Deadline, end.reason.as_ref())))
        }
        Some(end) => Some(evidence.cloned().unwrap_or_else(|| at_end(Kind::Failed, end.reason.as_ref()))),
        None => evidence.cloned(),
    }
}

/// A controller's reason is a word. A longer text may hold anything.
fn short(reason: &str) -> String {
    reason.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-01-02T00:00:00Z";

    fn pod(terminated: &Value) -> Value {
        json!({"status": {"containerStatuses": [{"name": "trainer", "state": {"terminated": terminated}}]}})
    }

    fn kind_and_reason(pod: &Value) -> Option<(Kind, String)> {
        of_pod(pod).map(|outcome| (outcome.kind, outcome.reason.unwrap_or_default()))
    }

    #[test]
    fn a_container_shows_how_it_ended() {
        let message = "Traceback …\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. token=secret";
        for (terminated, expected) in [
            (json!({"exitCode": 1, "message": message}), Some((Kind::OutOfMemory, "CUDA out of memory"))),
            (
                json!({"exitCode": 1, "message": "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while"}),
                Some((Kind::OutOfMemory, "RESOURCE_EXHAUSTED: Out of memory")),
            ),
            (json!({"exitCode": 0, "message": "recovered from CUDA out of memory"}), None),
            (json!({"exitCode": 137, "reason": "OOMKilled"}), Some((Kind::HostOutOfMemory, "OOMKilled"))),
            (json!({"exitCode": 137, "reason": "Error"}), Some((Kind::Failed, "exit code 137"))),
            (json!({"exitCode": 1, "reason": "Error"}), Some((Kind::Failed, "exit code 1"))),
            (json!({"exitCode": 0, "reason": "Completed"}), None),
        ] {
            let expected = expected.map(|(kind, reason)| (kind, reason.to_owned()));
            assert_eq!(kind_and_reason(&pod(&terminated)), expected, "{terminated}");
        }
    }

    #[test]
    fn the_last_state_of_a_restarted_container_counts_too() {
        let restarted = json!({"status": {"containerStatuses": [{
            "name": "trainer", "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 1, "message": "CUDA out of memory", "finishedAt": EARLY}},
        }]}});
        let outcome = of_pod(&restarted).unwrap();
        assert_eq!((outcome.kind, outcome.container.as_deref()), (Kind::OutOfMemory, Some("trainer")));
        assert_eq!(outcome.at.as_deref(), Some(EARLY));
    }

    #[test]
    fn a_pod_shows_that_it_was_evicted_or_late() {
        let disrupted =
            json!([{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
        for (status, expected) in [
            (json!({"reason": "Evicted"}), (Kind::Evicted, "Evicted")),
            (json!({"conditions": disrupted}), (Kind::Evicted, "PreemptionByScheduler")),
            (json!({"reason": "DeadlineExceeded"}), (Kind::Deadline, "DeadlineExceeded")),
        ] {
            let (kind, reason) = expected;
            assert_eq!(
                kind_and_reason(&json!({"status": status})),
                Some((kind, reason.to_owned())),
                "{status}"
            );
        }
        assert_eq!(of_pod(&json!({"status": {"phase": "Running"}})), None);
    }

    fn shown(kind: Kind, at: &str) -> Outcome {
        Outcome { kind, container: None, reason: None, at: Some(at.to_owned()) }
    }

    fn end(succeeded: bool, reason: Option<&str>) -> End {
        End { succeeded, at: Some(LATE.to_owned()), reason: reason.map(str::to_owned) }
    }

    #[test]
    fn the_strongest_evidence_decides_and_a_success_beats_all() {
        use Kind::{Completed, Deadline, Evicted, Failed, HostOutOfMemory, OutOfMemory};
        let failed = end(false, None);
        let late = end(false, Some("DeadlineExceeded"));
        let succeeded = end(true, None);
        for (end, pods, before, expected) in [
            (None, vec![], None, None),
            (None, vec![Failed], None, None),
            (None, vec![OutOfMemory], None, Some(OutOfMemory)),
            (Some(&failed), vec![], None, Some(Failed)),
            (Some(&failed), vec![Failed, HostOutOfMemory], None, Some(HostOutOfMemory)),
            (Some(&failed), vec![], Some(OutOfMemory), Some(OutOfMemory)),
            (Some(&late), vec![Failed], None, Some(Deadline)),
            (Some(&late), vec![Evicted], None, Some(Deadline)),
            (Some(&late), vec![OutOfMemory], None, Some(OutOfMemory)),
            (Some(&succeeded), vec![OutOfMemory], Some(OutOfMemory), Some(Completed)),
        ] {
            let pods: Vec<_> = pods.into_iter().map(|kind| shown(kind, EARLY)).collect();
            let before = before.map(|kind| shown(kind, EARLY));
            let outcome = of_workload(end, &pods, before.as_ref());
            assert_eq!(outcome.map(|outcome| outcome.kind), expected, "{end:?} {pods:?} {before:?}");
        }
    }

    #[test]
    fn the_first_of_equal_evidence_stays() {
        let pods = [shown(Kind::OutOfMemory, LATE), shown(Kind::OutOfMemory, EARLY)];
        let first = of_workload(None, &pods, None).unwrap();
        assert_eq!(first.at.as_deref(), Some(EARLY));
        assert_eq!(of_workload(None, &pods[..1], Some(&first)), Some(first));
    }
}
