//! A large cluster and hostile stored objects, within the chart's memory limit.

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use serde_json::{Value, json};

use super::gate::{Yard, refusal, weighbridge};
use super::jobs::{fitting, hopeless, job};
use crate::controlplane::{ControlPlane, MemoryGroup, Options, Reach, Serve, Setup};

/// The memory limit of the chart.
const LIMIT: u64 = 256 << 20;

/// The number of stored objects.
struct Sizes {
    /// Two of these killed a process that held a whole list.
    hostile_jobs: usize,
    nodes: usize,
    config_maps: usize,
}

impl Sizes {
    /// A hostile job takes the apiserver seconds. So there are few, unless `WEIGHBRIDGE_TEST_SIZE` is `full`.
    fn of_this_run() -> Self {
        if std::env::var_os("WEIGHBRIDGE_TEST_SIZE").is_some_and(|size| size == "full") {
            return Self { hostile_jobs: 100, nodes: 3_000, config_maps: 10_000 };
        }
        Self { hostile_jobs: 8, nodes: 3_000, config_maps: 3_000 }
    }
}

async fn create_all(
    client: &Client,
    path: &str,
    (number, at_once): (usize, usize),
    body: impl Fn(usize) -> Vec<u8>,
) -> Result<()> {
    let requests = futures::stream::iter((0..number).map(|number| {
        let request =
            hyper::Request::post(path).header("content-type", "application/json").body(body(number));
        async move {
            match client.request_text(request?).await {
                // The apiserver was busy, and the client has repeated the request.
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
                other => Ok::<_, anyhow::Error>(other.map(drop)?),
            }
        }
    }));
    requests.buffer_unordered(at_once).try_collect().await
}

async fn change_all(client: &Client, paths: impl Iterator<Item = String>, change: &Value) -> Result<()> {
    let requests = futures::stream::iter(paths.map(|path| {
        let request = hyper::Request::patch(path).header("content-type", "application/merge-patch+json");
        let request = request.body(change.to_string().into_bytes());
        async move {
            client.request_text(request?).await?;
            Ok::<_, anyhow::Error>(())
        }
    }));
    requests.buffer_unordered(4).try_collect().await
}

/// A suspended job whose container has 150,000 variables.
fn hostile(number: usize) -> Vec<u8> {
    let mut object = job(&format!("hostile-{number}"), 1, &[]);
    object["spec"]["suspend"] = json!(true);
    object["spec"]["template"]["spec"]["containers"][0]["env"] = json!(["HERE"]);
    let variables = format!("{}{{\"name\":\"A\"}}", "{\"name\":\"A\"},".repeat(150_000 - 1));
    object.to_string().replacen("\"HERE\"", &variables, 1).into_bytes()
}

/// A node with 41 labels. Half of them are unique to the node.
fn node(number: usize) -> Vec<u8> {
    let mut labels = json!({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"});
    for label in 0..40 {
        let value = if label % 2 == 0 { "true".to_owned() } else { format!("value-{label}-{number}") };
        labels[format!("feature.node.kubernetes.io/label-{label}")] = json!(value);
    }
    let status = json!({"capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": "8"}});
    let metadata = json!({"name": format!("node-{number}"), "labels": labels});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status})
        .to_string()
        .into_bytes()
}

fn config_map(number: usize) -> Vec<u8> {
    let data: Value = json!({"settings.yaml": "setting: value\n".repeat(250)});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{number}")}, "data": data})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn a_large_cluster_and_hostile_objects_fit_into_the_charts_memory_limit() -> Result<()> {
    let (limit, sizes) = (MemoryGroup::new(LIMIT)?, Sizes::of_this_run());
    let options = Options { controller_manager: false, ..Options::standard()? };
    let control_plane = ControlPlane::start(options).await?;
    let (client, namespace) = (control_plane.admin()?, control_plane.namespace(&[]).await?);
    let inside = |group: &str, plural: &str| format!("{group}/namespaces/{}/{plural}", namespace.name());
    create_all(&client, "/api/v1/nodes", (sizes.nodes, 16), node).await?;
    create_all(&client, &inside("/api/v1", "configmaps"), (sizes.config_maps, 16), config_map).await?;
    create_all(&client, &inside("/apis/batch/v1", "jobs"), (sizes.hostile_jobs, 2), hostile).await?;

    let mut setup = Setup::new("memory", Reach::Everything);
    // Only the memory counts here: a slow machine may take longer than five seconds for an answer.
    setup.arguments = vec!["--read-config-maps".into(), "--timeout-seconds=30".into()];
    let program = limit.program(weighbridge(), control_plane.folder())?;
    let serve = Serve::start(&control_plane, &program, setup).await?;
    println!("ready, it holds {} MiB", limit.bytes()? >> 20);
    let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    yard.estimate_that("pytorchjob-llama2-70b", "Fits").await?;
    ensure!(refusal(yard.create(&hopeless("hopeless")?).await?)?.code == 403);

    // The watches receive changes of every hostile job, the webhook reviews one of them, and some nodes change.
    let hostile = |part: &'static str| {
        let jobs = inside("/apis/batch/v1", "jobs");
        (0..sizes.hostile_jobs).map(move |number| format!("{jobs}/hostile-{number}{part}"))
    };
    let changed = json!({"metadata": {"labels": {"changed": "yes"}}});
    change_all(&client, hostile("/status"), &json!({"status": {"failed": 1}})).await?;
    change_all(&client, hostile(""), &changed).await?;
    let nodes = (0..300).map(|number| format!("/api/v1/nodes/node-{number}"));
    change_all(&client, nodes, &changed).await?;
    yard.admitted(&fitting("later")?).await?;
    yard.estimate_that("pytorchjob-later", "Fits").await?;
    ensure!(refusal(yard.create(&hopeless("hopeless")?).await?)?.code == 403);
    println!("at the end it holds {} MiB", limit.bytes()? >> 20);
    serve.stop().await
}
