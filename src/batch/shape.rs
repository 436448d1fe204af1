//! What the apiserver would refuse, or drop, of an object whose kind is known: it never reaches the gate as it was meant.
//!
//! ```text
//! pods at another place than the kind's (`spec.pytorchReplicaSpec`)   ─► not recognised, with the field that is meant
//! a command that is a text                                            ─► a warning, or the reason for not recognising it
//! accelerators in `requests` without `limits`, an unknown version     ─► a warning
//! ```

use serde_json::Value;

use super::other_kinds::{self, MOST_WRONG, wrong_letters};
use crate::hardware::Catalogue;
use crate::hardware::resources::counts_accelerators;
use crate::job::Cause;
use crate::judgement::Judgement;
use crate::kinds::{Kind, PodGroup, Pods, dotted};
use crate::printable::printable;

/// The judgement of an object without pods where its kind has them, though it asks for accelerators somewhere.
pub(super) fn misplaced(kind: &Kind, object: &Value, catalogue: &Catalogue) -> Option<Judgement> {
    let (Pods::Single(pointer) | Pods::Roles(pointer) | Pods::Tasks(pointer) | Pods::Job(pointer)) =
        kind.pods
    else {
        return None;
    };
    if !kind.pod_groups(object).is_empty() {
        return None;
    }
    let asked = Some(other_kinds::asked(object, catalogue)).filter(|asked| *asked > 0)?;
    let (parent, field) = pointer.rsplit_once('/')?;
    let fields = object.pointer(parent).and_then(Value::as_object)?;
    let near = fields.keys().map(|name| (wrong_letters(name, field), name));
    let near = near.filter(|(wrong, _)| (1..=MOST_WRONG).contains(wrong));
    let meant =
        near.min_by_key(|(wrong, _)| *wrong).map(|(_, name)| format!(", not in {}", printable(name, 48)));
    let why = format!("a {} keeps its pods in {}{}", kind.kind, dotted(pointer), meant.unwrap_or_default());
    Some(Judgement::not_recognised(Cause::WrongShape, Some(asked), &why))
}

/// The judgement with what the apiserver would refuse.
pub(super) fn warned(
    mut judgement: Judgement,
    kind: &Kind,
    object: &Value,
    catalogue: &Catalogue,
) -> Judgement {
    let groups = kind.pod_groups(object);
    if let Some(path) = groups.iter().find_map(command_as_text) {
        let what = format!("{path} is a text: write a list of words, like [bash, -c, \"…\"]");
        if judgement.cause == Some(Cause::UnknownProgram) {
            let accelerators = judgement.summary.accelerators;
            judgement.message = Judgement::not_recognised(Cause::UnknownProgram, accelerators, &what).message;
        } else {
            judgement.warnings.push(what);
        }
    }
    if let Some(name) = groups.iter().find_map(|group| without_limit(group, catalogue)) {
        judgement.warnings.push(format!("{name} stands in requests alone: the apiserver needs it in limits"));
    }
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let version = version.rsplit('/').next().unwrap_or_default();
    if !kind.versions.contains(&version) {
        let known = kind.versions.join(" or ");
        judgement.warnings.push(format!(
            "{} is no known version of {}: {known}",
            printable(version, 24),
            kind.kind
        ));
    }
    judgement
}

fn containers<'a>(group: &PodGroup<'a>) -> impl Iterator<Item = (usize, &'a Value)> {
    group.template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// The path of a command or of arguments that are no list.
fn command_as_text(group: &PodGroup<'_>) -> Option<String> {
    containers(group).find_map(|(number, container)| {
        let field = ["command", "args"]
            .into_iter()
            .find(|field| container.get(field).is_some_and(Value::is_string))?;
        Some(format!("{}.spec.containers[{number}].{field}", group.path))
    })
}

/// An accelerator that a container requests without a limit.
fn without_limit(group: &PodGroup<'_>, catalogue: &Catalogue) -> Option<String> {
    containers(group).find_map(|(_, container)| {
        let requests = container.pointer("/resources/requests")?.as_object()?;
        let limits = container.pointer("/resources/limits");
        let is_alone = |name: &&String| {
            counts_accelerators(catalogue, name)
                && limits.is_none_or(|limits| limits.get(name.as_str()).is_none())
        };
        requests.keys().find(is_alone).map(|name| printable(name, 64))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn kind(object: &Value) -> &'static Kind {
        Kinds::built_in().of(object).unwrap()
    }

    #[test]
    fn pods_at_a_misspelt_field_are_not_recognised_with_the_right_one() {
        let limits = json!({"resources": {"limits": {"nvidia.com/gpu": 8}}});
        for (api_version, name, spec, expected) in [
            (
                "kubeflow.org/v1",
                "PyTorchJob",
                json!({"pytorchReplicaSpec": {"Worker": {"template": {"spec": {"containers": [limits]}}}}}),
                Some("a PyTorchJob keeps its pods in spec.pytorchReplicaSpecs, not in pytorchReplicaSpec"),
            ),
            (
                "kubeflow.org/v1",
                "PyTorchJob",
                json!({"workers": {"template": {"spec": {"containers": [limits]}}}}),
                Some("a PyTorchJob keeps its pods in spec.pytorchReplicaSpecs"),
            ),
            (
                "kubeflow.org/v1",
                "PyTorchJob",
                json!({"pytorchReplicaSpecs": {"Worker": {"template": {"spec": {"containers": [limits]}}}}}),
                None,
            ),
            ("kubeflow.org/v1", "PyTorchJob", json!({"pytorchReplicaSpec": {}}), None),
        ] {
            let object = json!({"apiVersion": api_version, "kind": name, "spec": spec});
            let judgement = misplaced(kind(&object), &object, Catalogue::builtin());
            let message = judgement.map(|judgement| judgement.message);
            let expected = expected.map(|expected| format!("asks for 8 GPUs, not recognised: {expected}"));
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn what_the_apiserver_refuses_of_a_pod_is_said() {
        let job = |version: &str, container: Value| json!({"apiVersion": version, "kind": "Job", "spec": {"template": {"spec": {"containers": [container]}}}});
        let gpus = || json!({"nvidia.com/gpu": 8});
        for (object, expected) in [
            (
                job(
                    "batch/v1",
                    json!({"command": ["x"], "resources": {"limits": gpus(), "requests": gpus()}}),
                ),
                None,
            ),
            (
                job("batch/v1", json!({"command": "x", "resources": {"limits": gpus()}})),
                Some(
                    "spec.template.spec.containers[0].command is a text: write a list of words, like [bash, -c, \"…\"]",
                ),
            ),
            (
                job("batch/v1", json!({"resources": {"requests": gpus()}})),
                Some("nvidia.com/gpu stands in requests alone: the apiserver needs it in limits"),
            ),
            (job("batch/v9", json!({})), Some("v9 is no known version of Job: v1")),
        ] {
            let judgement = Judgement::aside(Cause::NoTraining, Some(8));
            let judgement = warned(judgement, kind(&object), &object, Catalogue::builtin());
            assert_eq!(judgement.warnings.first().map(String::as_str), expected);
        }
        let object = job("batch/v1", json!({"args": "x"}));
        let judgement = Judgement::aside(Cause::UnknownProgram, Some(8));
        let judgement = warned(judgement, kind(&object), &object, Catalogue::builtin());
        assert!(judgement.message.contains("containers[0].args is a text"), "{}", judgement.message);
    }
}
