//! Objects that a client cannot decode. The apiserver stores them, and they must not hide other objects.
//!
//! Every user who may create an object may write its `metadata.managedFields`. A time there may have the year 10000,
//! and fields may be nested to any depth.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weighbridge::kinds::object::read;

use super::gate::{SOON, Yard, weighbridge};
use super::jobs::{example, fitting, job, named};
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, wait_until};

const PASSWORD: &str = "correct-horse-battery-staple";

/// Poisons an object. An object that is stored as JSON keeps any depth, but no time of the year 10000.
fn poisoned(mut object: Value) -> Value {
    let entry = |manager: &str, time: &str, fields: &Value| {
        json!({"manager": manager, "operation": "Update", "apiVersion": object["apiVersion"], "time": time,
               "fieldsType": "FieldsV1", "fieldsV1": fields})
    };
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({"f:a": deep});
    }
    let mut entries = vec![entry("deep", "2026-01-01T00:00:00Z", &deep)];
    if !is_stored_as_json(&object) {
        entries.push(entry("late", "9999-12-31T23:59:59-23:59", &json!({"f:metadata": {}})));
    }
    object["metadata"]["managedFields"] = json!(entries);
    object
}

fn is_stored_as_json(object: &Value) -> bool {
    let stored_as_json = ["kubeflow.org/v1", "weighbridge.dev/v1alpha1", "apiextensions.k8s.io/v1"];
    stored_as_json.iter().any(|api_version| object["apiVersion"] == *api_version)
}

/// Creates an object without decoding the answer.
async fn create(yard: &Yard<'_>, path: &str, object: &Value) -> Result<()> {
    let request = hyper::Request::post(path).header("content-type", "application/json");
    let kept = yard.client.request_text(request.body(object.to_string().into_bytes())?).await?;
    let is_late = is_stored_as_json(object) || kept.contains(r#""time":"10000-"#);
    ensure!(is_late && kept.matches(r#""f:a""#).count() == 200, "the apiserver stored no poison: {kept}");
    Ok(())
}

/// Creates a poisoned object of each watched kind, in the namespace or in the cluster.
async fn poison_everything(yard: &Yard<'_>) -> Result<()> {
    let namespace = yard.name();
    let inside = |group: &str, plural: &str| format!("{group}/namespaces/{namespace}/{plural}");
    let plain = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "poison"}});
    let mut config_map = plain("v1", "ConfigMap");
    config_map["data"] = json!({"password": PASSWORD});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "poisons.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "poisons", "singular": "poison", "kind": "Poison", "listKind": "PoisonList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    for (path, object) in [
        (inside("/apis/batch/v1", "jobs"), job("poison", 1, &[])),
        (inside("/apis/kubeflow.org/v1", "pytorchjobs"), fitting("poison")?),
        (inside("/api/v1", "configmaps"), config_map),
        (
            inside("/apis/weighbridge.dev/v1alpha1", "trainingestimates"),
            named(example("trainingestimate-what-if.yaml")?, "poison"),
        ),
        ("/api/v1/nodes".to_owned(), plain("v1", "Node")),
        ("/api/v1/namespaces".to_owned(), plain("v1", "Namespace")),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned(), definition),
    ] {
        create(yard, &path, &poisoned(object)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_object_that_a_client_cannot_decode_hides_no_other() -> Result<()> {
    // A control plane of its own, because some poisoned objects belong to the whole cluster.
    let options = Options { controller_manager: false, ..Options::standard()? };
    let control_plane = ControlPlane::start(options).await?;
    let setup = || {
        let mut setup = Setup::new("poisoned-cluster", Reach::Everything);
        setup.arguments = vec!["--read-config-maps".into()];
        setup
    };
    let serve = Serve::start(&control_plane, weighbridge(), setup()).await?;
    {
        let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;
        poison_everything(&yard).await?;
    }
    serve.stop().await?;

    // A process that starts now finds poisoned objects of every kind, and still becomes ready.
    let serve = Serve::start(&control_plane, weighbridge(), setup()).await?;
    let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    yard.estimate_that("pytorchjob-llama2-70b", "Fits").await?;
    yard.create(&example("trainingestimate-what-if.yaml")?).await??;
    yard.estimate_that("llama2-70b-on-512-h100", "Fits").await?;

    // The same during a watch. A later object is seen, and nothing is listed again.
    let path = format!("/apis/kubeflow.org/v1/namespaces/{}/pytorchjobs", yard.name());
    create(&yard, &path, &poisoned(fitting("poison")?)).await?;
    yard.admitted(&fitting("later")?).await?;
    yard.estimate_that("pytorchjob-later", "Fits").await?;
    poisoned_estimates_have_a_status(&yard).await?;

    let metrics = serve.metrics().await?;
    ensure!(metrics.sum("weighbridge_watch_errors_total", &[]) < 0.5, "a watch has failed");
    let log = std::fs::read_to_string(serve.log())?;
    ensure!(!log.contains(PASSWORD), "the log contains a password");
    serve.stop().await
}

/// The poisoned job and the poisoned estimate are judged like others.
async fn poisoned_estimates_have_a_status(yard: &Yard<'_>) -> Result<()> {
    let path = "/apis/weighbridge.dev/v1alpha1/trainingestimates";
    wait_until("the estimates of the poisoned objects", SOON, || async {
        let request = hyper::Request::get(path).body(Vec::new())?;
        let text = yard.client.request_text(request).await?;
        let list = read(text.as_bytes())?;
        let judged = |name: &str| {
            let all = list["items"].as_array().into_iter().flatten();
            let of_name = |estimate: &&Value| estimate["metadata"]["name"] == name;
            let verdicts = all.filter(of_name).map(|estimate| estimate["status"]["verdict"] == "Fits");
            verdicts.reduce(|one, other| one && other) == Some(true)
        };
        Ok(judged("poison") && judged("pytorchjob-poison"))
    })
    .await
}
