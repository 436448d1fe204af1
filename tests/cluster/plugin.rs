//! The plugin of kubectl, under the name by which kubectl starts it.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result, ensure};

use super::gate::{Gate, weighbridge};
use super::jobs::fitting;

#[tokio::test]
async fn the_plugin_tells_of_the_jobs_of_a_namespace() -> Result<()> {
    let gate = Gate::shared().await?;
    let yard = gate.yard().await?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    yard.estimate("pytorchjob-llama2-70b").await?;
    let folder = tempfile::tempdir()?;
    let plugin = folder.path().join("kubectl-weighbridge");
    symlink(weighbridge(), &plugin)?;
    let kubeconfig = gate.control_plane.kubeconfig().display().to_string();
    let ask = async |arguments: &[&str]| -> Result<(String, String)> {
        let output = tokio::process::Command::new(&plugin)
            .args(arguments)
            .args(["--kubeconfig", &kubeconfig, "-n", yard.name()])
            .output()
            .await?;
        Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
    };
    let (table, errors) = ask(&["top"]).await?;
    let row = table.lines().nth(1).with_context(|| format!("{table}{errors}"))?;
    let cells: Vec<&str> = row.split_whitespace().collect();
    ensure!(cells[..3] == [yard.name(), "pytorchjob-llama2-70b", "llama-2-70b"], "{row}");
    ensure!(cells[7].ends_with('%') && cells[8] == "Fits", "{row}");
    let (story, errors) = ask(&["why", "pytorchjob/llama2-70b"]).await?;
    ensure!(story.contains("optimizer states") && story.contains("Inputs:"), "{story}{errors}");
    let (_, errors) = ask(&["why", "pytorchjob/never-created"]).await?;
    ensure!(errors.contains("if it was refused"), "{errors}");
    Ok(())
}
