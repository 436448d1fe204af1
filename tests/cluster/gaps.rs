//! Objects that were not read to their end, and objects with several trainings, from the gate to the estimate.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::gate::{Gate, condition, refusal};
use super::jobs::pod_spec;

/// A 70B model on eight H100, which runs out of memory, and a small one, which fits.
const LARGE: &str = "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 80 --hidden-size 8192 \
    --num-attention-heads 64 --seq-length 4096 --max-position-embeddings 4096 --micro-batch-size 1 \
    --global-batch-size 64 --bf16 --vocab-size 32000 --use-mcore-models";
const SMALL: &str = "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 12 --hidden-size 1024 \
    --num-attention-heads 16 --seq-length 1024 --max-position-embeddings 1024 --micro-batch-size 1 \
    --global-batch-size 64 --bf16 --vocab-size 32000 --use-mcore-models --attention-backend flash";

/// A Job of one pod that runs a script on eight H100.
fn job(name: &str, script: &str) -> Value {
    let mut spec = pod_spec(8);
    spec["nodeSelector"] = json!({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"});
    spec["containers"][0]["command"] = json!(["bash", "-c", script]);
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": spec}}})
}

/// The same script in a Pod.
fn pod(name: &str, script: &str) -> Value {
    let spec = job(name, script)["spec"]["template"]["spec"].clone();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn an_object_that_is_not_read_to_its_end_gets_a_warning_and_an_estimate() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let comment = format!("echo '{}'\n", "# words\n".repeat(7_000));
    for (name, script) in [
        ("long", format!("{comment}{LARGE}")),
        ("statements", "true\n".repeat(4_100) + LARGE),
        ("programs", "python a.py\n".repeat(64) + LARGE),
        ("error", "sleep 1\nif x; then".to_owned()),
    ] {
        for object in [job(name, &script), pod(name, &script)] {
            yard.admitted(&object).await?;
            let noted = yard.audited("create", &object).await?;
            let of = |key: &str| noted.get(key).map(String::as_str);
            ensure!(
                (of("verdict"), of("reason")) == (Some("Unknown"), Some("NotReadToEnd")),
                "{name}: {noted:?}"
            );
        }
        let again = job(&format!("{name}-again"), &script).to_string();
        let kubectl = yard.control_plane.kubectl()?;
        let created = kubectl.run_with_input(&["create", "-n", yard.name(), "-f", "-"], &again).await?;
        ensure!(created.stderr.contains("not read to its end"), "{name}: {}", created.stderr);
        created.success()?;
        let estimate = yard.estimate_that(&format!("job-{name}"), "Unknown").await?;
        ensure!(estimate["status"]["reason"] == "NotReadToEnd", "{}", estimate["status"]);
        let fits = condition(&estimate, "FitsMemory")["message"].as_str().unwrap_or_default();
        ensure!(fits.starts_with("not read to its end: "), "{}", estimate["status"]);
    }
    Ok(())
}

#[tokio::test]
async fn the_lines_above_an_error_and_the_worst_of_several_trainings_are_refused() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut init = job("init", "sleep 1");
    let container = job("init", LARGE)["spec"]["template"]["spec"]["containers"][0].clone();
    init["spec"]["template"]["spec"]["initContainers"] = json!([container]);
    init["spec"]["template"]["spec"]["initContainers"][0]["name"] = json!("first");
    for object in [
        job("error", &format!("{LARGE}\nif x; then")),
        job("second", &format!("{SMALL}\n{LARGE}")),
        pod("second", &format!("{SMALL} && {LARGE}")),
        init,
    ] {
        let status = refusal(yard.create(&object).await?)?;
        ensure!(status.code == 403 && status.message.contains(" GiB per GPU ("), "{}", status.message);
    }
    yard.admitted(&job("small", &format!("{SMALL}\npython export.py"))).await?;
    Ok(())
}
