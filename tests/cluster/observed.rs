//! The memory that pods really used, by a Prometheus: a small server here, the real one in `neighbours`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::gate::{MAY_OVERRIDE, SOON, Yard, condition, weighbridge};
use super::jobs::{annotated, fitting, hopeless, pod};
use super::learning::{end, histories, remembered};
use super::policy::Mounted;
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until};

const GIB: u64 = 1 << 30;

/// A server that answers each question with this text, and counts the questions.
pub(crate) struct Server {
    pub(crate) address: String,
    answer: Arc<Mutex<String>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let server = Self { address, answer: Arc::default(), asked: Arc::default() };
        let (answer, asked) = (server.answer.clone(), server.asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 64 << 10];
                let _ = stream.read(&mut request).await;
                asked.fetch_add(1, Ordering::Relaxed);
                let body = answer.lock().map(|answer| answer.clone()).unwrap_or_default();
                let head =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        Ok(server)
    }

    fn answers(&self, text: &str) {
        if let Ok(mut answer) = self.answer.lock() {
            text.clone_into(&mut answer);
        }
    }

    /// Answers that a pod uses so much. Its clock is ahead, because a pod is observed from its first whole step on.
    fn shows(&self, namespace: &str, pod: &str, mib: u64) {
        let labels = json!({"namespace": "gpus", "exported_namespace": namespace, "exported_pod": pod});
        let series = json!({"metric": labels, "values": [[4_000_000_000_u64, mib.to_string()]]});
        let answer = json!({"status": "success", "data": {"resultType": "matrix", "result": [series]}});
        self.answers(&answer.to_string());
    }
}

/// A pod of a job, on a node.
pub(crate) async fn running_pod(yard: &Yard<'_>, job: &DynamicObject, name: &str) -> Result<()> {
    let owner = job.metadata.name.as_deref().context("no name")?;
    let mut running = pod(name, &[]);
    running["spec"]["nodeName"] = json!("node");
    running["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": owner, "uid": job.metadata.uid,
        "controller": true,
    }]);
    yard.create(&running).await??;
    Ok(())
}

#[tokio::test]
async fn a_job_that_ran_is_judged_by_the_memory_that_it_used() -> Result<()> {
    let prometheus = Server::start().await?;
    let mut policy = Mounted::new("unknown: Warn\n")?;
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("observed", &[]).await?;
    let setup = Setup::new("observed", Reach::Namespaces(vec![namespace.name().to_owned()]));
    let arguments = vec![
        "--history=admit".to_owned(),
        format!("--override-groups={MAY_OVERRIDE}"),
        format!("--config={}", policy.file().display()),
    ];
    let serve = Serve::start(control_plane, weighbridge(), Setup { arguments, ..setup }).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;

    // It should run out, somebody who may override submitted it, and it runs with 70 GiB of 79.1.
    let proven = annotated(hopeless("proven")?, &[("override", "measured")]);
    let user = control_plane.kubectl_as("dana", &["system:masters", MAY_OVERRIDE])?;
    user.run_with_input(&["create", "-n", yard.name(), "-f", "-"], &proven.to_string()).await?.success()?;
    let before = yard.estimate_that("pytorchjob-proven", "OutOfMemory").await?;
    ensure!(condition(&before, "Observed").is_null(), "nothing is asked by default: {before}");
    let created = yard.of_the_kind_of(&proven)?.get("proven").await?;
    running_pod(&yard, &created, "proven-worker-0").await?;
    prometheus.shows(yard.name(), "proven-worker-0", 70 << 10);
    policy.change(&format!("observed: {{prometheus: '{}', everyMinutes: 1}}\n", prometheus.address))?;
    let seen = |estimate: &Value| estimate["status"]["observed"]["peakBytes"] == json!(70 * GIB);
    let estimate = yard.estimate_when("pytorchjob-proven", seen).await?;
    let observed = &estimate["status"]["observed"];
    assert_eq!(observed["source"], "DCGM_FI_DEV_FB_USED", "{observed}");
    assert_eq!(observed["pods"], json!([{"name": "proven-worker-0", "peakBytes": 70 * GIB}]));
    let process = estimate["status"]["memory"]["processBytes"].as_f64().context("no prediction")?;
    let ratio = observed["ratioMilli"].as_f64().context("no ratio")?;
    ensure!((ratio - 70e3 * GIB as f64 / process).abs() <= 1.0, "{ratio}: {estimate}");
    assert_eq!(condition(&estimate, "Observed")["reason"], "Measured");

    end(&yard, &proven, "Succeeded").await?;
    remembered(&yard, 1).await?;
    let history = histories(&yard).list(&kube::api::ListParams::default()).await?.items;
    assert_eq!(history[0].data["spec"]["runs"][0]["observedBytes"], json!(70 * GIB), "{history:?}");
    wait_until("the ratio to be counted", SOON, || async {
        Ok(serve.metrics().await?.sum("weighbridge_memory_ratio_count", &[]) > 0.5)
    })
    .await?;
    let repeated = hopeless("repeated")?;
    wait_until("the same job to be admitted", SOON, || async { Ok(yard.create(&repeated).await?.is_ok()) })
        .await?;
    let estimate = yard.estimate_that("pytorchjob-repeated", "Fits").await?;
    let status = &estimate["status"];
    assert_eq!((&status["reason"], &status["history"]["peakBytes"]), (&json!("RanBefore"), &json!(70 * GIB)));
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(message.contains("once, with 70.0 GiB of 79.1 GiB per GPU in use"), "{message}");
    serve.stop().await
}

#[tokio::test]
async fn a_prometheus_that_answers_nonsense_costs_a_count_and_a_condition() -> Result<()> {
    let prometheus = Server::start().await?;
    prometheus.answers("<html><body>Log in</body></html>");
    let policy = Mounted::new(&format!("observed: {{prometheus: '{}'}}\n", prometheus.address))?;
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("nonsense", &[]).await?;
    let setup = Setup::new("nonsense", Reach::Namespaces(vec![namespace.name().to_owned()]));
    let arguments = vec![format!("--config={}", policy.file().display())];
    let serve = Serve::start(control_plane, weighbridge(), Setup { arguments, ..setup }).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    wait_until("the failure to be counted", SOON, || async {
        let unreadable = [("result", "unreadable")];
        Ok(serve.metrics().await?.sum("weighbridge_prometheus_questions_total", &unreadable) > 3.5)
    })
    .await?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    let estimate = yard.estimate_that("pytorchjob-llama2-70b", "Fits").await?;
    let observed = condition(&estimate, "Observed");
    assert_eq!((&observed["status"], &observed["reason"]), (&json!("Unknown"), &json!("PrometheusFailed")));
    ensure!(!observed.to_string().contains("Log in"), "the answer is quoted: {observed}");
    assert_eq!(
        prometheus.asked.load(Ordering::Relaxed),
        4,
        "once for each metric, and again in five minutes"
    );
    serve.stop().await
}
