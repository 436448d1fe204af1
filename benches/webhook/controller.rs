//! How fast the controller makes estimates Ready, beside the rate at which the bare apiserver takes ConfigMaps, and
//! beside the rate at which it takes the same estimates and statuses from a client that judges nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde_json::{Value, json};
use weighbridge::api::v1alpha1::TrainingEstimate;

use crate::controlplane::{ControlPlane, Serve, wait_until};
use crate::process::Process;

const WHAT_IF: &str = include_str!("../../examples/trainingestimate-what-if.yaml");
/// How many objects the client creates at a time.
const AT_ONCE: usize = 16;

/// Measures, and stops the controller.
pub(crate) async fn measure(control_plane: &ControlPlane, serve: Serve, count: usize) -> Result<()> {
    let namespace = control_plane.namespace(&[]).await?;
    let client = control_plane.admin()?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace.name());
    let settings = json!({"data": {"settings.yaml": "setting: value\n".repeat(60)}});
    let plain = created(&maps, &settings, count).await?;

    let resource = ApiResource::erase::<TrainingEstimate>(&());
    let estimates: Api<DynamicObject> = Api::namespaced_with(client, namespace.name(), &resource);
    let what_if: Value = serde_saphyr::from_str(WHAT_IF)?;
    let counted = || async {
        let metrics = serve.metrics().await?;
        let of = |name| metrics.sum(name, &[]);
        anyhow::Ok([of("controller_runtime_reconcile_total"), of("weighbridge_statuses_written_total")])
    };
    let (before, time) = (counted().await?, Process(serve.id()).time()?);
    let started = Instant::now();
    created(&estimates, &what_if, count).await?;
    wait_until("every estimate to be Ready", Duration::from_mins(10), || async {
        Ok(counted().await?[1] - before[1] >= count as f64)
    })
    .await?;
    let ready = started.elapsed();
    // What the controller's own writes cause comes soon after.
    wait_until("the controller to rest", Duration::from_mins(1), || async {
        let first = counted().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = counted().await?;
        Ok(first.iter().zip(second).all(|(first, second)| (first - second).abs() < 0.5))
    })
    .await?;
    let after = counted().await?;
    let time = Process(serve.id()).time()?.saturating_sub(time);
    let each = |total: f64| total / count as f64;
    println!("\n{count} TrainingEstimates, created {AT_ONCE} at a time, beside {count} ConfigMaps\n");
    println!("{:44} {:>8.1} s", "ConfigMaps created", plain.as_secs_f64());
    println!("{:44} {:>8.1} s", "estimates created and Ready", ready.as_secs_f64());
    println!(
        "{:44} {:>8.1} %",
        "the rate, of the ConfigMaps'",
        100.0 * plain.as_secs_f64() / ready.as_secs_f64()
    );
    println!("{:44} {:>8.2}", "reconciliations of an estimate", each(after[0] - before[0]));
    println!("{:44} {:>8.2}", "statuses written of an estimate", each(after[1] - before[1]));
    println!("{:44} {:>8.0} µs", "processor time of an estimate", each(time.as_secs_f64() * 1e6));

    let written = estimates.list(&ListParams::default().limit(1)).await?;
    let status = written.items.first().context("no estimate")?.data["status"].clone();
    serve.stop().await?;
    let alone = written_alone(control_plane, &what_if, &status, count).await?;
    println!("{:44} {:>8.1} s", "the same objects written by a client alone", alone.as_secs_f64());
    println!(
        "{:44} {:>8.1} %",
        "the controller's rate, of this client's",
        100.0 * alone.as_secs_f64() / ready.as_secs_f64()
    );
    Ok(())
}

/// Creates the estimates and applies their statuses, as the controller does, and returns how long that took.
async fn written_alone(
    control_plane: &ControlPlane,
    estimate: &Value,
    status: &Value,
    count: usize,
) -> Result<Duration> {
    let namespace = control_plane.namespace(&[]).await?;
    let resource = ApiResource::erase::<TrainingEstimate>(&());
    let estimates: Api<DynamicObject> =
        Api::namespaced_with(control_plane.admin()?, namespace.name(), &resource);
    let started = Instant::now();
    created(&estimates, estimate, count).await?;
    let applying = futures::stream::iter((0..count).map(|number| {
        let patch = json!({"apiVersion": estimate["apiVersion"], "kind": estimate["kind"], "status": status});
        let estimates = &estimates;
        async move {
            let ours = PatchParams::apply("bench").force();
            estimates.patch_status(&format!("bench-{number}"), &ours, &Patch::Apply(patch)).await?;
            anyhow::Ok(())
        }
    }));
    applying.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(started.elapsed())
}

/// Creates so many objects, and returns how long that took.
async fn created<K>(api: &Api<K>, object: &Value, count: usize) -> Result<Duration>
where
    K: Resource + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let started = Instant::now();
    let creating = futures::stream::iter((0..count).map(|number| async move {
        let mut object = object.clone();
        object["metadata"]["name"] = json!(format!("bench-{number}"));
        let object: K = serde_json::from_value(object)?;
        api.create(&PostParams::default(), &object).await?;
        anyhow::Ok(())
    }));
    creating.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(started.elapsed())
}
