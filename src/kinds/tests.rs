//! An object of every kind: its groups of pods, the paths of their templates, and their numbers.

#![expect(clippy::needless_pass_by_value, reason = "json! makes values")]
#![expect(clippy::too_many_lines, reason = "a table with a row a kind")]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::kinds::*;
use crate::surroundings::Documents;

/// The groups of an object as `path × pods`, and the absent object that it refers to.
fn groups(object: &Value, around: &Surroundings) -> (Vec<String>, Option<String>) {
    let kind = Kinds::built_in().of(object).expect("a known kind");
    let completed = kind.completed(object, around);
    let (groups, _) = completed.pod_groups(kind);
    let shown =
        groups.iter().map(|g| format!("{} × {}", g.path, g.replicas.map_or("?".into(), |n| n.to_string())));
    (shown.collect(), completed.absent.clone())
}

fn of_spec(api_version: &str, kind: &str, spec: Value) -> Vec<String> {
    let object = json!({"apiVersion": api_version, "kind": kind, "spec": spec});
    groups(&object, &Surroundings::default()).0
}

#[test]
fn every_kind_finds_its_templates_and_counts_its_pods() {
    let t = || json!({"spec": {"containers": []}});
    for (api_version, kind, spec, expected) in [
        ("v1", "Pod", json!({"containers": []}), vec![" × 1"]),
        (
            "kubeflow.org/v1",
            "PyTorchJob",
            json!({"pytorchReplicaSpecs": {"Master": {"template": t()}, "Worker": {"replicas": 3, "template": t()}}}),
            vec![
                "spec.pytorchReplicaSpecs.Master.template × 1",
                "spec.pytorchReplicaSpecs.Worker.template × 3",
            ],
        ),
        (
            "kubeflow.org/v1",
            "TFJob",
            json!({"tfReplicaSpecs": {"PS": {"replicas": 2, "template": t()}}}),
            vec!["spec.tfReplicaSpecs.PS.template × 2"],
        ),
        (
            "kubeflow.org/v1",
            "PaddleJob",
            json!({"paddleReplicaSpecs": {"Worker": {"replicas": 2, "template": t()}}}),
            vec!["spec.paddleReplicaSpecs.Worker.template × 2"],
        ),
        (
            "kubeflow.org/v1",
            "JAXJob",
            json!({"jaxReplicaSpecs": {"Worker": {"replicas": 2, "template": t()}}}),
            vec!["spec.jaxReplicaSpecs.Worker.template × 2"],
        ),
        (
            "kubeflow.org/v2beta1",
            "MPIJob",
            json!({"mpiReplicaSpecs": {"Launcher": {"template": t()}, "Worker": {"replicas": 8, "template": t()}}}),
            vec!["spec.mpiReplicaSpecs.Launcher.template × 1", "spec.mpiReplicaSpecs.Worker.template × 8"],
        ),
        (
            "jobset.x-k8s.io/v1alpha2",
            "JobSet",
            json!({"replicatedJobs": [
                {"name": "w", "replicas": 2, "template": {"spec": {"parallelism": 4, "completions": 3, "template": t()}}},
            ]}),
            vec!["spec.replicatedJobs[0].template.spec.template × 6"],
        ),
        (
            "ray.io/v1",
            "RayCluster",
            json!({"headGroupSpec": {"template": t()},
                   "workerGroupSpecs": [{"replicas": 2, "numOfHosts": 4, "template": t()}]}),
            vec!["spec.headGroupSpec.template × 1", "spec.workerGroupSpecs[0].template × 8"],
        ),
        (
            "ray.io/v1",
            "RayJob",
            json!({"rayClusterSpec": {"enableInTreeAutoscaling": true, "headGroupSpec": {"template": t()},
                   "workerGroupSpecs": [{"replicas": 1, "maxReplicas": 9, "template": t()}]}}),
            vec![
                "spec.rayClusterSpec.headGroupSpec.template × 1",
                "spec.rayClusterSpec.workerGroupSpecs[0].template × ?",
            ],
        ),
        ("ray.io/v1", "RayJob", json!({"clusterSelector": {"ray.io/cluster": "a"}}), vec![]),
        (
            "batch.volcano.sh/v1alpha1",
            "Job",
            json!({"tasks": [{"name": "master", "template": t()}, {"name": "worker", "replicas": 7, "template": t()}]}),
            vec!["spec.tasks[0].template × 1", "spec.tasks[1].template × 7"],
        ),
        (
            "leaderworkerset.x-k8s.io/v1",
            "LeaderWorkerSet",
            json!({"replicas": 2, "leaderWorkerTemplate": {"size": 4, "workerTemplate": t()}}),
            vec!["spec.leaderWorkerTemplate.workerTemplate × 8"],
        ),
        (
            "leaderworkerset.x-k8s.io/v1",
            "LeaderWorkerSet",
            json!({"leaderWorkerTemplate": {"size": 4, "leaderTemplate": t(), "workerTemplate": t()}}),
            vec![
                "spec.leaderWorkerTemplate.leaderTemplate × 1",
                "spec.leaderWorkerTemplate.workerTemplate × 3",
            ],
        ),
        (
            "sagemaker.amazonaws.com/v1",
            "HyperPodPyTorchJob",
            json!({"replicaSpecs": [{"name": "pods", "replicas": 4, "template": t()}]}),
            vec!["spec.replicaSpecs[0].template × 4"],
        ),
        (
            "mindxdl.gitee.com/v1",
            "AscendJob",
            json!({"replicaSpecs": {"Master": {"replicas": 1, "template": t()}}}),
            vec!["spec.replicaSpecs.Master.template × 1"],
        ),
        (
            "elastic.iml.github.io/v1alpha1",
            "ElasticJob",
            json!({"replicaSpecs": {"worker": {"replicas": 2, "template": t()}}}),
            vec!["spec.replicaSpecs.worker.template × 2"],
        ),
        (
            "kaiwo.silogen.ai/v1alpha1",
            "KaiwoJob",
            json!({"job": {"spec": {"parallelism": 2, "template": t()}}}),
            vec!["spec.job.spec.template × 2"],
        ),
        (
            "kaiwo.silogen.ai/v1alpha1",
            "KaiwoJob",
            json!({"gpus": 8, "gpuVendor": "nvidia", "entrypoint": "torchrun train.py"}),
            vec!["spec × 1"],
        ),
        (
            "kaiwo.silogen.ai/v1alpha1",
            "KaiwoJob",
            json!({"replicas": 4, "gpusPerReplica": 8, "ray": true, "rayJob": {"spec": {"rayClusterSpec": {
                "headGroupSpec": {"template": t()}, "workerGroupSpecs": [{"template": t()}]}}}}),
            vec![
                "spec.rayJob.spec.rayClusterSpec.headGroupSpec.template × 1",
                "spec.rayJob.spec.rayClusterSpec.workerGroupSpecs[0].template × 4",
            ],
        ),
        (
            "kubeflow.org/v2alpha1",
            "TrainJob",
            json!({"trainer": {"numNodes": 2, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}}),
            vec!["spec.trainer × 2"],
        ),
        (
            "batch/v1",
            "CronJob",
            json!({"jobTemplate": {"spec": {"template": t()}}}),
            vec!["spec.jobTemplate.spec.template × 1"],
        ),
        (
            "workload.codeflare.dev/v1beta2",
            "AppWrapper",
            json!({"components": [
                {"template": {"apiVersion": "v1", "kind": "Service", "spec": {}}},
                {"template": {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {
                    "pytorchReplicaSpecs": {"Master": {"template": t()}}}}},
                {"template": {"apiVersion": "v1", "kind": "Pod", "spec": {}}},
                {"template": {"apiVersion": "workload.codeflare.dev/v1beta2", "kind": "AppWrapper", "spec": {}}},
            ]}),
            vec![
                "spec.components[1].template.spec.pytorchReplicaSpecs.Master.template × 1",
                "spec.components[2].template × 1",
            ],
        ),
    ] {
        assert_eq!(of_spec(api_version, kind, spec), expected, "{kind}");
    }
}

#[test]
fn an_empty_spec_has_no_groups() {
    for kind in KINDS.iter().filter(|kind| kind.slug != "pod") {
        for spec in [json!(null), json!([]), json!({}), json!("text")] {
            let version = kind.versions[0];
            let api_version =
                if kind.group.is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group) };
            assert!(of_spec(&api_version, kind.kind, spec).is_empty(), "{}", kind.slug);
        }
    }
}

#[test]
fn slugs_are_unique_and_fit_a_name() {
    let slugs: BTreeSet<_> = KINDS.iter().map(|k| k.slug).collect();
    assert_eq!(slugs.len(), KINDS.len());
    assert!(slugs.iter().all(|s| s.len() <= 40 && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
}

#[test]
fn a_kind_is_found_in_any_version() {
    let object = json!({"apiVersion": "batch/v1", "kind": "Job"});
    assert_eq!(Kinds::built_in().of(&object).map(|k| k.slug), Some("job"));
    let volcano = json!({"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job"});
    assert_eq!(Kinds::built_in().of(&volcano).map(|k| k.slug), Some("volcano-job"));
    assert!(Kinds::built_in().of(&json!({"apiVersion": "apps/v1", "kind": "Job"})).is_none());
    assert!(Kinds::built_in().of(&json!({"apiVersion": 1, "kind": []})).is_none());
}

#[test]
fn a_wrapper_trains_if_one_of_its_components_does() {
    let wrapper = |api_version: &str, kind: &str| {
        let inner = json!({"apiVersion": api_version, "kind": kind, "metadata": {"annotations": {}}});
        json!({"apiVersion": "workload.codeflare.dev/v1beta2", "kind": "AppWrapper",
               "spec": {"components": [{"template": inner}]}})
    };
    let purpose = |object: &Value| Kinds::built_in().of(object).unwrap().purpose_of(object);
    assert_eq!(purpose(&wrapper("kubeflow.org/v1", "PyTorchJob")), Purpose::Training);
    assert_eq!(purpose(&wrapper("batch/v1", "Job")), Purpose::General);
}

/// A job of a runtime, with one container.
fn replicated(name: &str, step: &str, container: &Value) -> Value {
    json!({"name": name, "template": {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": step}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }})
}

fn runtime(policy: Value, jobs: Value) -> Surroundings {
    let runtime = json!({"spec": {"mlPolicy": policy, "template": {"spec": {"replicatedJobs": jobs}}}});
    let mut documents = Documents::default();
    documents.add("ClusterTrainingRuntime", "", "torch", runtime.into());
    Surroundings { documents: documents.into(), ..Surroundings::default() }
}

fn trainjob(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
                            "metadata": {"name": "a", "namespace": "team"}, "spec": {"runtimeRef": {"name": "torch"}}});
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn torch() -> Surroundings {
    let node = json!({"name": "node", "image": "torch", "command": ["torchrun", "default.py"],
                      "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
    let fetches = json!({"name": "fetch", "env": [{"name": "STORAGE_URI", "value": "hf://org/model@main"}]});
    runtime(
        json!({"numNodes": 2}),
        json!([replicated("init", "model-initializer", &fetches), replicated("node", "trainer", &node)]),
    )
}

fn completed(object: &Value, around: &Surroundings) -> Value {
    Kinds::built_in().of(object).unwrap().completed(object, around).object.into_owned()
}

#[test]
fn a_trainjob_is_its_runtime_with_its_changes() {
    let object = trainjob(json!({"trainer": {
        "numNodes": 4, "args": ["--tp=8"], "env": [{"name": "B", "value": "3"}],
        "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}},
    }}));
    let (shown, absent) = groups(&object, &torch());
    assert_eq!(absent, None);
    assert_eq!(
        shown,
        ["ClusterTrainingRuntime torch job init × 1", "ClusterTrainingRuntime torch job node × 4"]
    );
    let made = completed(&object, &torch());
    assert_eq!(
        made["spec"]["groups"][1]["template"]["spec"]["containers"][0],
        json!({"name": "node", "image": "torch", "command": ["torchrun", "default.py"],
               "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}],
               "args": ["--tp=8"], "resources": {"limits": {"nvidia.com/gpu": 8}}})
    );
    let model = Kinds::built_in().of(&made).unwrap().model.unwrap();
    assert_eq!(model(&made).map(|(name, _)| name).as_deref(), Some("org/model"));
    // The job gives no number of nodes, so the runtime's number counts.
    assert_eq!(groups(&trainjob(json!({})), &torch()).0[1], "ClusterTrainingRuntime torch job node × 2");
}

#[test]
fn a_container_of_another_name_keeps_its_own_command() {
    let around = runtime(
        json!({}),
        json!([replicated("node", "trainer", &json!({"name": "trainer", "args": ["a"]}))]),
    );
    let made = completed(&trainjob(json!({"trainer": {"args": ["b"]}})), &around);
    assert_eq!(made["spec"]["groups"][0]["template"]["spec"]["containers"][0]["args"], json!(["a"]));
}

#[test]
fn the_jobs_resources_are_merged_into_the_runtimes() {
    let node = json!({"name": "node", "resources": {"limits": {"nvidia.com/gpu": 8, "memory": "1Gi"}}});
    let around = runtime(json!({}), json!([replicated("node", "trainer", &node)]));
    let made = completed(
        &trainjob(json!({"trainer": {"resourcesPerNode": {"limits": {"memory": "100Gi"}}}})),
        &around,
    );
    let container = &made["spec"]["groups"][0]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"], json!({"nvidia.com/gpu": 8, "memory": "100Gi"}));
}

#[test]
fn an_absent_runtime_is_named_and_the_trainer_is_read() {
    let gpus = json!({"limits": {"nvidia.com/gpu": 8}});
    for (trainer, expected) in [
        (json!({"numNodes": 4, "resourcesPerNode": gpus}), vec!["spec.trainer × 4"]),
        (json!({"resourcesPerNode": gpus}), vec!["spec.trainer × ?"]),
        (json!(null), vec![]),
    ] {
        let object = trainjob(if trainer.is_null() { json!({}) } else { json!({"trainer": trainer}) });
        let (shown, absent) = groups(&object, &Surroundings::default());
        assert_eq!(
            (shown, absent.as_deref()),
            (expected.into_iter().map(str::to_owned).collect(), Some("ClusterTrainingRuntime torch"))
        );
    }
}

#[test]
fn an_mpi_launcher_has_the_command_and_the_nodes_have_the_accelerators() {
    let jobs = || {
        let mut node = replicated("node", "", &json!({"name": "node"}));
        node["template"]["metadata"] = json!({});
        json!([replicated("launcher", "trainer", &json!({"name": "node"})), node])
    };
    let trainer = json!({"trainer": {"numNodes": 4, "command": ["mpirun", "x.py"],
                                     "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}});
    for (launcher_is_node, gpus_of_launcher, nodes) in [(true, json!(8), 3), (false, json!(null), 4)] {
        let around = runtime(json!({"mpi": {"runLauncherAsNode": launcher_is_node}}), jobs());
        let groups = completed(&trainjob(trainer.clone()), &around)["spec"]["groups"].clone();
        let container = |group: usize| groups[group]["template"]["spec"]["containers"][0].clone();
        assert_eq!(container(0)["resources"]["limits"]["nvidia.com/gpu"], gpus_of_launcher);
        assert_eq!(container(1)["resources"]["limits"]["nvidia.com/gpu"], json!(8));
        assert_eq!(
            (container(0)["command"][0].clone(), container(1).get("command")),
            (json!("mpirun"), None)
        );
        assert_eq!((groups[0]["pods"].clone(), groups[1]["pods"].clone()), (json!(1), json!(nodes)));
    }
}

#[test]
fn all_three_schemas_of_overrides_are_read() {
    let pod = json!({"nodeSelector": {"gpu": "h100"}, "volumes": [{"name": "v", "configMap": {"name": "c"}}],
                     "containers": [{"name": "node", "env": [{"name": "A", "value": "9"}], "image": "ignored"}]});
    let mut flat = pod.clone();
    flat["targetJobs"] = json!([{"name": "node"}]);
    let replicated = json!({"name": "node", "template": {"spec": {"template": {"spec": pod}}}});
    for spec in [
        json!({"podSpecOverrides": [flat]}),
        json!({"podTemplateOverrides": [{"targetJobs": [{"name": "node"}], "spec": pod}]}),
        json!({"runtimePatches": [{"manager": "m", "trainingRuntimeSpec":
            {"template": {"spec": {"replicatedJobs": [replicated]}}}}]}),
    ] {
        let made = completed(&trainjob(spec.clone()), &torch());
        let template = &made["spec"]["groups"][1]["template"]["spec"];
        assert_eq!(template["nodeSelector"], json!({"gpu": "h100"}), "{spec}");
        assert_eq!(template["volumes"][0]["name"], "v", "{spec}");
        assert_eq!(template["containers"][0]["env"][0]["value"], "9", "{spec}");
        assert_eq!(template["containers"][0]["image"], "torch", "{spec}");
        assert!(made["spec"]["groups"][0]["template"]["spec"].get("nodeSelector").is_none(), "{spec}");
    }
}

#[test]
fn a_trainjob_in_a_wrapper_is_completed_from_the_wrappers_namespace() {
    let mut inner = trainjob(json!({"runtimeRef": {"kind": "TrainingRuntime", "name": "own"}}));
    inner["metadata"] = json!({"name": "a"});
    let wrapper = json!({"apiVersion": "workload.codeflare.dev/v1beta2", "kind": "AppWrapper",
                         "metadata": {"namespace": "team"}, "spec": {"components": [{"template": inner}]}});
    let mut documents = Documents::default();
    let job = replicated("node", "trainer", &json!({"name": "node"}));
    documents.add(
        "TrainingRuntime",
        "team",
        "own",
        json!({"spec": {"template": {"spec": {"replicatedJobs": [job]}}}}).into(),
    );
    let around = Surroundings { documents: documents.into(), ..Surroundings::default() };
    let (shown, absent) = groups(&wrapper, &around);
    assert_eq!(
        (shown, absent),
        (vec!["spec.components[0].template.TrainingRuntime own job node × 1".to_owned()], None)
    );
}
