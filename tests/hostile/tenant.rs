//! A tenant who may create objects in a namespace of her own.

use anyhow::Result;
use futures::StreamExt as _;
use futures::stream::iter;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::Yard;
use crate::cluster::floods::slowest_script;
use crate::cluster::gate::create;
use crate::cluster::jobs::{named, pod_spec, pytorchjob};

/// How many of the neighbour's jobs are answered after an attack.
const AFTERWARDS: usize = 50;
/// How many requests of hers are on their way at once.
const AT_ONCE: usize = 16;

/// Creates objects. What the gate says of them is not the question.
async fn create_all(yard: &Yard, objects: impl Iterator<Item = Value>) -> Result<()> {
    let created = objects.map(|object| async move {
        create(&yard.tenant, &yard.namespace, &object).await.map(|answer| answer.is_ok())
    });
    iter(created).buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    yard.load.goes_on(AFTERWARDS).await
}

pub(super) async fn explosions(yard: &Yard) -> Result<()> {
    let laughs = (0..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
        let (last, next) = (format!("*a{level}"), level + 1);
        format!("{text}a{next}: &a{next} [{last}, {last}, {last}, {last}, {last}, {last}, {last}, {last}]\n")
    });
    let texts = [
        laughs,
        "[".repeat(120_000),
        "{a: ".repeat(60_000),
        (0..20_000).fold("model: {".to_owned(), |text, key| text + &format!("k{key}: 1,")) + "}",
        format!("batch: {{sequenceLength: {}}}", "9".repeat(100_000)),
        "? ".repeat(100_000),
    ];
    let objects = (0..60).map(|number| {
        let text = texts.get(number % texts.len()).map(String::as_str).unwrap_or_default();
        pytorchjob(&format!("explosion-{number}"), 1, &[("training", text)])
    });
    create_all(yard, objects).await
}

pub(super) async fn labels(yard: &Yard) -> Result<()> {
    let pod = |number: usize| {
        let script = slowest_script(number)["spec"]["template"]["spec"]["containers"][0]["command"].clone();
        let mut spec = pod_spec(8);
        spec["containers"][0]["command"] = script;
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("slow-{number}")}, "spec": spec})
    };
    create_all(yard, (0..20).map(pod)).await?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(yard.tenant.clone(), &yard.namespace);
    let changed = (0..200).map(|number: usize| {
        let pods = pods.clone();
        async move {
            let change = json!({"metadata": {"labels": {"changed": number.to_string()}}});
            let name = format!("slow-{}", number % 20);
            pods.patch(&name, &PatchParams::default(), &Patch::Merge(change)).await.is_ok()
        }
    });
    iter(changed).buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    yard.load.goes_on(AFTERWARDS).await
}

pub(super) async fn what_ifs(yard: &Yard) -> Result<()> {
    let what_if: Value =
        serde_saphyr::from_str(include_str!("../../examples/trainingestimate-what-if.yaml"))?;
    create_all(yard, (0..300).map(|number| named(what_if.clone(), &format!("what-if-{number}")))).await?;
    // The neighbour's own estimate does not wait for them.
    let neighbours = crate::cluster::jobs::fitting("beside-the-what-ifs")?;
    create(&yard.tenant, "default", &neighbours).await??;
    let resource = kube::api::ApiResource::erase::<weighbridge::api::v1alpha1::TrainingEstimate>(&());
    let estimates: Api<DynamicObject> = Api::namespaced_with(yard.tenant.clone(), "default", &resource);
    crate::controlplane::wait_until("the neighbour's estimate", std::time::Duration::from_mins(1), || async {
        Ok(estimates.get("pytorchjob-beside-the-what-ifs").await?.data["status"]["verdict"] == "Fits")
    })
    .await
}
