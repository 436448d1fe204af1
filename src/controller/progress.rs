//! How far a workload is, from its own status: when it began to run, and when it will be ended.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::workload::kinds::Kind;

/// When the workload began to run; none while it is held back.
///
/// Job and the Kubeflow kinds keep it in `status.startTime`. A Job's is cleared when it is suspended; a Kubeflow
/// kind's isn't.
pub(super) fn start(kind: &Kind, workload: &Value) -> Option<Timestamp> {
    let held = kind.suspend.and_then(|pointer| workload.pointer(pointer)).and_then(Value::as_bool);
    if held == Some(true) {
        return None;
    }
    workload.pointer("/status/startTime")?.as_str()?.parse().ok()
}

/// The seconds after which the workload is ended, where it says so.
pub(super) fn deadline_seconds(kind: &Kind, workload: &Value) -> Option<u64> {
    workload.pointer(kind.active_deadline_seconds?)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::kinds;
    use serde_json::json;

    #[test]
    fn a_workload_that_is_held_back_has_not_begun() {
        let kind = kinds::find("kubeflow.org", "PyTorchJob").unwrap();
        let mut job = json!({"spec": {"runPolicy": {"activeDeadlineSeconds": 600}}});
        assert_eq!(start(kind, &job), None);
        job["status"] = json!({"startTime": "2026-01-01T00:00:00Z"});
        assert_eq!(start(kind, &job).map(|t| t.to_string()).as_deref(), Some("2026-01-01T00:00:00Z"));
        job["spec"]["runPolicy"]["suspend"] = json!(true);
        assert_eq!(start(kind, &job), None);
        assert_eq!(deadline_seconds(kind, &job), Some(600));
    }
}
