//! Owners, and the children that they made or did not make.

use serde_json::json;

use super::*;
use crate::kinds::Kinds;
use crate::surroundings::ConfigMaps;

fn likeness(object: &Value) -> Likeness {
    let kind = Kinds::built_in().of(object).unwrap();
    Likeness::of(kind, object, &Surroundings::default(), Catalogue::builtin())
}

fn pod_spec(gpus: u64, command: &[&str]) -> Value {
    json!({"containers": [{
        "name": "main", "command": command, "env": [{"name": "SIZE", "value": "7b"}],
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
    }]})
}

fn owner() -> Value {
    json!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "a"},
        "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": 4, "template": {
            "metadata": {"annotations": {"weighbridge.dev/sharding": "fsdp"}},
            "spec": pod_spec(8, &["torchrun", "train.py"]),
        }}}},
    })
}

/// A pod as an operator makes it from that template.
fn child() -> Value {
    let mut spec = pod_spec(8, &["torchrun", "train.py"]);
    spec["containers"][0]["env"] = json!([{"name": "RANK", "value": "3"}, {"name": "SIZE", "value": "7b"}]);
    spec["containers"].as_array_mut().unwrap().push(json!({"name": "istio", "args": ["proxy"]}));
    spec["initContainers"] = json!([{"name": "wait", "command": ["sh", "-c", "sleep 1"]}]);
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": "n1"});
    json!({
        "apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": {"name": "a-worker-3", "annotations": {"weighbridge.dev/sharding": "fsdp", "other": "x"},
            "ownerReferences": [{"controller": true}]},
    })
}

fn compare(change: impl Fn(&mut Value)) -> Comparison {
    let mut child = child();
    change(&mut child);
    likeness(&owner()).compare(&likeness(&child))
}

#[test]
fn a_child_with_the_additions_of_operators_and_meshes_is_like_its_owner() {
    assert_eq!(compare(|_| {}), Comparison::Same);
}

#[test]
fn a_child_with_another_command_size_or_annotation_differs() {
    let container = "/spec/containers/0";
    for (pointer, value) in [
        ("/spec/containers/0/command", json!(["torchrun", "huge.py"])),
        ("/spec/containers/0/env/1/value", json!("70b")),
        ("/spec/containers/0/resources/limits", json!({"nvidia.com/gpu": 16})),
        ("/metadata/annotations", json!({"weighbridge.dev/sharding": "ddp"})),
        ("/metadata/annotations", json!({"weighbridge.dev/model": "llama-2-70b"})),
        ("/spec/nodeSelector", json!({"nvidia.com/gpu.product": "Tesla-T4"})),
    ] {
        let differs = compare(|child| *child.pointer_mut(pointer).unwrap() = value.clone());
        assert_eq!(differs, Comparison::Different, "{pointer} {value}");
    }
    let second = compare(|child| {
        let mut another = child.pointer(container).unwrap().clone();
        another["command"] = json!(["torchrun", "huge.py"]);
        child["spec"]["containers"].as_array_mut().unwrap().push(another);
    });
    assert_eq!(second, Comparison::Different, "a second container");
    let added = compare(|child| {
        let variables = child.pointer_mut("/spec/containers/0/env").unwrap().as_array_mut().unwrap();
        variables.push(json!({"name": "SIZE", "value": "70b"}));
    });
    assert_eq!(added, Comparison::Different, "the last of two values counts");
}

#[test]
fn a_child_of_an_annotated_owner_may_have_another_command() {
    let mut owner = owner();
    owner["metadata"]["annotations"] = json!({"weighbridge.dev/model": "llama-2-7b"});
    let mut child = child();
    child["spec"]["containers"][0]["command"] = json!(["tune", "run"]);
    assert_eq!(likeness(&owner).compare(&likeness(&child)), Comparison::OtherCommand);
    child["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = json!(9);
    assert_eq!(likeness(&owner).compare(&likeness(&child)), Comparison::Different);
}

const ENV: &str = "/spec/containers/0/env";

/// Compares a child whose command is a script with its owner, after one of their templates is changed.
fn of_script(script: &str, own: impl Fn(&mut Value), change: impl Fn(&mut Value)) -> Comparison {
    let mut template = json!({"spec": pod_spec(8, &["bash", "-c", script])});
    template["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/cfg"}]);
    template["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "small"}}]);
    own(&mut template);
    let mut owner = owner();
    owner["spec"]["pytorchReplicaSpecs"]["Worker"]["template"] = template.clone();
    template["apiVersion"] = json!("v1");
    template["kind"] = json!("Pod");
    template["metadata"] = json!({"name": "a-worker-3", "ownerReferences": [{"controller": true}]});
    change(&mut template);
    likeness(&owner).compare(&likeness(&template))
}

fn push(template: &mut Value, pointer: &str, items: &Value) {
    template.pointer_mut(pointer).unwrap().as_array_mut().unwrap().extend(items.as_array().unwrap().clone());
}

#[test]
fn a_variable_that_the_command_reads_must_be_the_owners() {
    for (script, name, expected) in [
        ("a.py --num-layers ${L:-12}", "L", Comparison::Different),
        ("a.py --num-layers $L", "L", Comparison::Different),
        ("a.py --num-layers $(L)", "L", Comparison::Different),
        ("a.py --num-layers $((L * 2))", "L", Comparison::Different),
        ("a.py --num-layers ${LAYERS:-12}", "L", Comparison::Same),
        ("torchrun --nnodes $PET_NNODES --node-rank ${RANK} a.py", "PET_NNODES", Comparison::Same),
        ("torchrun --nnodes $WORLD_SIZE --node-rank ${RANK} a.py", "RANK", Comparison::Same),
    ] {
        let added = json!([{"name": name, "value": "80"}]);
        assert_eq!(of_script(script, |_| {}, |pod| push(pod, ENV, &added)), expected, "{script} {name}");
    }
    let refers = json!([{"name": "ARGS", "value": "--num-layers $(L)"}]);
    let added = json!([{"name": "L", "value": "80"}]);
    let by_value = of_script("a.py $ARGS", |own| push(own, ENV, &refers), |pod| push(pod, ENV, &added));
    assert_eq!(by_value, Comparison::Different, "the value of another variable mentions it");
    let script = "a.py --size ${SIZE:-70b}";
    let removed = of_script(script, |_| {}, |pod| *pod.pointer_mut(ENV).unwrap() = json!([]));
    assert_eq!(removed, Comparison::Different, "a variable is removed");
}

#[test]
fn the_last_value_of_a_variable_must_be_the_owners() {
    let (first, second) = (json!({"name": "L", "value": "80"}), json!({"name": "L", "value": "12"}));
    let twice = json!([first, second]);
    let compare = |env: Value| {
        of_script("a.py $L", |own| push(own, ENV, &twice), |pod| *pod.pointer_mut(ENV).unwrap() = env.clone())
    };
    assert_eq!(compare(json!([{"name": "SIZE", "value": "7b"}, first, second])), Comparison::Same);
    assert_eq!(compare(json!([{"name": "SIZE", "value": "7b"}, second, first])), Comparison::Different);
}

#[test]
fn sources_of_variables_and_the_directory_must_be_the_owners() {
    for (field, value) in
        [("envFrom", json!([{"configMapRef": {"name": "big"}}])), ("workingDir", json!("/other"))]
    {
        let set = |pod: &mut Value| pod["spec"]["containers"][0][field] = value.clone();
        assert_eq!(of_script("a.py", |_| {}, set), Comparison::Different, "{field} added");
        assert_eq!(of_script("a.py", set, |_| {}), Comparison::Same, "{field} kept");
    }
}

#[test]
fn config_maps_must_be_the_owners_except_in_the_folders_of_operators() {
    let volume = "/spec/volumes/0";
    for source in [
        json!({"name": "v", "configMap": {"name": "big"}}),
        json!({"name": "v", "configMap": {"name": "small", "items": [{"key": "big", "path": "run.sh"}]}}),
        json!({"name": "v", "projected": {"sources": [{"configMap": {"name": "big"}}]}}),
    ] {
        let other =
            of_script("/cfg/run.sh", |_| {}, |pod| *pod.pointer_mut(volume).unwrap() = source.clone());
        assert_eq!(other, Comparison::Different, "{source}");
    }
    for (path, expected) in [
        ("/var/run/secrets/kubernetes.io/serviceaccount", Comparison::Same),
        ("/etc/mpi", Comparison::Same),
        ("/etc/mpi/../../cfg", Comparison::Different),
        ("/cfg/run.sh", Comparison::Different),
    ] {
        let added = of_script(
            "/cfg/run.sh",
            |_| {},
            |pod| {
                push(pod, "/spec/containers/0/volumeMounts", &json!([{"name": "w", "mountPath": path}]));
                let sources =
                    json!({"sources": [{"serviceAccountToken": {}}, {"configMap": {"name": "ca"}}]});
                push(pod, "/spec/volumes", &json!([{"name": "w", "projected": sources}]));
            },
        );
        assert_eq!(added, expected, "{path}");
    }
    let defaulted = of_script(
        "/cfg/run.sh",
        |_| {},
        |pod| {
            pod.pointer_mut(volume).unwrap()["configMap"]["defaultMode"] = json!(420);
        },
    );
    assert_eq!(defaulted, Comparison::Same, "the API server's defaults");
}

#[test]
fn a_variable_that_a_mounted_script_reads_must_be_the_owners() {
    let mut around = Surroundings::default();
    let script = json!({"data": {"run.sh": "a.py --num-layers ${L:-12}"}});
    let mut config_maps = ConfigMaps::default();
    config_maps.add("", "small", ConfigMaps::data(&script));
    around.config_maps = std::sync::Arc::new(config_maps);
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": pod_spec(8, &["bash", "/cfg/run.sh"])});
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/cfg"}]);
    pod["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "small"}}]);
    let kind = Kinds::built_in().of(&pod).unwrap();
    let likeness = |pod: &Value| Likeness::of(kind, pod, &around, Catalogue::builtin());
    let own = likeness(&pod);
    push(&mut pod, ENV, &json!([{"name": "OTHER", "value": "80"}]));
    assert_eq!(own.compare(&likeness(&pod)), Comparison::Same);
    push(&mut pod, ENV, &json!([{"name": "L", "value": "80"}]));
    assert_eq!(own.compare(&likeness(&pod)), Comparison::Different);
}

#[test]
fn only_the_kinds_that_choose_accelerators_may_ask_for_fewer() {
    let fewer = json!({"nvidia.com/gpu": 1});
    let limits = "/spec/containers/0/resources/limits";
    let differs = compare(|child| *child.pointer_mut(limits).unwrap() = fewer.clone());
    assert_eq!(differs, Comparison::Different);
    let template = owner()["spec"]["pytorchReplicaSpecs"]["Worker"]["template"].clone();
    let elastic = json!({
        "apiVersion": "elastic.iml.github.io/v1alpha1", "kind": "ElasticJob", "metadata": {"name": "a"},
        "spec": {"replicaSpecs": {"worker": {"replicas": 4, "template": template}}},
    });
    let mut child = child();
    *child.pointer_mut(limits).unwrap() = fewer;
    assert_eq!(likeness(&elastic).compare(&likeness(&child)), Comparison::Same);
}

fn job(pods: u64) -> Value {
    json!({"spec": {"parallelism": pods, "completions": pods,
        "template": {"spec": pod_spec(8, &["torchrun", "train.py"])}}})
}

fn named(mut object: Value, api_version: &str, kind: &str) -> Value {
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": "a"});
    object
}

#[test]
fn a_job_must_have_as_many_pods_as_the_owners_template() {
    let set = json!({"spec": {"replicatedJobs": [{"name": "w", "replicas": 4, "template": job(2)}]}});
    let cron = json!({"spec": {"jobTemplate": job(2)}});
    let wrapper = json!({"spec": {"components": [{"template": named(job(2), "batch/v1", "Job")}]}});
    for owner in [
        named(set, "jobset.x-k8s.io/v1alpha2", "JobSet"),
        named(cron, "batch/v1", "CronJob"),
        named(wrapper, "workload.codeflare.dev/v1beta2", "AppWrapper"),
    ] {
        let compare = |pods| likeness(&owner).compare(&likeness(&named(job(pods), "batch/v1", "Job")));
        assert_eq!(compare(2), Comparison::Same, "{owner}");
        assert_eq!(compare(1), Comparison::Different, "{owner}");
    }
}

#[test]
fn a_pod_without_accelerators_is_like_any_owner() {
    let launcher = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "main", "command": ["mpirun", "train.py"]}]}});
    assert_eq!(likeness(&owner()).compare(&likeness(&launcher)), Comparison::Same);
}

#[test]
fn an_owner_with_too_many_containers_is_like_no_child() {
    let mut owner = owner();
    let template = owner["spec"]["pytorchReplicaSpecs"]["Worker"]["template"].take();
    let roles = (0..=LIMIT).map(|number| (number.to_string(), json!({"template": template})));
    owner["spec"]["pytorchReplicaSpecs"] = Value::Object(roles.collect());
    assert_eq!(likeness(&owner).compare(&likeness(&child())), Comparison::Different);
}
