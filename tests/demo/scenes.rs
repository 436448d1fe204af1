//! What is shown: the refusal, the admissions, and the estimates, each checked as it is shown.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::controlplane::{ControlPlane, Kubectl, KubectlOutput, Serve, wait_for};
use crate::heading;

const SOON: Duration = Duration::from_mins(1);

const REFUSED: &str = "examples/pytorchjob-llama2-70b-oom.yaml";

/// What is admitted: the file, the name of its estimate, and the verdict that it must get.
const ADMITTED: &[(&str, &str, &str)] = &[
    ("examples/pytorchjob-llama2-70b.yaml", "pytorchjob-llama2-70b", "Fits"),
    ("examples/job-llama3-8b-lora.yaml", "job-llama3-8b-lora", "Fits"),
    ("examples/pytorchjob-minimal.yaml", "pytorchjob-minimal-7b", "Fits"),
    ("examples/trainingestimate-what-if.yaml", "llama2-70b-on-512-h100", "Fits"),
];

/// Shows all of it, in a namespace that enforces.
pub(super) async fn play(control_plane: &ControlPlane, serve: &Serve, once: bool) -> Result<()> {
    let kubectl = control_plane.kubectl()?;
    refusal(&kubectl).await?;
    admissions(&kubectl, serve).await?;
    estimates(&kubectl).await?;
    if once {
        heading("All of that really happened");
    }
    Ok(())
}

async fn refusal(kubectl: &Kubectl) -> Result<()> {
    heading("A PyTorchJob that would run out of GPU memory");
    let said = show(kubectl, &["apply", "-f", REFUSED]).await?;
    ensure!(!said.status.success(), "it was admitted, though it would run out of memory");
    ensure!(said.stderr.contains("(Forbidden)"), "the status is not 403 Forbidden");
    ensure!(
        said.stderr.contains("needs ") && said.stderr.contains(" GiB per GPU"),
        "the refusal does not say what the job needs"
    );
    let said = show(kubectl, &["get", "pytorchjob", "llama2-70b-oom"]).await?;
    ensure!(said.stderr.contains("NotFound"), "the refused PyTorchJob exists");
    Ok(())
}

async fn admissions(kubectl: &Kubectl, serve: &Serve) -> Result<()> {
    heading("Its fixed sibling, a plain Job, a job of few words, and a question without a job");
    let before = admitted(serve).await?;
    for (file, _, _) in ADMITTED {
        let said = show(kubectl, &["apply", "-f", file]).await?;
        ensure!(said.status.success(), "{file} was refused");
    }
    // The question is no workload: the gate does not see it.
    let (counted, jobs) = (admitted(serve).await? - before, ADMITTED.len() - 1);
    ensure!(counted >= jobs as f64, "the webhook has counted {counted} admissions of {jobs}");
    Ok(())
}

/// How many jobs the webhook has let through.
async fn admitted(serve: &Serve) -> Result<f64> {
    let metrics = serve.metrics().await?;
    let decided = |decision| metrics.sum("weighbridge_admission_reviews_total", &[("decision", decision)]);
    Ok(decided("allowed") + decided("warned"))
}

async fn estimates(kubectl: &Kubectl) -> Result<()> {
    for (_, name, verdict) in ADMITTED {
        let status =
            wait_for(&format!("the estimate {name} to be Ready"), SOON, || ready(kubectl, name)).await?;
        let given = status.get("verdict").and_then(Value::as_str).unwrap_or("none");
        ensure!(given == *verdict, "the verdict of {name} is {given}, not {verdict}");
    }
    heading("What they will take");
    show(kubectl, &["get", "trainingestimates", "-A"]).await?.success()?;
    Ok(())
}

/// The status of an estimate, once its condition Ready is true.
async fn ready(kubectl: &Kubectl, name: &str) -> Result<Option<Value>> {
    let said = kubectl.run(&["get", "trainingestimate", name, "-o", "json"]).await?.success()?;
    let estimate: Value = serde_json::from_str(&said)?;
    let status = estimate.get("status").context("it has no status")?;
    let conditions = status.get("conditions").and_then(Value::as_array).context("it has no conditions")?;
    let is =
        |condition: &Value, key: &str, text: &str| condition.get(key).and_then(Value::as_str) == Some(text);
    let ready = conditions.iter().any(|c| is(c, "type", "Ready") && is(c, "status", "True"));
    Ok(ready.then(|| status.clone()))
}

/// Runs kubectl and shows what was typed and what came, to the letter.
async fn show(kubectl: &Kubectl, arguments: &[&str]) -> Result<KubectlOutput> {
    println!("$ kubectl {}", arguments.join(" "));
    let said = kubectl.run(arguments).await?;
    print!("{}{}", said.stdout, said.stderr);
    Ok(said)
}
