//! What a namespace's label, or the cluster's default, makes of a job that would run out of memory.

use anyhow::{Context as _, Result};

use crate::controlplane::{ControlPlane, KubectlOutput, Reach, Serve, Setup};
use crate::gate::{Gate, Yard, refusal, weighbridge};
use crate::jobs::{fitting, hopeless, named, pytorchjob};

/// What kubectl says when it creates a job that would run out of memory.
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
async fn warn_mode_admits_with_a_warning_of_one_line() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("warn")).await?;
    let said = yard.asked(create_hopeless(&yard)).await?;
    let warning =
        said.stderr.lines().find_map(|line| line.strip_prefix("Warning: ")).context(said.stderr.clone())?;
    assert!(warning.contains("needs ") && warning.contains(" GiB"), "{warning}");
    assert!(warning.chars().count() <= 120, "{} characters: {warning}", warning.chars().count());
    assert_eq!(said.success()?, "pytorchjob.kubeflow.org/llama created\n");

    let noted = yard.audited("create", &hopeless("llama")?).await?;
    assert_eq!((noted["verdict"].as_str(), noted["would-deny"].as_str()), ("OutOfMemory", "true"));
    Ok(())
}

#[tokio::test]
async fn audit_mode_admits_in_silence_and_annotates_the_audit_log() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("audit")).await?;
    let said = yard.asked(create_hopeless(&yard)).await?;
    assert_eq!(said.stderr, "");
    assert_eq!(said.success()?, "pytorchjob.kubeflow.org/llama created\n");

    let noted = yard.audited("create", &hopeless("llama")?).await?;
    assert_eq!((noted["verdict"].as_str(), noted["would-deny"].as_str()), ("OutOfMemory", "true"));
    Ok(())
}

#[tokio::test]
async fn a_malformed_value_only_warns_where_the_mode_is_warn() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("warn")).await?;
    let job = pytorchjob("typo", 1, &[("model", "llama-2-7b"), ("tensor-parallel", "four")]);
    let arguments = ["create", "-n", yard.name(), "-f", "-"];
    let said = yard.control_plane.kubectl()?.run_with_input(&arguments, &job.to_string()).await?;
    assert!(
        said.stderr.starts_with("Warning: ") && said.stderr.contains("tensor-parallel"),
        "{}",
        said.stderr
    );
    said.success()?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_is_off_is_never_asked_about() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let on = control_plane.guarded_namespace("off", &[]).await?;
    let off = control_plane.guarded_namespace("off", &[("weighbridge.dev/mode", "off")]).await?;
    let reach = Reach::Namespaces(vec![on.name().to_owned(), off.name().to_owned()]);
    let serve = Serve::start(control_plane, weighbridge(), Setup::new("off", reach)).await?;
    let (on, off) = (Yard::new(control_plane, &serve, on)?, Yard::new(control_plane, &serve, off)?);

    let before = off.requests().await?;
    let said = create_hopeless(&off).await?;
    assert_eq!(said.stderr, "");
    said.success()?;
    assert!((off.requests().await? - before).abs() < 0.5, "the webhook was asked");

    assert_eq!(refusal(on.create(&hopeless("llama")?).await?)?.code, 403);
    assert!((on.requests().await? - before - 1.0).abs() < 0.5, "not asked once");
    serve.stop().await
}

#[tokio::test]
async fn the_default_mode_is_for_namespaces_without_a_label() -> Result<()> {
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
    let said = create_hopeless(&unlabelled).await?;
    assert!(said.stderr.starts_with("Warning: "), "{}", said.stderr);
    said.success()?;
    unlabelled.admitted(&named(fitting("llama")?, "fits")).await?;
    serve.stop().await
}
