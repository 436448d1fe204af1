//! Overrides of a refusal: by users that the administrator names, with a reason, and audited.

use anyhow::Result;
use serde_json::Value;

use super::gate::{Gate, MAY_OVERRIDE, Yard, condition};
use super::jobs::{annotate, annotated, fitting, hopeless, ruin};
use crate::controlplane::{Kubectl, KubectlOutput};

const REASON: &str = "profiling until it breaks";

fn overridden(name: &str) -> Result<Value> {
    Ok(annotated(hopeless(name)?, &[("override", REASON)]))
}

/// A user who may create anything, and is in this group.
fn member_of(yard: &Yard<'_>, group: &str) -> Result<Kubectl> {
    yard.control_plane.kubectl_as("dana", &["system:masters", group])
}

async fn create(yard: &Yard<'_>, user: &Kubectl, object: &Value) -> Result<KubectlOutput> {
    user.run_with_input(&["create", "-n", yard.name(), "-f", "-"], &object.to_string()).await
}

#[tokio::test]
async fn a_user_who_may_override_is_admitted_with_a_warning_and_an_audit_note() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = overridden("llama")?;
    let output = yard.asked(create(&yard, &member_of(&yard, MAY_OVERRIDE)?, &job)).await?;
    assert!(output.stderr.starts_with("Warning: ") && output.stderr.contains(REASON), "{}", output.stderr);
    output.success()?;

    let noted = yard.audited("create", &job).await?;
    assert_eq!((noted["verdict"].as_str(), noted["override"].as_str()), ("OutOfMemory", REASON));
    // The gate admitted it knowingly, so it did not bypass admission.
    let estimate = yard.estimate("pytorchjob-llama").await?;
    assert_eq!(estimate["status"]["verdict"], "OutOfMemory");
    assert!(condition(&estimate, "BypassedAdmission").is_null(), "{}", estimate["status"]["conditions"]);
    Ok(())
}

#[tokio::test]
async fn a_user_who_may_not_override_is_refused_with_the_reason() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let output = create(&yard, &member_of(&yard, "research")?, &overridden("llama")?).await?;
    assert!(output.stderr.contains("(Forbidden)") && output.stderr.contains("override"), "{}", output.stderr);
    assert!(!output.status.success());
    Ok(())
}

#[tokio::test]
async fn an_override_without_a_reason_does_not_count() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = annotated(hopeless("llama")?, &[("override", " ")]);
    let output = create(&yard, &member_of(&yard, MAY_OVERRIDE)?, &job).await?;
    assert!(!output.status.success(), "admitted: {}", output.stderr);
    Ok(())
}

#[tokio::test]
async fn an_override_that_an_update_adds_is_ignored() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama")?;
    yard.admitted(&job).await?;
    let mut change = ruin();
    change["metadata"]["annotations"]["weighbridge.dev/override"] = Value::from(REASON);
    let arguments =
        ["patch", "pytorchjob", "llama", "-n", yard.name(), "--type=merge", "-p", &change.to_string()];
    let output = member_of(&yard, MAY_OVERRIDE)?.run(&arguments).await?;
    assert!(!output.status.success() && output.stderr.contains("(Forbidden)"), "{}", output.stderr);

    // Adding it in an earlier update does not help either.
    yard.change_admitted(&job, &annotate(&[("override", REASON)])).await?;
    Ok(())
}
