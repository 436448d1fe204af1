//! Whether an UPDATE may be refused.
//!
//! An existing object must stay editable: queues unsuspend it and choose its nodes, controllers write its status, and
//! a stricter policy must not undo an earlier admission. So an UPDATE is refused only if the new object would be
//! refused, the old one would not, and they differ in a field that may not change freely:
//!
//! | field | who may change it freely |
//! | --- | --- |
//! | `suspend`, wherever the kind has it; `status`; metadata other than labels and annotations | every account |
//! | labels, and annotations that are not ours, of the object and of its templates | accounts that may [place](crate::policy::Placement) pods |
//! | placement of a template's pods: node selector, affinity, tolerations, spread, scheduling gates; the same in lists that queues write (a TrainJob's overrides, an AppWrapper's `podSetInfos`) | the same |
//!
//! Labels and foreign annotations are in the second row, because some of them choose accelerators: the name of a
//! queue, the family of a chip, a share of a GPU. A change of any other label costs a second judgement, and is
//! admitted.
//!
//! A queue may write back the whole object, with defaults and empty fields. So old and new object may differ in more
//! than the queue decided. Its UPDATE is not refused either if the new object would pass with its pods [placed as
//! before](placed_as_before): then only the placement is at fault.
//!
//! An object that is being deleted passes: removing the last finalizer is an UPDATE.

use serde_json::{Map, Value};

use crate::job::keys;
use crate::kinds::Kind;

/// Fields of a pod that control its placement. Queues write them after admission.
const PLACEMENT: &[&str] =
    &["affinity", "nodeSelector", "schedulingGates", "tolerations", "topologySpreadConstraints"];

/// Fields that hold a whole object: a KaiwoJob's `job` and `ray`.
const WHOLE_OBJECTS: &[&str] = &["job", "ray"];

/// Further fields that queues and their controllers write.
const WRITTEN_BY_QUEUES: &[&str] = &["podSetInfos", "time"];

/// Whether the old object is being deleted.
pub fn is_being_deleted(old: &Value) -> bool {
    old.pointer("/metadata/deletionTimestamp").is_some_and(|moment| !moment.is_null())
}

/// Whether the objects differ only in fields that this account may change freely.
pub fn same_job(kind: &Kind, old: &Value, new: &Value, may_place: bool) -> bool {
    job(kind, old, may_place) == job(kind, new, may_place)
}

/// The new object with its pods placed like the old object's.
pub fn placed_as_before(old: &Value, new: &Value) -> Value {
    let mut placed = new.clone();
    copy_placement(old, &mut placed);
    placed
}

fn copy_placement(old: &Value, new: &mut Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            if is_pod_spec(new) {
                for field in PLACEMENT {
                    match old.get(*field) {
                        Some(before) => new.insert((*field).to_owned(), before.clone()),
                        None => new.remove(*field),
                    };
                }
            }
            for (key, new) in new.iter_mut() {
                if let Some(old) = old.get(key) {
                    copy_placement(old, new);
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            old.iter().zip(new).for_each(|(old, new)| copy_placement(old, new));
        }
        _ => {}
    }
}

/// The object without the fields that may change freely.
fn job(kind: &Kind, object: &Value, may_place: bool) -> Value {
    let mut job = object.clone();
    if let Some(fields) = job.as_object_mut() {
        fields.remove("status");
    }
    if let Some(pointer) = kind.suspend {
        remove(&mut job, pointer);
    }
    if !may_place {
        keep_labels_and_annotations(&mut job, true);
        return job;
    }
    for pointer in kind.placements {
        if let Some(list) = job.pointer_mut(pointer) {
            strip_placements(list, false);
            if is_empty(list, &[]) {
                remove(&mut job, pointer);
            }
        }
    }
    strip(&mut job, true);
    job
}

/// Whether a field is an object or template with its own metadata. A role may have such a name too, but a role
/// contains a template.
fn is_template(key: &str, field: &Value) -> bool {
    let is_named = key == "template" || key.ends_with("Template") || WHOLE_OBJECTS.contains(&key);
    is_named && field.get("template").is_none()
}

/// Whether these are the fields of a pod's spec. A role may be named `containers` too.
fn is_pod_spec(fields: &Map<String, Value>) -> bool {
    fields.get("containers").is_some_and(Value::is_array)
}

/// Reduces the metadata of the object and of every template to labels and annotations, at any depth.
fn keep_labels_and_annotations(value: &mut Value, has_metadata: bool) {
    match value {
        Value::Array(items) => {
            for item in items {
                keep_labels_and_annotations(item, false);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                let is_template = is_template(key, field);
                match field {
                    Value::Object(metadata) if has_metadata && key == "metadata" => {
                        metadata.retain(|key, value| {
                            ["annotations", "labels"].contains(&key.as_str()) && !is_empty(value, &[])
                        });
                    }
                    _ => keep_labels_and_annotations(field, is_template),
                }
            }
            if fields.get("metadata").is_some_and(|metadata| is_empty(metadata, &[])) {
                fields.remove("metadata");
            }
        }
        _ => {}
    }
}

/// Removes the placement that queues write from a list of the kind, and then the empty items.
fn strip_placements(value: &mut Value, is_template: bool) {
    match value {
        Value::Array(items) => {
            for item in items.iter_mut() {
                strip_placements(item, false);
            }
            items.retain(|item| !is_empty(item, &["manager", "targetJobs"]));
        }
        // The placement of a pod is removed by `strip`.
        Value::Object(fields) if !is_pod_spec(fields) || is_override(fields) => {
            fields.retain(|key, _| {
                !PLACEMENT.contains(&key.as_str()) && !WRITTEN_BY_QUEUES.contains(&key.as_str())
            });
            let has_metadata = is_template || is_override(fields);
            let metadata = if has_metadata { fields.remove("metadata") } else { None };
            if let Some(metadata) = metadata {
                let ours = our_annotations(metadata);
                if !ours.is_empty() {
                    fields.insert("metadata".into(), Value::Object(ours));
                }
            }
            for (key, field) in fields.iter_mut().filter(|(key, _)| *key != "metadata" || !has_metadata) {
                let is_template = self::is_template(key, field);
                strip_placements(field, is_template);
            }
            if let Some(jobs) = fields.get_mut("replicatedJobs").and_then(Value::as_array_mut) {
                jobs.retain(|job| !is_empty(job, &["name"]));
            }
            fields.retain(|_, field| !is_empty(field, &[]));
        }
        _ => {}
    }
}

/// Whether these are the fields of an override: a role has no target jobs.
fn is_override(fields: &Map<String, Value>) -> bool {
    fields.contains_key("targetJobs")
}

/// Whether a value is empty, except for fields in `address`, which only name its target.
fn is_empty(value: &Value, address: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => {
            fields.iter().all(|(key, field)| address.contains(&key.as_str()) || is_empty(field, &[]))
        }
        _ => false,
    }
}

/// Removes a field, and then its empty parents.
fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, field)) = pointer.rsplit_once('/') else { return };
    let Some(fields) = object.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    fields.remove(field);
    if fields.is_empty() && !parent.is_empty() {
        remove(object, parent);
    }
}

/// Removes placement from every pod spec, and reduces the metadata of the object and of every template, at any depth.
fn strip(value: &mut Value, has_metadata: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, false)),
        Value::Object(fields) => {
            if is_pod_spec(fields) {
                fields.retain(|key, _| !PLACEMENT.contains(&key.as_str()));
            }
            let is_empty_metadata = fields.get("metadata").is_some_and(|metadata| is_empty(metadata, &[]));
            let metadata = if has_metadata || is_empty_metadata { fields.remove("metadata") } else { None };
            if let Some(metadata) = metadata {
                let ours = our_annotations(metadata);
                if !ours.is_empty() {
                    fields.insert("metadata".into(), Value::Object(ours));
                }
            }
            for (key, field) in fields.iter_mut() {
                let is_template = is_template(key, field);
                if key != "metadata" || !has_metadata {
                    strip(field, is_template);
                }
            }
        }
        _ => {}
    }
}

fn our_annotations(mut metadata: Value) -> Map<String, Value> {
    match metadata.get_mut("annotations").map(Value::take) {
        Some(Value::Object(mut annotations)) => {
            annotations.retain(|key, _| key.starts_with(keys::PREFIX));
            annotations
        }
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn pytorchjob() -> Value {
        json!({
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {"name": "a", "annotations": {"weighbridge.dev/model": "llama-2-70b", "note": "x"}},
            "spec": {
                "runPolicy": {"suspend": true},
                "pytorchReplicaSpecs": {"Worker": {
                    "replicas": 4,
                    "template": {
                        "metadata": {"annotations": {"weighbridge.dev/tensor-parallel": "4"}},
                        "spec": {"containers": [{"name": "pytorch", "args": ["--seq-length=4096"]}]},
                    },
                }},
            },
        })
    }

    const TEMPLATE: &str = "/spec/pytorchReplicaSpecs/Worker/template";

    fn changed(change: impl Fn(&mut Value)) -> bool {
        let kind = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        let mut new = pytorchjob();
        change(&mut new);
        assert_ne!(new, pytorchjob(), "the change changes something");
        !same_job(kind, &pytorchjob(), &new, true)
    }

    /// Whether the job changes for an account that may not place pods.
    fn changed_by_a_tenant(change: impl Fn(&mut Value)) -> bool {
        let kind = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        let mut new = pytorchjob();
        change(&mut new);
        !same_job(kind, &pytorchjob(), &new, false)
    }

    fn at<'a>(object: &'a mut Value, path: &str) -> &'a mut Value {
        object.pointer_mut(path).unwrap()
    }

    #[test]
    fn fields_of_queues_and_controllers_do_not_change_the_job() {
        assert!(!changed(|o| *at(o, "/spec/runPolicy/suspend") = json!(false)));
        assert!(!changed(|o| {
            at(o, "/spec/runPolicy").as_object_mut().unwrap().remove("suspend");
        }));
        assert!(!changed(|o| {
            at(o, "/spec").as_object_mut().unwrap().remove("runPolicy");
        }));
        assert!(!changed(|o| o["status"] = json!({"startTime": "2026-01-01T00:00:00Z"})));
        assert!(!changed(|o| o["metadata"]["finalizers"] = json!(["a/b"])));
        assert!(!changed(|o| o["metadata"]["labels"] = json!({"a": "b"})));
        assert!(!changed(|o| o["metadata"]["annotations"]["note"] = json!("y")));
        assert!(!changed(|o| at(o, TEMPLATE)["metadata"]["labels"] = json!({"a": "b"})));
        assert!(!changed(
            |o| at(o, TEMPLATE)["metadata"]["annotations"]["kueue.x-k8s.io/workload"] = json!("w")
        ));
        for (directive, value) in [
            ("nodeSelector", json!({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"})),
            ("affinity", json!({"nodeAffinity": {}})),
            ("tolerations", json!([{"operator": "Exists"}])),
            ("schedulingGates", json!([{"name": "kueue"}])),
            ("topologySpreadConstraints", json!([])),
        ] {
            assert!(!changed(|o| at(o, TEMPLATE)["spec"][directive] = value.clone()), "{directive}");
        }
    }

    #[test]
    fn an_account_that_is_not_a_queue_may_not_place_pods() {
        assert!(!changed_by_a_tenant(|o| *at(o, "/spec/runPolicy/suspend") = json!(false)));
        assert!(!changed_by_a_tenant(|o| o["status"] = json!({"startTime": "2026-01-01T00:00:00Z"})));
        assert!(!changed_by_a_tenant(|o| o["metadata"]["finalizers"] = json!(["a/b"])));
        assert!(!changed_by_a_tenant(|o| o["metadata"]["ownerReferences"] = json!([{"uid": "u"}])));
        assert!(!changed_by_a_tenant(|o| at(o, TEMPLATE)["metadata"]["labels"] = json!({})));
        assert!(
            !changed_by_a_tenant(|o| at(o, "/spec/pytorchReplicaSpecs/Worker")["metadata"] = json!(null))
        );
        for (directive, value) in [
            ("nodeSelector", json!({"nvidia.com/gpu.product": "Tesla-T4"})),
            ("affinity", json!({"nodeAffinity": {}})),
            ("tolerations", json!([{"operator": "Exists"}])),
        ] {
            let changed = changed_by_a_tenant(|o| at(o, TEMPLATE)["spec"][directive] = value.clone());
            assert!(changed, "{directive}");
        }
        let queue = "kueue.x-k8s.io/queue-name";
        assert!(changed_by_a_tenant(|o| o["metadata"]["labels"] = json!({queue: "small-gpus"})));
        assert!(changed_by_a_tenant(|o| at(o, TEMPLATE)["metadata"]["labels"] = json!({"a": "b"})));
        assert!(changed_by_a_tenant(
            |o| at(o, TEMPLATE)["metadata"]["annotations"]["gpu-memory"] = json!("4000")
        ));
    }

    #[test]
    fn a_role_named_metadata_is_a_part_of_the_job() {
        let kind = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        let wrapper = Kinds::built_in().find("workload.codeflare.dev", "AppWrapper").unwrap();
        for role in ["metadata", "template", "podTemplate", "containers"] {
            let of = |length: u64| {
                let mut job = pytorchjob();
                let roles = at(&mut job, "/spec/pytorchReplicaSpecs");
                let mut worker = roles["Worker"].clone();
                worker["template"]["spec"]["containers"][0]["args"] =
                    json!([format!("--seq-length={length}")]);
                roles[role] = worker;
                job
            };
            let wrapped = |length| json!({"metadata": {"name": "a"}, "spec": {"components": [{"template": of(length)}]}});
            for may_place in [true, false] {
                assert!(!same_job(kind, &of(4096), &of(8192), may_place), "{role} {may_place}");
                assert!(!same_job(wrapper, &wrapped(4096), &wrapped(8192), may_place), "{role} {may_place}");
            }
        }
    }

    #[test]
    fn metadata_of_an_inner_object_does_not_change_the_job() {
        let kind = Kinds::built_in().find("workload.codeflare.dev", "AppWrapper").unwrap();
        let wrapped = |moment: Value| {
            let mut job = pytorchjob();
            job["metadata"]["creationTimestamp"] = moment.clone();
            at(&mut job, TEMPLATE)["metadata"]["creationTimestamp"] = moment;
            json!({"metadata": {"name": "a"}, "spec": {"components": [{"template": job}]}})
        };
        for may_place in [true, false] {
            assert!(same_job(
                kind,
                &wrapped(json!(null)),
                &wrapped(json!("2026-01-01T00:00:00Z")),
                may_place
            ));
        }
    }

    #[test]
    fn annotations_arguments_and_replicas_change_the_job() {
        assert!(changed(|o| o["metadata"]["annotations"]["weighbridge.dev/model"] = json!("llama-2-7b")));
        assert!(changed(|o| o["metadata"]["annotations"]["weighbridge.dev/layers"] = json!("96")));
        assert!(changed(|o| o["metadata"] = json!({})));
        assert!(changed(|o| at(o, TEMPLATE)["metadata"] = json!(null)));
        assert!(changed(|o| at(o, TEMPLATE)["spec"]["containers"][0]["args"] = json!(["--seq-length=8192"])));
        assert!(changed(|o| *at(o, "/spec/pytorchReplicaSpecs/Worker/replicas") = json!(2)));
    }

    #[test]
    fn the_placement_of_a_pod_does_not_change_the_job() {
        let kind = Kinds::built_in().find("", "Pod").unwrap();
        let old = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "main"}]}});
        let mut new = old.clone();
        new["spec"]["nodeSelector"] = json!({"zone": "a"});
        assert!(same_job(kind, &old, &new, true));
        assert!(!same_job(kind, &old, &new, false));
        new["spec"]["containers"][0]["image"] = json!("other");
        assert!(!same_job(kind, &old, &new, true));
    }

    #[test]
    fn placed_as_before_changes_only_the_placement() {
        let mut old = pytorchjob();
        at(&mut old, TEMPLATE)["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        let mut new = pytorchjob();
        at(&mut new, TEMPLATE)["spec"]["nodeSelector"] = json!({"nvidia.com/gpu.product": "Tesla-T4"});
        at(&mut new, TEMPLATE)["spec"]["containers"][0]["resources"] = json!({});
        let mut expected = old.clone();
        at(&mut expected, TEMPLATE)["spec"]["containers"][0]["resources"] = json!({});
        assert_eq!(placed_as_before(&old, &new), expected);
        assert_eq!(placed_as_before(&Value::Null, &new), new);
    }

    #[test]
    fn the_old_object_shows_whether_it_is_being_deleted() {
        assert!(is_being_deleted(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})));
        assert!(!is_being_deleted(&json!({"metadata": {"deletionTimestamp": null}})));
        assert!(!is_being_deleted(&Value::Null));
    }

    #[test]
    fn placement_in_a_list_of_the_kind_does_not_change_the_job() {
        let patch = |field: &str, value: Value| {
            let replicated =
                json!({"name": "node", "template": {"spec": {"template": {"spec": {field: value}}}}});
            json!([{"manager": "kueue.x-k8s.io/manager", "time": "2026-01-01T00:00:00Z", "trainingRuntimeSpec":
                {"template": {"spec": {"replicatedJobs": [replicated]}}}}])
        };
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}]}});
        let set = json!({"nodeSelector": {"gpu": "t4"}, "labels": {"a": "b"}});
        for (group, kind, spec, written, same) in [
            (
                "trainer.kubeflow.org",
                "TrainJob",
                json!({}),
                json!({"runtimePatches": patch("nodeSelector", json!({"gpu": "t4"}))}),
                true,
            ),
            (
                "trainer.kubeflow.org",
                "TrainJob",
                json!({}),
                json!({"runtimePatches": patch("volumes", json!([{"name": "v"}]))}),
                false,
            ),
            (
                "trainer.kubeflow.org",
                "TrainJob",
                json!({"suspend": true}),
                json!({"suspend": false, "podTemplateOverrides": [
                {"targetJobs": [{"name": "node"}], "metadata": {"labels": {"a": "b"}}, "spec": {"tolerations": [{"key": "a"}]}}]}),
                true,
            ),
            (
                "trainer.kubeflow.org",
                "TrainJob",
                json!({}),
                json!({"podSpecOverrides": [
                {"targetJobs": [{"name": "node"}], "containers": [{"name": "node", "env": [{"name": "TP", "value": "1"}]}]}]}),
                false,
            ),
            (
                "workload.codeflare.dev",
                "AppWrapper",
                json!({"suspend": true, "components": [{"template": pod}]}),
                json!({"suspend": false, "components": [{"template": pod, "podSetInfos": [set]}]}),
                true,
            ),
            (
                "workload.codeflare.dev",
                "AppWrapper",
                json!({"components": [{"template": pod}]}),
                json!({"components": []}),
                false,
            ),
        ] {
            let kind = Kinds::built_in().find(group, kind).unwrap();
            let object = |spec: &Value| json!({"metadata": {"name": "a"}, "spec": spec});
            assert_eq!(
                same_job(kind, &object(&spec), &object(&written), true),
                same,
                "{} {written}",
                kind.slug
            );
        }
    }
}
