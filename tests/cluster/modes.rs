//! Modes: the namespace's label or the cluster's default decides about a job that would run out of memory.

use anyhow::{Context as _, Result};

use super::gate::{Gate, Yard, refusal, weighbridge};
use super::jobs::{fitting, hopeless, named, pytorchjob};
use crate::controlplane::{ControlPlane, KubectlOutput, Reach, Serve, Setup};

/// The output of kubectl when it creates a job that would run out of memory.
async fn create_hopeless(yard: &Yard<'_>) -> Result<KubectlOutput> {
    let arguments = ["create", "-n", yard.name(), "-f", "-"];
    yard.control_plane.kubectl()?.run_with_input(&arguments, &hopeless("llama")?.to_string()).await
}

#[tokio::test]
async fn a_namespace_without_a_label_enforces() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(None).await?;
    assert_eq!(refusal(yard.create(&hopeless("llama")?).await?)?.code, 403);
    Ok(())
}

#[tokio::test]
async fn a_label_with_a_word_that_is_no_mode_does_not_open_the_namespace() -> Result<()> {
    for word in ["block", "Enforce"] {
        let yard = Gate::shared().await?.yard_in_mode(Some(word)).await?;
        assert_eq!(refusal(yard.create(&hopeless("llama")?).await?)?.code, 403, "{word}");
    }
    Ok(())
}

#[tokio::test]
async fn warn_mode_admits_with_a_warning_of_one_line() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("warn")).await?;
    let output = yard.asked(create_hopeless(&yard)).await?;
    let warning = output
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("Warning: "))
        .context(output.stderr.clone())?;
    assert!(warning.starts_with("pytorchjob/llama would be refused: needs "), "{warning}");
    assert!(warning.contains(" GiB"), "{warning}");
    assert!(warning.chars().count() <= 120, "{} characters: {warning}", warning.chars().count());
    assert_eq!(output.success()?, "pytorchjob.kubeflow.org/llama created\n");

    let noted = yard.audited("create", &hopeless("llama")?).await?;
    assert_eq!((noted["verdict"].as_str(), noted["would-deny"].as_str()), ("OutOfMemory", "true"));
    Ok(())
}

#[tokio::test]
async fn audit_mode_admits_without_a_warning_and_writes_an_audit_note() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("audit")).await?;
    let output = yard.asked(create_hopeless(&yard)).await?;
    assert_eq!(output.stderr, "");
    assert_eq!(output.success()?, "pytorchjob.kubeflow.org/llama created\n");

    let noted = yard.audited("create", &hopeless("llama")?).await?;
    assert_eq!((noted["verdict"].as_str(), noted["would-deny"].as_str()), ("OutOfMemory", "true"));
    Ok(())
}

#[tokio::test]
async fn a_malformed_value_only_warns_in_the_mode_warn() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("warn")).await?;
    let job = pytorchjob("typo", 1, &[("model", "llama-2-7b"), ("tensor-parallel", "four")]);
    let arguments = ["create", "-n", yard.name(), "-f", "-"];
    let output = yard.control_plane.kubectl()?.run_with_input(&arguments, &job.to_string()).await?;
    assert!(
        output.stderr.starts_with("Warning: ") && output.stderr.contains("tensor-parallel"),
        "{}",
        output.stderr
    );
    output.success()?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_in_the_mode_off_never_reaches_the_webhook() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let on = control_plane.guarded_namespace("off", &[]).await?;
    let off = control_plane.guarded_namespace("off", &[("weighbridge.dev/mode", "off")]).await?;
    let reach = Reach::Namespaces(vec![on.name().to_owned(), off.name().to_owned()]);
    let serve = Serve::start(control_plane, weighbridge(), Setup::new("off", reach)).await?;
    let (on, off) = (Yard::new(control_plane, &serve, on)?, Yard::new(control_plane, &serve, off)?);

    let before = off.requests().await?;
    let output = create_hopeless(&off).await?;
    assert_eq!(output.stderr, "");
    output.success()?;
    assert!((off.requests().await? - before).abs() < 0.5, "the webhook was called");

    assert_eq!(refusal(on.create(&hopeless("llama")?).await?)?.code, 403);
    assert!((on.requests().await? - before - 1.0).abs() < 0.5, "the webhook was not called exactly once");
    serve.stop().await
}

#[tokio::test]
async fn the_default_mode_applies_to_namespaces_without_a_label() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let labelled =
        control_plane.guarded_namespace("default-mode", &[("weighbridge.dev/mode", "enforce")]).await?;
    let unlabelled = control_plane.guarded_namespace("default-mode", &[]).await?;
    let reach = Reach::Namespaces(vec![labelled.name().to_owned(), unlabelled.name().to_owned()]);
    let setup = Setup::new("default-mode", reach);
    let setup = Setup { arguments: vec!["--mode=warn".to_owned()], ..setup };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let labelled = Yard::new(control_plane, &serve, labelled)?;
    let unlabelled = Yard::new(control_plane, &serve, unlabelled)?;

    assert_eq!(refusal(labelled.create(&hopeless("llama")?).await?)?.code, 403);
    let output = create_hopeless(&unlabelled).await?;
    assert!(output.stderr.starts_with("Warning: "), "{}", output.stderr);
    output.success()?;
    unlabelled.admitted(&named(fitting("llama")?, "fits")).await?;
    serve.stop().await
}
