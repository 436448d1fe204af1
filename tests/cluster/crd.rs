//! The CRD on a real apiserver: the specs that it refuses, its messages, and the objects that it stores.

use anyhow::{Context as _, Result};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use weighbridge::api::v1alpha1::TrainingEstimate;

use crate::controlplane::{ControlPlane, TestNamespace};

/// A spec, and a part of the apiserver's message about it.
type Wrong = (Value, &'static str);

fn wrong_specs() -> Vec<Wrong> {
    vec![
        (json!({"model": {"layers": 0}}), "should be greater than or equal to 1"),
        (json!({"model": {"layers": 1.5}}), "must be of type integer"),
        (json!({"model": {"name": ""}}), "at least 1 chars long"),
        (json!({"model": {"name": "x".repeat(254)}}), "Too long"),
        (json!({"model": {"parameters": "70 billion"}}), "should match"),
        (json!({"model": {"parameters": -1}}), "greater than or equal to 0"),
        (json!({"model": {"hiddenDropout": "1e2"}}), "should match"),
        (json!({"model": {"hiddenDropout": "101"}}), "hiddenDropout must be at most 100"),
        (json!({"model": {"activation": "Tanh"}}), "Unsupported value: \"Tanh\""),
        (json!({"model": {"attentionHeads": 64, "keyValueHeads": 7}}), "must be a multiple of keyValueHeads"),
        (json!({"model": {"hiddenSize": 1000, "attentionHeads": 64}}), "hiddenSize must be a multiple"),
        (json!({"model": {"experts": 8, "expertsPerToken": 9}}), "expertsPerToken must be at most experts"),
        (json!({"model": {"vocabSize": 50_257, "paddedVocabSize": 50_000}}), "at least vocabSize"),
        (json!({"model": {"denseLayers": "three"}}), "denseLayers"),
        (json!({"model": {"denseLayers": ""}}), "denseLayers"),
        (json!({"model": {"denseLayers": true}}), "denseLayers"),
        (json!({"model": {"denseLayers": {"first": 3}}}), "denseLayers"),
        (json!({"model": {"denseLayers": -1}}), "denseLayers"),
        (json!({"model": {"denseLayers": 1.5}}), "denseLayers"),
        (
            json!({"parallelism": {"pipeline": 1, "firstStageLayers": 3}}),
            "must not be given when pipeline is 1",
        ),
        (json!({"parallelism": {"pipeline": 1, "virtualPipeline": 2}}), "virtualPipeline must be 1"),
        (json!({"parallelism": {"sharding": "None", "shardingDegree": 8}}), "when sharding is None"),
        (
            json!({"model": {"layers": 10}, "parallelism": {"pipeline": 2, "firstStageLayers": 6, "lastStageLayers": 5}}),
            "must be at most model.layers",
        ),
        (
            json!({"model": {"experts": 8}, "parallelism": {"expert": 3}}),
            "must be a multiple of parallelism.expert",
        ),
        (json!({"recompute": "None", "recomputeLayers": 4}), "must not be given when recompute is None"),
        (
            json!({"batch": {"globalBatchSize": 10, "microBatchSize": 3}}),
            "must be a multiple of microBatchSize",
        ),
        (json!({"batch": {"sequenceLength": 4096, "typicalSequenceLength": 8192}}), "at most sequenceLength"),
        (json!({"finetuning": {"method": "Full", "rank": 16}}), "must not be given when method is Full"),
        (json!({"finetuning": {"targets": vec!["q_proj"; 33]}}), "must have at most 32 items"),
        (json!({"dataset": {"steps": 1000, "epochs": 3}}), "steps counts all epochs"),
        (json!({"efficiency": {"mfuPercent": "0"}}), "mfuPercent must be over 0"),
        (json!({"efficiency": {"mfuPercent": 40}}), "mfuPercent: expected string"),
        (json!({"efficiency": {"goodputPercent": "100.5"}}), "goodputPercent must be over 0"),
        (json!({"price": {"perGpuHour": "2.50", "currency": "usd"}}), "three capital letters"),
        (json!({"accelerator": {"memory": "80GB"}}), "should match"),
        (json!({"accelerator": {"count": 0}}), "greater than or equal to 1"),
        (json!({"workloadRef": {"kind": "Job", "name": "x"}}), "workloadRef.apiVersion: Required value"),
        (json!({"modle": {}}), ".spec.modle: field not declared in schema"),
    ]
}

/// A spec with every field in its range.
fn right_spec() -> Value {
    json!({
        "workloadRef": {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "llama"},
        "model": {
            "name": "meta-llama/Llama-2-70b", "parameters": "70B", "activeParameters": 37_000_000_000_i64,
            "layers": 80, "hiddenSize": 8192, "attentionHeads": 64, "keyValueHeads": 8, "activation": "SwiGLU",
            "tiedEmbeddings": false, "experts": 8, "expertsPerToken": 2, "denseLayers": [0, 1, 2],
            "hiddenDropout": "0.1",
        },
        "parallelism": {
            "tensor": 8, "sequence": true, "pipeline": 4, "virtualPipeline": 2, "expert": 4,
            "schedule": "Interleaved", "firstStageLayers": 19, "lastStageLayers": 19,
            "sharding": "DistributedOptimizer",
        },
        "batch": {"microBatchSize": 1, "globalBatchSize": 1024, "sequenceLength": 4096},
        "precision": "BF16", "optimizer": "AdamW", "recompute": "Selective", "recomputeModules": ["core_attn"],
        "offload": {"optimizer": true},
        "finetuning": {"method": "LoRA", "rank": 16, "targets": ["q_proj", "v_proj"]},
        "framework": "Megatron",
        "accelerator": {"type": "A800-80GB", "count": 1024, "perNode": 8, "memory": "80Gi"},
        "dataset": {"tokens": "2T", "epochs": 1},
        "efficiency": {"mfuPercent": "40", "goodputPercent": "95.5"},
        "price": {"perGpuHour": "2.50", "currency": "USD"},
        "target": {"days": "90"},
    })
}

fn estimate(name: &str, spec: &Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "weighbridge.dev/v1alpha1",
        "kind": "TrainingEstimate",
        "metadata": {"name": name},
        "spec": spec,
    }))?)
}

/// Untyped objects, so that they can hold values that the Rust types cannot.
fn estimates(control_plane: &ControlPlane, namespace: &TestNamespace<'_>) -> Result<Api<DynamicObject>> {
    let resource = ApiResource::erase::<TrainingEstimate>(&());
    Ok(Api::namespaced_with(control_plane.admin()?, namespace.name(), &resource))
}

#[tokio::test]
async fn a_spec_that_contradicts_itself_is_refused_with_the_rule() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[]).await?;
    let api = estimates(control_plane, &namespace)?;
    let strict = PatchParams::apply("person").validation_strict();

    let mut surprises = Vec::new();
    for (number, (spec, expected)) in wrong_specs().into_iter().enumerate() {
        let name = format!("wrong-{number}");
        let answer = match api.patch(&name, &strict, &Patch::Apply(estimate(&name, &spec)?)).await {
            Ok(_) => "nothing: it was kept".to_owned(),
            Err(error) => error.to_string(),
        };
        if !answer.contains(expected) {
            surprises.push(format!("{spec}\n  expected: {expected}\n  answer: {answer}"));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_valid_spec_is_stored_as_it_was_written() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[]).await?;
    let api = estimates(control_plane, &namespace)?;

    for (name, spec) in [
        ("everything", right_spec()),
        ("nothing", json!({})),
        ("dense-layers-by-count", json!({"model": {"denseLayers": 3}})),
        ("only-sizes", json!({"model": {"parameters": "70B"}, "parallelism": {"tensor": 4}})),
    ] {
        let made = api.create(&PostParams::default(), &estimate(name, &spec)?).await.context(name)?;
        assert_eq!(made.data["spec"], spec, "{name}");
        let read: TrainingEstimate = serde_json::from_value(serde_json::to_value(&made)?).context(name)?;
        let written: TrainingEstimate = serde_json::from_value(serde_json::to_value(&read)?).context(name)?;
        assert_eq!(written, read, "{name} through the types");
    }
    Ok(())
}

#[tokio::test]
async fn a_reference_to_a_workload_never_changes() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[]).await?;
    let api = estimates(control_plane, &namespace)?;
    api.create(&PostParams::default(), &estimate("fixed", &right_spec())?).await?;

    for change in
        [json!({"spec": {"workloadRef": {"name": "other"}}}), json!({"spec": {"workloadRef": null}})]
    {
        let refused = api.patch("fixed", &PatchParams::default(), &Patch::Merge(&change)).await;
        let answer = refused.err().context("the change was kept")?.to_string();
        assert!(answer.contains("must not be changed or removed"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn the_columns_show_the_status() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[]).await?;
    let api = estimates(control_plane, &namespace)?;
    api.create(&PostParams::default(), &estimate("pytorchjob-llama2-70b", &json!({}))?).await?;
    let display = json!({
        "model": "llama-2-70b", "gpus": "1024", "accelerator": "a800-80gb", "peak": "50.2Gi", "of": "79.1Gi",
        "oomProbability": "3%", "interval": "44.1–55.3Gi", "days": "79", "gpuHours": "1.94M", "cost": "3.9M USD",
        "missing": "loss",
    });
    let status = json!({"status": {
        "verdict": "Fits", "reason": "BelowCapacity", "message": "needs 50.2 GiB", "display": display,
    }});
    api.patch_status("pytorchjob-llama2-70b", &PatchParams::default(), &Patch::Merge(&status)).await?;

    let kubectl = control_plane.kubectl()?;
    let table = |wide: &'static str| {
        let arguments = ["get", "te", "-n", namespace.name(), "-o", wide].map(str::to_owned);
        let kubectl = &kubectl;
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = kubectl.run(&arguments).await?.success()?;
            anyhow::Ok(output.lines().map(words).collect::<Vec<_>>())
        }
    };
    let usual = kubectl.run(&["get", "te", "-n", namespace.name()]).await?.success()?;
    let usual: Vec<_> = usual.lines().map(words).collect();
    assert_eq!(usual[0], "NAME MODEL GPUS ACCELERATOR PEAK OF VERDICT DAYS GPU-HOURS AGE");
    assert!(
        usual[1].starts_with("pytorchjob-llama2-70b llama-2-70b 1024 a800-80gb 50.2Gi 79.1Gi Fits 79 1.94M "),
        "{}",
        usual[1]
    );
    let wide = table("wide").await?;
    assert!(wide[0].ends_with("AGE PROBABILITY INTERVAL COST REASON MISSING MESSAGE"), "{}", wide[0]);
    assert!(wide[1].ends_with("3% 44.1–55.3Gi 3.9M USD BelowCapacity loss needs 50.2 GiB"), "{}", wide[1]);
    Ok(())
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
