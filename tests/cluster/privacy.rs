//! A user who may create a workload, but may not read the objects that it refers to, learns nothing of them through
//! the gate.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::gate::{SOON, Yard};
use super::jobs::pytorchjob;
use super::workloads::Place;
use crate::controlplane::{KubectlOutput, wait_until};

/// Words and numbers that occur only in the other objects.
const CANARIES: &[&str] = &["canaryword", "6151", "929"];

/// A user who may create training jobs and read their estimates and events, and nothing else.
async fn create_carol(yard: &Yard<'_>) -> Result<String> {
    let name = format!("{}-carol", yard.name());
    let metadata = json!({"name": "trains"});
    let role = json!({"metadata": metadata, "rules": [
        {"apiGroups": ["kubeflow.org", "trainer.kubeflow.org"], "resources": ["pytorchjobs", "trainjobs"],
         "verbs": ["create", "get"]},
        {"apiGroups": ["weighbridge.dev"], "resources": ["trainingestimates"], "verbs": ["get", "list"]},
    ]});
    let binding = json!({
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "trains"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    });
    let roles: Api<Role> = Api::namespaced(yard.client.clone(), yard.name());
    let bindings: Api<RoleBinding> = Api::namespaced(yard.client.clone(), yard.name());
    roles.create(&PostParams::default(), &serde_json::from_value(role)?).await?;
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    Ok(name)
}

/// A uid is random, and may hold a canary by chance.
fn quiet(what: &str, text: &str) -> Result<()> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_uid = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let told: Vec<String> = words.filter(|word| !is_uid(word)).map(str::to_lowercase).collect();
    for canary in CANARIES {
        ensure!(!told.iter().any(|word| word.contains(canary)), "{what} tells {canary}: {text}");
    }
    Ok(())
}

/// Creates an object as a user, with kubectl, in a dry run.
async fn dry_run(yard: &Yard<'_>, user: &str, object: &Value) -> Result<KubectlOutput> {
    let kubectl = yard.control_plane.kubectl_as(user, &[])?;
    let arguments = ["create", "--dry-run=server", "-n", yard.name(), "-f", "-"];
    kubectl.run_with_input(&arguments, &object.to_string()).await
}

/// A job whose container reads the ConfigMap in every way.
fn job(name: &str, command: &Value, annotations: &[(&str, &str)]) -> Value {
    let mut job = pytorchjob(name, 1, annotations);
    let spec = &mut job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"];
    let of_map = |name: &str, key: &str| json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": "secrets", "key": key}}});
    spec["volumes"] = json!([{"name": "v", "configMap": {"name": "secrets"}}]);
    let container = &mut spec["containers"][0];
    container["command"] = command.clone();
    container["env"] = json!([of_map("P", "word"), of_map("N", "number")]);
    container["envFrom"] = json!([{"configMapRef": {"name": "secrets"}}]);
    container["volumeMounts"] = json!([{"name": "v", "mountPath": "/cfg"}]);
    job
}

fn commands() -> Vec<Value> {
    let shell = |script: &str| json!(["bash", "-c", script]);
    vec![
        json!([
            "torchrun",
            "run_clm.py",
            "--do_train",
            "--model_name_or_path",
            "$(P)",
            "--block_size",
            "$(N)"
        ]),
        shell("torchrun run_clm.py --do_train --model_name_or_path $P --block_size $N"),
        shell("torchrun run_clm.py --do_train --model_name_or_path ${word} --block_size $((N))"),
        shell(
            "torchrun run_clm.py --do_train --model_name_or_path \"$(cat /cfg/word)\" --block_size $number",
        ),
        shell("bash /cfg/train.sh"),
        shell(". /cfg/env.sh; torchrun run_clm.py --do_train --model_name_or_path $M"),
        shell("cat > /tmp/c.yaml <<EOF\nbase_model: $P\nsequence_len: $N\nEOF\naxolotl train /tmp/c.yaml"),
        shell("eval \"$(echo $P)\"; torchrun $P.py --model $P"),
        json!(["axolotl", "train", "/cfg/axolotl.yaml"]),
        json!(["axolotl", "train", "/cfg/broken.yaml"]),
    ]
}

/// Asserts that no output quotes the canaries: answers, estimates, events, audit notes, log and metrics.
async fn assert_quiet(yard: &Yard<'_>, job: &Value) -> Result<()> {
    let estimates = yard.estimates().list(&ListParams::default()).await?;
    ensure!(!estimates.items.is_empty(), "there is no estimate");
    for estimate in estimates.items {
        quiet("an estimate", &serde_json::to_string(&estimate)?)?;
    }
    let events: Api<DynamicObject> = Api::namespaced_with(
        yard.client.clone(),
        yard.name(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event")),
    );
    for event in events.list(&ListParams::default()).await?.items {
        quiet("an event", &event.data["note"].to_string())?;
    }
    quiet("the audit log", &format!("{:?}", yard.audited("create", job).await?))?;
    let log = std::fs::read_to_string(yard.serve.log())?;
    ensure!(!log.to_lowercase().contains("canaryword"), "the log quotes it");
    let metrics = format!("{:?}", yard.serve.metrics().await?);
    ensure!(!metrics.contains("canaryword"), "the metrics quote it");
    Ok(())
}

#[tokio::test]
async fn a_user_who_may_not_read_config_maps_reads_none_through_the_gate() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let train = "torchrun run_clm.py --do_train --model_name_or_path canaryword/x --block_size 6151";
    let data = json!({
        "word": "canaryword/secret", "number": "6151", "train.sh": train, "env.sh": "export M=canaryword/secret",
        "axolotl.yaml": "base_model: canaryword/secret\nsequence_len: 6151\nmicro_batch_size: 929\n",
        "broken.yaml": "base_model: [canaryword\n a: {6151",
    });
    let map = json!({"metadata": {"name": "secrets"}, "data": data});
    let maps: Api<ConfigMap> = Api::namespaced(yard.client.clone(), yard.name());
    maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;

    let user = create_carol(&yard).await?;
    let client: Client = yard.control_plane.user(&user, &[])?;
    let hers: Api<ConfigMap> = Api::namespaced(client, yard.name());
    ensure!(hers.get("secrets").await.is_err(), "she may read it anyway");

    // Waits until the gate has read the ConfigMap and the user may create jobs.
    let first = job("llama", &commands()[0], &[]);
    wait_until("the gate to have read the ConfigMap", SOON, || async {
        let output = dry_run(&yard, &user, &first).await?;
        Ok(output.status.success() && output.stderr.contains("the model that ConfigMap secrets"))
    })
    .await?;

    let hopeless: &[(&str, &str)] = &[
        ("model", "llama-2-70b"),
        ("tensor-parallel", "8"),
        ("gpu-type", "A800-80GB"),
        ("framework", "megatron"),
    ];
    let by_size: &[(&str, &str)] = &[("parameters", "7B"), ("gpu-type", "H100-80GB")];
    let mut refused = 0;
    for command in commands() {
        for annotations in [&[], hopeless, by_size] {
            let output = dry_run(&yard, &user, &job("llama", &command, annotations)).await?;
            quiet(&format!("{command} with {annotations:?}"), &output.stderr)?;
            refused += usize::from(output.stderr.contains(" GiB per GPU ("));
        }
    }
    ensure!(refused > 0, "nothing was judged");

    let contradicting = job("llama", &commands()[0], &[("model", "llama-2-7b"), ("gpu-type", "H100-80GB")]);
    let output = dry_run(&yard, &user, &contradicting).await?;
    ensure!(
        output.stderr.contains("(annotation weighbridge.dev/model), not what ConfigMap secrets"),
        "{output:?}"
    );

    yard.admitted(&first).await?;
    let estimate = yard.estimate("pytorchjob-llama").await?;
    let inputs = estimate["status"]["inputs"].as_array().context("it has no inputs")?;
    let model = inputs.iter().find(|input| input["field"] == "model.name").context("no model")?;
    ensure!(
        model["value"] == "" && model["source"].to_string().contains("from ConfigMap secrets"),
        "{model}"
    );
    assert_quiet(&yard, &first).await
}

#[tokio::test]
async fn a_user_who_may_not_read_a_runtime_reads_none_through_the_gate() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let container = json!({
        "name": "node", "image": "none", "resources": {"limits": {"nvidia.com/gpu": 8}},
        "command": ["torchrun", "run_clm.py", "--do_train", "--model_name_or_path", "canaryword/secret", "--block_size",
                    "6151"],
    });
    let annotations =
        json!({"weighbridge.dev/tensor-parallel": "canaryword", "weighbridge.dev/override": "canaryword"});
    let spec =
        json!({"nodeSelector": {"nvidia.com/gpu.product": "canaryword-gpu"}, "containers": [container]});
    let step = json!({"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"});
    let runtime = json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime", "metadata": {"name": "hidden"},
        "spec": {"mlPolicy": {"numNodes": 929}, "template": {"spec": {"replicatedJobs": [{
            "name": "canaryword", "template": {
                "metadata": {"labels": step},
                "spec": {"template": {"metadata": {"annotations": annotations}, "spec": spec}},
            },
        }]}}},
    });
    let kind = GroupVersionKind::gvk("trainer.kubeflow.org", "v1alpha1", "TrainingRuntime");
    let runtimes: Api<DynamicObject> =
        Api::namespaced_with(yard.client.clone(), yard.name(), &ApiResource::from_gvk(&kind));
    runtimes.create(&PostParams::default(), &serde_json::from_value(runtime)?).await?;

    let user = create_carol(&yard).await?;
    let job = |annotations: &[(&str, &str)]| {
        let mut job = pytorchjob("llama", 1, annotations);
        job["apiVersion"] = json!("trainer.kubeflow.org/v1alpha1");
        job["kind"] = json!("TrainJob");
        job["spec"] = json!({"runtimeRef": {"kind": "TrainingRuntime", "name": "hidden"}});
        job
    };
    wait_until("the gate to have read the runtime", SOON, || async {
        let output = dry_run(&yard, &user, &job(&[])).await?;
        Ok(output.status.success() && output.stderr.contains("the model that TrainingRuntime hidden names"))
    })
    .await?;
    let sets: [&[(&str, &str)]; 3] = [
        &[],
        &[("model", "llama-2-70b"), ("gpu-type", "T4")],
        &[("parameters", "7B"), ("sequence-length", "4096")],
    ];
    for annotations in sets {
        let output = dry_run(&yard, &user, &job(annotations)).await?;
        quiet(&format!("{annotations:?}"), &output.stderr)?;
    }
    yard.admitted(&job(&[])).await?;
    yard.estimate("trainjob-llama").await?;
    assert_quiet(&yard, &job(&[])).await
}
