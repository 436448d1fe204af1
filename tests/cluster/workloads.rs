//! Every supported kind on the real apiserver: refused, admitted and started by a queue, and its pods pass.
//!
//! The CRDs here contain only the names of the kinds, so that every object reaches the conditions of the webhook's
//! configuration. An expression that fails would refuse an object that it should skip.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::kinds::{KINDS, Kind, Kinds};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

use super::gate::{SOON, Yard, refusal, weighbridge};
use super::jobs::{annotate, pod, pod_spec};
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, Shared, repository_crds, wait_until};

/// A job that fits when it is sharded over 64 GPUs, but not on eight.
const LLAMA: &[(&str, &str)] = &[
    ("model", "llama-2-70b"),
    ("sharding", "fsdp"),
    ("framework", "fsdp"),
    ("recompute", "full"),
    ("attention", "flash"),
    ("precision", "bf16"),
    ("micro-batch-size", "1"),
    ("sequence-length", "2048"),
    ("gpu-type", "H100-80GB"),
];

/// A control plane with the CRDs of every kind, and a gate that reads ConfigMaps and claims.
pub(crate) struct Place {
    pub(crate) control_plane: &'static ControlPlane,
    pub(crate) serve: Serve,
}

impl Place {
    pub(crate) async fn shared() -> Result<&'static Self> {
        static CONTROL_PLANE: Shared = Shared::new(|| {
            let mut crds = repository_crds()?;
            crds.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/definitions.yaml"));
            Ok(Options { crds, ..Options::bare() })
        });
        static PLACE: OnceCell<Result<Place, String>> = OnceCell::const_new();
        let start = || async {
            let control_plane = CONTROL_PLANE.get().await?;
            let mut setup = Setup::new("every-kind", Reach::Everything);
            setup.arguments = ["--read-config-maps", "--read-claims", "--calculator-listen=127.0.0.1:0"]
                .map(str::to_owned)
                .to_vec();
            Ok(Self { control_plane, serve: Serve::start(control_plane, weighbridge(), setup).await? })
        };
        let place = PLACE
            .get_or_init(|| async { start().await.map_err(|error: anyhow::Error| format!("{error:#}")) });
        place.await.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    pub(crate) async fn yard(&self) -> Result<Yard<'_>> {
        Yard::new(self.control_plane, &self.serve, self.control_plane.namespace(&[]).await?)
    }
}

/// The spec of a kind, with a number of pods of a template.
fn spec(kind: &Kind, pods: u64, template: &Value) -> Value {
    let of_job = json!({"parallelism": pods, "completions": pods, "template": template});
    let replicated = json!({"replicas": pods, "template": template});
    match kind.slug {
        "job" => of_job,
        "cronjob" => json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": of_job}}),
        "kaiwojob" => json!({"job": {"spec": of_job}}),
        "pytorchjob" => json!({"pytorchReplicaSpecs": {"Worker": replicated}}),
        "tfjob" => json!({"tfReplicaSpecs": {"Worker": replicated}}),
        "paddlejob" => json!({"paddleReplicaSpecs": {"Worker": replicated}}),
        "jaxjob" => json!({"jaxReplicaSpecs": {"Worker": replicated}}),
        "mpijob" => json!({"mpiReplicaSpecs": {
            "Launcher": {"template": {"spec": pod_spec(0)}}, "Worker": replicated}}),
        "ascendjob" | "elasticjob" => json!({"replicaSpecs": {"worker": replicated}}),
        "hyperpodpytorchjob" => json!({"replicaSpecs": [replicated]}),
        "volcano-job" => json!({"tasks": [replicated]}),
        "jobset" => json!({"replicatedJobs": [{"name": "w", "template": {"spec": of_job}}]}),
        "raycluster" => ray(&replicated),
        "rayjob" => json!({"entrypoint": "python train.py", "rayClusterSpec": ray(&replicated)}),
        "leaderworkerset" => json!({"leaderWorkerTemplate": {"size": pods, "workerTemplate": template}}),
        "trainjob" => json!({"runtimeRef": {"name": "torch"}, "trainer": {
            "numNodes": pods, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}}),
        "appwrapper" => json!({"components": [{"template": {
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "inner"}, "spec": of_job}}]}),
        // A new kind gets no pods here, and so fails the test that it must be refused.
        _ => Value::Null,
    }
}

fn ray(workers: &Value) -> Value {
    json!({"headGroupSpec": {"template": {"spec": pod_spec(0)}}, "workerGroupSpecs": [workers]})
}

fn object(kind: &Kind, name: &str, pods: u64) -> Value {
    let version = kind.versions[0];
    let api_version =
        if kind.group.is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group) };
    json!({
        "apiVersion": api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "annotations": annotate(LLAMA)["metadata"]["annotations"]},
        "spec": spec(kind, pods, &json!({"spec": pod_spec(8)})),
    })
}

fn with_suspend(kind: &Kind, object: &mut Value, held: bool) {
    let Some(pointer) = kind.suspend else { return };
    let mut at = object;
    for field in pointer.trim_start_matches('/').split('/') {
        at = &mut at[field];
    }
    *at = json!(held);
}

#[tokio::test]
async fn every_kind_is_refused_or_admitted_and_started_and_its_pods_pass() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    for kind in KINDS.iter().filter(|kind| kind.slug != "pod") {
        let status = refusal(yard.create(&object(kind, "hopeless", 1)).await?);
        let status = status.map_err(|error| error.context(kind.slug))?;
        ensure!(
            status.code == 403 && status.message.contains(" GiB per GPU ("),
            "{}: {}",
            kind.slug,
            status.message
        );

        let mut fitting = object(kind, &format!("fitting-{}", kind.slug), 8);
        if kind.suspend.is_some() {
            with_suspend(kind, &mut fitting, true);
        }
        let created = yard.admitted(&fitting).await.map_err(|error| error.context(kind.slug))?;
        if kind.suspend.is_some() {
            let mut change = json!({});
            with_suspend(kind, &mut change, false);
            yard.change_admitted(&fitting, &change).await.map_err(|error| error.context(kind.slug))?;
        }

        if kind.makes.include(Kinds::built_in().find("", "Pod").unwrap()) {
            let mut child = pod(&format!("of-{}", kind.slug), LLAMA);
            child["metadata"]["ownerReferences"] = json!([{
                "apiVersion": fitting["apiVersion"], "kind": kind.kind, "name": created.metadata.name,
                "uid": created.metadata.uid, "controller": true,
            }]);
            yard.create(&child).await?.map_err(|error| anyhow::Error::from(error).context(kind.slug))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_queue_may_place_the_pods_of_a_trainjob() -> Result<()> {
    let yard = Place::shared().await?.yard().await?.by_kueue()?;
    let mut job = object(Kinds::built_in().find("trainer.kubeflow.org", "TrainJob").unwrap(), "llama", 8);
    job["spec"]["suspend"] = json!(true);
    yard.admitted(&job).await?;
    let patch = json!({"manager": "kueue.x-k8s.io/manager", "trainingRuntimeSpec": {"template": {"spec": {
        "replicatedJobs": [{"name": "node", "template": {"spec": {"template": {"spec": {
            "nodeSelector": {"nvidia.com/gpu.product": "Tesla-T4"}}}}}}]}}}});
    let change = json!({"spec": {"suspend": false, "runtimePatches": [patch]}});
    yard.change_admitted(&job, &change).await?;
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_not_a_queue_may_not_place_the_pods_of_a_trainjob() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let mut job = object(Kinds::built_in().find("trainer.kubeflow.org", "TrainJob").unwrap(), "llama", 8);
    job["metadata"]["annotations"].as_object_mut().unwrap().remove("weighbridge.dev/gpu-type");
    job["spec"]["suspend"] = json!(true);
    let place = |product: &str| json!([{"targetJobs": [{"name": "node"}], "spec": {"nodeSelector": {"nvidia.com/gpu.product": product}}}]);
    job["spec"]["podTemplateOverrides"] = place("NVIDIA-H100-80GB-HBM3");
    yard.admitted(&job).await?;
    let change = json!({"spec": {"suspend": false, "podTemplateOverrides": place("Tesla-T4")}});
    ensure!(refusal(yard.change(&job, &change).await?)?.code == 403);
    Ok(())
}

#[tokio::test]
async fn a_set_of_groups_is_judged_with_its_new_scale() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let kind = Kinds::built_in().find("leaderworkerset.x-k8s.io", "LeaderWorkerSet").unwrap();
    let mut set = object(kind, "llama", 1);
    set["spec"]["replicas"] = json!(8);
    yard.admitted(&set).await?;
    let sets = yard.of_the_kind_of(&set)?;
    let number = |replicas: u64| Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let status = refusal(sets.patch_scale("llama", &PatchParams::default(), &number(1)).await)?;
    ensure!(
        status.message.contains("scaled from 8 to 1, this LeaderWorkerSet runs out"),
        "{}",
        status.message
    );
    yard.asked(async { Ok(sets.patch_scale("llama", &PatchParams::default(), &number(9)).await?) }).await?;
    Ok(())
}

#[tokio::test]
async fn a_set_of_four_pods_has_one_estimate() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let kind = Kinds::built_in().find("leaderworkerset.x-k8s.io", "LeaderWorkerSet").unwrap();
    let set = object(kind, "llama", 4);
    yard.admitted(&set).await?;
    yard.estimate("leaderworkerset-llama").await?;
    for number in 0..4 {
        // Its controller makes StatefulSets, and theirs the pods.
        let mut made = pod(&format!("llama-0-{number}"), &[]);
        made["metadata"]["labels"] = json!({"leaderworkerset.sigs.k8s.io/name": "llama"});
        made["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "llama-0", "controller": true,
            "uid": "0b6ff2a6-6b3a-4a0e-9b59-0b6ff2a66b3a",
        }]);
        yard.create(&made).await??;
        ensure!(!yard.audited("create", &made).await?.contains_key("verdict"), "it was judged by itself");
    }
    // A pod of no set is judged, and its estimate shows that the pods before it were seen.
    yard.admitted(&pod("alone", &[("model", "llama-2-7b"), ("method", "qlora"), ("gpu-type", "H200")]))
        .await?;
    yard.estimate("pod-alone").await?;
    let estimates = yard.estimates().list(&kube::api::ListParams::default()).await?.items;
    let names: Vec<_> = estimates.iter().filter_map(|estimate| estimate.metadata.name.as_deref()).collect();
    assert_eq!(names, ["leaderworkerset-llama", "pod-alone"]);
    Ok(())
}

/// A list of an item that is too long for any expression of the configuration.
fn very_many(item: &Value) -> Value {
    Value::Array(vec![item.clone(); 90_000])
}

#[tokio::test]
async fn a_list_or_map_of_any_length_reaches_the_webhook() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let kind = |group, kind| Kinds::built_in().find(group, kind).unwrap();
    let with = |kind: &Kind, name: &str, pointer: &str, many: Value| {
        let mut object = object(kind, name, 1);
        *object.pointer_mut(pointer).unwrap() = many;
        object
    };
    let volcano = kind("batch.volcano.sh", "Job");
    let roles = |number: usize, role: &Value| -> Value {
        let roles = (0..number).map(|number| (number.to_string(), role.clone()));
        Value::Object(roles.collect())
    };
    let resource = json!(1);
    let resources: serde_json::Map<_, _> =
        (0..60_000).map(|number| (format!("smarter-devices/{number}"), resource.clone())).collect();
    let containers = |container: Value, number: usize| json!({"template": {"spec": {"containers": vec![container; number]}}});
    let mut nested = Vec::new();
    for _ in 0..60 {
        let few: serde_json::Map<_, _> =
            (0..30).map(|number| (format!("smarter-devices/{number}"), resource.clone())).collect();
        nested.push(containers(json!({"resources": {"limits": few}}), 30));
    }
    for (name, object) in [
        ("tasks", with(volcano, "tasks", "/spec/tasks", very_many(&json!({})))),
        ("nested", with(volcano, "nested", "/spec/tasks", Value::Array(nested))),
        (
            "containers",
            with(volcano, "containers", "/spec/tasks/0/template/spec/containers", very_many(&json!({}))),
        ),
        (
            "resources",
            with(
                volcano,
                "resources",
                "/spec/tasks/0/template/spec/containers/0/resources",
                json!({"limits": resources}),
            ),
        ),
        (
            "roles",
            with(
                kind("kubeflow.org", "PyTorchJob"),
                "roles",
                "/spec/pytorchReplicaSpecs",
                roles(60_000, &json!({})),
            ),
        ),
        (
            "jobs",
            with(kind("jobset.x-k8s.io", "JobSet"), "jobs", "/spec/replicatedJobs", very_many(&json!({}))),
        ),
        (
            "workers",
            with(kind("ray.io", "RayCluster"), "workers", "/spec/workerGroupSpecs", very_many(&json!({}))),
        ),
    ] {
        let mut object = object;
        // Only the length of the list makes this object reach the webhook.
        object["metadata"]["annotations"] = json!({});
        let before = yard.requests().await?;
        let answer = yard.create(&object).await?;
        ensure!(yard.requests().await? > before, "{name} slipped by: {:?}", answer.err());
    }
    Ok(())
}

#[tokio::test]
async fn the_longest_searched_lists_stay_within_the_cost_of_an_expression() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let many = |number: usize, key: &str| -> Value {
        let entries = (0..number).map(|number| (format!("{key}{number}"), json!("1")));
        Value::Object(entries.collect())
    };
    let resources = many(16, "smarter-devices/a");
    let container = json!({"resources": {"limits": resources, "requests": resources}});
    let containers = Value::Array(vec![container; 8]);
    let template = json!({
        "metadata": {"annotations": many(64, "example.com/a")},
        "spec": {"containers": containers, "initContainers": containers},
    });
    for (kind, spec) in [
        ("batch.volcano.sh", json!({"tasks": vec![json!({"template": template}); 32]})),
        (
            "ray.io",
            json!({"headGroupSpec": {"template": template},
            "workerGroupSpecs": vec![json!({"template": template}); 32]}),
        ),
        (
            "kubeflow.org",
            json!({"pytorchReplicaSpecs": (0..32).map(|number| {
            (number.to_string(), json!({"template": template}))
        }).collect::<serde_json::Map<_, _>>()}),
        ),
    ] {
        let kind = KINDS.iter().find(|known| known.group == kind).unwrap();
        let kind = if kind.group == "ray.io" {
            Kinds::built_in().find("ray.io", "RayCluster").unwrap()
        } else {
            kind
        };
        let mut object = object(kind, "longest", 1);
        object["metadata"]["annotations"] = many(64, "example.com/a");
        object["spec"] = spec;
        // An expression that fails would refuse here, because the failure policy is Fail.
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let created = yard.of_the_kind_of(&object)?.create(&dry_run, &serde_json::from_value(object)?).await;
        ensure!(created.is_ok(), "{}: {:?}", kind.slug, created.err());
    }
    Ok(())
}

#[tokio::test]
async fn a_value_in_place_of_a_list_or_map_reaches_the_webhook() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let mut failed = Vec::new();
    for odd in
        [json!("text"), json!(7), json!(true), json!([]), json!({}), json!([[]]), json!([7]), Value::Null]
    {
        for (group, name, pointer) in [
            ("kubeflow.org", "PyTorchJob", "/spec"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs/Odd"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs/Odd/template"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs/Odd/template/spec"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs/Odd/template/spec/containers"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs/Odd/template/spec/resourceClaims"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs/Odd/template/metadata"),
            ("kubeflow.org", "PyTorchJob", "/spec/pytorchReplicaSpecs/Odd/template/metadata/annotations"),
            ("batch.volcano.sh", "Job", "/spec/tasks"),
            ("batch.volcano.sh", "Job", "/spec/tasks/0"),
            ("batch.volcano.sh", "Job", "/spec/tasks/0/template"),
            ("batch.volcano.sh", "Job", "/spec/tasks/0/template/spec/containers"),
            ("batch.volcano.sh", "Job", "/spec/tasks/0/template/spec/containers/0"),
            ("batch.volcano.sh", "Job", "/spec/tasks/0/template/spec/containers/0/resources"),
            ("batch.volcano.sh", "Job", "/spec/tasks/0/template/spec/containers/0/resources/limits"),
            ("jobset.x-k8s.io", "JobSet", "/spec/replicatedJobs/0/template"),
            ("ray.io", "RayCluster", "/spec/headGroupSpec"),
            ("ray.io", "RayCluster", "/spec/headGroupSpec/template"),
            ("leaderworkerset.x-k8s.io", "LeaderWorkerSet", "/spec/leaderWorkerTemplate"),
        ] {
            let kind = Kinds::built_in().find(group, name).unwrap();
            let mut object = object(kind, "odd", 1);
            object["metadata"]["annotations"] = json!({});
            if name == "PyTorchJob" {
                object["spec"]["pytorchReplicaSpecs"]["Odd"] =
                    json!({"template": {"metadata": {"annotations": {}}, "spec": {"containers": []}}});
            }
            if let Some(place) = object.pointer_mut(pointer) {
                *place = odd.clone();
            } else {
                let (parent, field) = pointer.rsplit_once('/').unwrap();
                object.pointer_mut(parent).unwrap()[field] = odd.clone();
            }
            let api = yard.of_the_kind_of(&object)?;
            let dry_run = PostParams { dry_run: true, ..PostParams::default() };
            // An expression that fails would refuse here, because the failure policy is Fail.
            if let Err(error) = api.create(&dry_run, &serde_json::from_value(object)?).await
                && !error.to_string().contains("accessor error")
            {
                failed.push(format!("{name} {pointer} {odd}: {error}"));
            }
        }
    }
    // For some of these values, the scale of the CRD refuses before the webhook is called.
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_trainjob_is_judged_with_its_runtime_and_again_when_it_changes() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let runtimes: Api<DynamicObject> = Api::namespaced_with(
        yard.client.clone(),
        yard.name(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk("trainer.kubeflow.org", "v1alpha1", "TrainingRuntime")),
    );
    let mut container = pod_spec(8)["containers"][0].clone();
    container["name"] = json!("node");
    let job = json!({"name": "node", "template": {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }});
    let runtime = json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime",
        "metadata": {"name": "own"},
        "spec": {"mlPolicy": {"numNodes": 8}, "template": {"spec": {"replicatedJobs": [job]}}},
    });
    runtimes.create(&PostParams::default(), &serde_json::from_value(runtime)?).await?;

    let mut job = object(Kinds::built_in().find("trainer.kubeflow.org", "TrainJob").unwrap(), "llama", 8);
    job["spec"] = json!({"runtimeRef": {"kind": "TrainingRuntime", "name": "own"}});
    yard.admitted(&job).await?;
    let fits = yard.estimate_that("trainjob-llama", "Fits").await?;
    ensure!(fits["status"]["inputs"].to_string().contains("accelerator.count"), "{fits}");

    let fewer = json!({"spec": {"mlPolicy": {"numNodes": 1}}});
    runtimes.patch("own", &PatchParams::default(), &Patch::Merge(&fewer)).await?;
    yard.estimate_that("trainjob-llama", "OutOfMemory").await?;
    let late = refusal(yard.create(&super::jobs::named(job, "late")).await?)?;
    ensure!(late.code == 403, "{}", late.message);
    Ok(())
}

#[tokio::test]
async fn config_maps_are_watched_if_the_policy_allows_it() -> Result<()> {
    config_maps_are_watched(Place::shared().await?).await
}

async fn config_maps_are_watched(place: &Place) -> Result<()> {
    wait_until("the watch of ConfigMaps", SOON, || async {
        let metrics = place.serve.metrics().await?;
        Ok(metrics.sum("weighbridge_watches", &[("resource", "configmaps")]) > 0.5)
    })
    .await
}

#[tokio::test]
async fn a_job_is_unknown_until_its_script_is_created() -> Result<()> {
    let place = Place::shared().await?;
    let yard = place.yard().await?;
    config_maps_are_watched(place).await?;
    let mut spec = pod_spec(8);
    spec["nodeSelector"] = json!({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"});
    spec["containers"][0]["command"] = json!(["bash", "/cfg/run.sh"]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "scripts", "mountPath": "/cfg"}]);
    spec["volumes"] = json!([{"name": "scripts", "configMap": {"name": "launch"}}]);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "early"}, "spec": {"template": {"spec": spec}},
    });
    yard.admitted(&job).await?;
    let noted = yard.audited("create", &job).await?;
    ensure!(noted.get("reason").map(String::as_str) == Some("ReferenceNotFound"), "{noted:?}");
    yard.estimate_that("job-early", "Unknown").await?;

    let script = "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 80 --hidden-size 8192 \
        --num-attention-heads 64 --seq-length 4096 --micro-batch-size 1 --bf16 --use-mcore-models";
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "launch"}, "data": {"run.sh": script},
    });
    yard.create(&map).await??;
    yard.estimate_that("job-early", "OutOfMemory").await?;
    Ok(())
}

#[tokio::test]
async fn every_manifest_that_trains_reaches_the_webhook() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    for file in files()? {
        let text = std::fs::read_to_string(&file)?;
        let documents = serde_saphyr::from_multiple::<Value>(&text)?;
        let around = Surroundings::of(&documents, Kinds::built_in());
        for mut object in documents.into_iter().filter(|object| Kinds::built_in().of(object).is_some()) {
            let what = format!("{} {}", file.display(), object["kind"]);
            let judge = |object| judge(object, &around, &World::built_in(), &Ask::default());
            let trains = judge(&object).verdict.trains();
            object["metadata"]["namespace"] = json!(yard.name());
            let before = yard.requests().await?;
            match yard.create(&object).await? {
                Ok(_) => {}
                // Conditions must not fail, so the only allowed refusal is the webhook's, about memory.
                Err(kube::Error::Api(status)) => {
                    ensure!(status.message.contains(" GiB per GPU ("), "{what}: {}", status.message);
                }
                Err(error) => return Err(error.into()),
            }
            ensure!(!trains || yard.requests().await? > before, "{what} slipped by");
        }
    }
    Ok(())
}

fn files() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let mut files = std::fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    ensure!(!files.is_empty(), "there are no manifests");
    Ok(files)
}
