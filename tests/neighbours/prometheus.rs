//! The real Prometheus, which scrapes a program that serves what the exporters of accelerators serve.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::ListParams;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::exporter::{Exporter, amd, ascend, nvidia};
use crate::cluster::gate::{MAY_OVERRIDE, Yard, condition, weighbridge};
use crate::cluster::jobs::{annotated, fitting, hopeless, named};
use crate::cluster::learning::{end, histories};
use crate::cluster::observed::running_pod;
use crate::controlplane::{ControlPlane, Guarded, Reach, Serve, Setup, got, neighbour, wait_for, wait_until};

const GIB: i64 = 1 << 30;
/// Prometheus is asked once a minute, and a pod is observed from its first whole step on.
const SOON: Duration = Duration::from_mins(4);

/// A running Prometheus.
struct Prometheus {
    process: Guarded,
    url: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes an exporter every second. The target has a namespace and a pod of its own, as in a cluster, so that Prometheus
    /// renames the labels of the exporter.
    async fn start(exporter: &Exporter) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "exporters", "static_configs": [{
                "targets": [exporter.address.to_string()], "labels": {"namespace": "exporters", "pod": "exporter-x"},
            }]}],
        });
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, config.to_string())?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(neighbour("prometheus")?);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={port}"));
        let process = Guarded::spawn(&command, &folder.path().join("log"))?;
        let prometheus = Self { process, url: format!("http://{port}"), _folder: folder };
        wait_until("Prometheus to be ready", SOON, || async { Ok(got(port, "/-/ready").await?.0 == 200) })
            .await
            .with_context(|| prometheus.process.log_tail())?;
        Ok(prometheus)
    }
}

/// The peak in GiB and the metric of an estimate, once there is one that is so high.
async fn peak(yard: &Yard<'_>, estimate: &str, gib: i64) -> Result<Value> {
    wait_for(&format!("{estimate} to be observed with {gib} GiB"), SOON, || async {
        let found = serde_json::to_value(yard.estimates().get(estimate).await?)?;
        let observed = &found["status"]["observed"];
        ensure!(observed["peakBytes"] == json!(gib * GIB), "{}", found["status"]);
        Ok(Some(observed.clone()))
    })
    .await
    .map_err(|error| yard.serve.with_log(&error))
}

#[tokio::test]
#[ignore = "it needs the Prometheus of `make neighbours`, and takes minutes"]
async fn the_memory_that_exporters_show_is_beside_the_prediction_and_in_the_history() -> Result<()> {
    let exporter = Exporter::start().await?;
    let prometheus = Prometheus::start(&exporter).await?;
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("prometheus", &[]).await?;
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("policy.yaml");
    let head = "apiVersion: config.weighbridge.dev/v1alpha1\nkind: Configuration\n";
    fs::write(&policy, format!("{head}observed: {{prometheus: '{}', everyMinutes: 1}}\n", prometheus.url))?;
    let arguments = vec![
        "--history=admit".to_owned(),
        format!("--override-groups={MAY_OVERRIDE}"),
        format!("--config={}", policy.display()),
    ];
    let setup = Setup::new("prometheus", Reach::Namespaces(vec![namespace.name().to_owned()]));
    let serve = Serve::start(control_plane, weighbridge(), Setup { arguments, ..setup }).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    let team = yard.name();

    // Three jobs on the accelerators of three vendors. The first should run out, by its estimate.
    let proven = annotated(hopeless("proven")?, &[("override", "measured")]);
    let user = control_plane.kubectl_as("dana", &["system:masters", MAY_OVERRIDE])?;
    user.run_with_input(&["create", "-n", team, "-f", "-"], &proven.to_string()).await?.success()?;
    let created = yard.of_the_kind_of(&proven)?.get("proven").await?;
    running_pod(&yard, &created, "proven-worker-0").await?;
    running_pod(&yard, &created, "proven-worker-1").await?;
    for name in ["amd", "ascend"] {
        let created = yard.admitted(&named(fitting(name)?, name)).await?;
        running_pod(&yard, &created, &format!("{name}-worker-0")).await?;
    }
    let lines = |first: u64| {
        vec![
            nvidia(0, team, "proven-worker-0", first << 10),
            nvidia(1, team, "proven-worker-0", 40 << 10),
            nvidia(2, team, "proven-worker-1", 50 << 10),
            // Another namespace has a pod of this name, and this accelerator is idle.
            nvidia(3, "elsewhere", "proven-worker-0", 79 << 10),
            "DCGM_FI_DEV_FB_USED{gpu=\"4\",UUID=\"GPU-4\"} 4".to_owned(),
            amd(team, "amd-worker-0", 55 << 10),
            ascend(team, "ascend-worker-0", 45 << 10),
        ]
    };
    exporter.serves(&lines(60));
    let observed = peak(&yard, "pytorchjob-proven", 60).await?;
    assert_eq!(observed["source"], "DCGM_FI_DEV_FB_USED");
    let pods = json!([
        {"name": "proven-worker-0", "peakBytes": 60 * GIB}, {"name": "proven-worker-1", "peakBytes": 50 * GIB},
    ]);
    assert_eq!(observed["pods"], pods);
    assert_eq!(peak(&yard, "pytorchjob-amd", 55).await?["source"], "gpu_used_vram");
    assert_eq!(peak(&yard, "pytorchjob-ascend", 45).await?["source"], "npu_chip_info_hbm_used_memory");

    // It uses more, then ends. What is found after the end counts too.
    exporter.serves(&lines(62));
    end(&yard, &proven, "Succeeded").await?;
    peak(&yard, "pytorchjob-proven", 62).await?;
    wait_until("the history to have the peak", SOON, || async {
        let found = histories(&yard).list(&ListParams::default()).await?.items;
        let run = found.first().context("none yet")?.data["spec"]["runs"][0].clone();
        ensure!(run["observedBytes"] == json!(62 * GIB), "{run}");
        Ok(true)
    })
    .await?;
    let repeated = hopeless("repeated")?;
    wait_until("the same job to be admitted", SOON, || async { Ok(yard.create(&repeated).await?.is_ok()) })
        .await?;
    let estimate = yard.estimate_that("pytorchjob-repeated", "Fits").await?;
    let message = estimate["status"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("with 62.0 GiB of 79.1 GiB per GPU in use"), "{message}");

    // A Prometheus that is gone costs a count and, for what was not observed before, a condition.
    drop(prometheus);
    wait_until("the failure to be counted", SOON, || async {
        let unreachable = [("result", "unreachable")];
        Ok(serve.metrics().await?.sum("weighbridge_prometheus_questions_total", &unreachable) > 0.5)
    })
    .await?;
    yard.admitted(&fitting("late")?).await?;
    let late = yard.estimate_that("pytorchjob-late", "Fits").await?;
    assert_eq!(condition(&late, "Observed")["reason"], "PrometheusFailed");
    peak(&yard, "pytorchjob-proven", 62).await?;
    serve.stop().await
}
