//! The GitHub Action and the hook of pre-commit, run as their runners do: the scripts come from the files themselves.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

fn file(name: &str) -> Result<Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))?;
    serde_saphyr::from_str(&text).with_context(|| name.to_owned())
}

/// Runs a script in the tree, with `weighbridge` on the PATH.
fn bash(script: &str, variables: &[(&str, &str)]) -> Result<(Option<i32>, String)> {
    let program = Path::new(env!("CARGO_BIN_EXE_weighbridge")).parent().context("no folder")?;
    let folders = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(program.to_owned()).chain(env::split_paths(&folders)))?;
    // As a runner of GitHub does for `shell: bash`.
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path)
        .envs(variables.iter().copied())
        .output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

#[test]
fn the_action_marks_the_lines_and_writes_the_summary() -> Result<()> {
    let action = file("action.yml")?;
    let steps = action["runs"]["steps"].as_array().context("no steps")?;
    let script = steps.last().and_then(|step| step["run"].as_str()).context("no script")?;
    let summary = tempfile::NamedTempFile::new()?;
    let place = summary.path().display().to_string();
    let run = |paths: &str, arguments: &str| {
        bash(script, &[("PATHS", paths), ("ARGUMENTS", arguments), ("GITHUB_STEP_SUMMARY", &place)])
    };
    let (status, printed) = run("examples/pytorchjob-llama2-70b-oom.yaml", "")?;
    ensure!(status == Some(1) && printed.starts_with("::error file=examples/"), "{status:?} {printed}");
    ensure!(fs::read_to_string(summary.path())?.contains("| PyTorchJob llama2"), "no summary");
    let (status, printed) =
        run("examples/pytorchjob-llama2-70b.yaml examples/job-llama3-8b-lora.yaml", "--fail-on tight")?;
    ensure!(status == Some(0), "{status:?} {printed}");
    // An input is words and no script.
    let (_, printed) = run("examples/job-llama3-8b-lora.yaml", "$(touch injected) ; echo injected")?;
    ensure!(!printed.contains("\ninjected") && !Path::new("injected").exists(), "{printed}");
    Ok(())
}

#[test]
fn the_hook_of_pre_commit_fails_on_a_job_that_runs_out() -> Result<()> {
    let hooks = file(".pre-commit-hooks.yaml")?;
    let entry = hooks[0]["entry"].as_str().context("no entry")?;
    for (manifest, expected) in [("pytorchjob-llama2-70b-oom.yaml", 1), ("pytorchjob-llama2-70b.yaml", 0)] {
        let (status, printed) = bash(&format!("{entry} examples/{manifest}"), &[])?;
        ensure!(status == Some(expected), "{manifest}: {status:?} {printed}");
    }
    Ok(())
}
