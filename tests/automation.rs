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

/// `.ci/release` with its files in a folder.
fn release(folder: &Path, arguments: &str) -> Result<String> {
    let place = folder.display().to_string();
    let (status, printed) = bash(&format!(".ci/release {arguments}"), &[("DIST", &place)])?;
    ensure!(status == Some(0), ".ci/release {arguments}: {status:?} {printed}");
    Ok(printed)
}

#[test]
fn the_files_of_a_release_are_made_and_their_sums_agree() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // The binary of the tests is large. A script that starts it stands for the one of a release.
    let program = folder.path().join("weighbridge-amd64");
    fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_weighbridge")))?;
    bash(&format!("chmod +x {}", program.display()), &[])?;
    let dist = folder.path().join("dist");
    for arch in ["amd64", "arm64"] {
        release(&dist, &format!("archive {} {arch}", program.display()))?;
    }
    for step in ["sbom", "krew example/weighbridge", "checksums"] {
        release(&dist, step)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let archive = format!("weighbridge-{version}-linux-amd64.tar.gz");
    let (_, files) = bash(&format!("tar -tzf {}/{archive}", dist.display()), &[])?;
    for file in ["./weighbridge", "./LICENSE", "./completions/weighbridge.bash", "./man/weighbridge.1"] {
        ensure!(files.lines().any(|line| line == file), "{file} is not in {files}");
    }

    let (status, _) = bash(&format!("cd {} && sha256sum --quiet -c checksums.txt", dist.display()), &[])?;
    ensure!(status == Some(0), "a sum is wrong");
    let read = |name: String| fs::read_to_string(dist.join(&name)).context(name);
    let sums = read("checksums.txt".into())?;
    ensure!(sums.lines().count() == 4, "{sums}");

    let packages: Value = serde_json::from_str(&read(format!("weighbridge-{version}.cdx.json"))?)?;
    let names: Vec<_> = packages["components"].as_array().context("no components")?.iter().collect();
    let has = |name: &str| names.iter().any(|component| component["name"] == name);
    ensure!(has("kube") && has("rustls") && !has("insta") && !has("weighbridge"), "{} packages", names.len());
    ensure!(names.iter().all(|component| component["purl"].is_string()), "a package without a purl");

    let plugin: Value = serde_saphyr::from_str(&read("krew.yaml".into())?)?;
    ensure!(plugin["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2", "{plugin}");
    ensure!(
        plugin["metadata"]["name"] == "weighbridge" && plugin["spec"]["version"] == format!("v{version}")
    );
    let platforms = plugin["spec"]["platforms"].as_array().context("no platforms")?;
    ensure!(platforms.len() == 2, "{platforms:?}");
    for platform in platforms {
        let (sum, uri) = (platform["sha256"].as_str(), platform["uri"].as_str());
        let (sum, uri) = (sum.context("no sum")?, uri.context("no address")?);
        let name = uri.rsplit('/').next().unwrap_or_default();
        ensure!(sums.contains(&format!("{sum}  {name}")), "{name} has another sum");
        ensure!(uri.contains(&format!("/example/weighbridge/releases/download/v{version}/")), "{uri}");
        let moved = platform["files"].as_array().context("no files")?;
        ensure!(moved.iter().any(|file| file["from"] == platform["bin"]), "the program is not installed");
    }
    Ok(())
}

#[test]
fn a_tag_of_another_version_makes_no_release() -> Result<()> {
    let folder = tempfile::tempdir()?;
    release(folder.path(), &format!("is v{}", env!("CARGO_PKG_VERSION")))?;
    ensure!(release(folder.path(), "is v99.0.0").is_err(), "another tag is accepted");
    Ok(())
}

#[test]
fn the_workflow_of_a_release_calls_steps_that_exist() -> Result<()> {
    let workflow =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows/release.yml"))?;
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/release"))?;
    let steps: Vec<_> = workflow
        .split(".ci/release ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '\n', ')']).next())
        .collect();
    ensure!(steps.len() >= 6, "{steps:?}");
    for step in steps {
        ensure!(script.contains(&format!("\n{step}() {{")), "{step} is no step of .ci/release");
    }
    Ok(())
}
