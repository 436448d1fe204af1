//! A refusal overridden: by those whom the administrator names, with a reason, in the open.

use anyhow::Result;
use serde_json::Value;

use crate::controlplane::{Kubectl, KubectlOutput};
use crate::gate::{Gate, MAY_OVERRIDE, Yard, condition};
use crate::jobs::{annotate, annotated, fitting, hopeless, ruin};

const REASON: &str = "profiling until it breaks";

fn overridden(name: &str) -> Result<Value> {
    Ok(annotated(hopeless(name)?, &[("override", REASON)]))
}

/// Somebody who may create anything, and is in this group.
fn member_of(yard: &Yard<'_>, group: &str) -> Result<Kubectl> {
    yard.control_plane.kubectl_as("dana", &["system:masters", group])
}

async fn create(yard: &Yard<'_>, as_whom: &Kubectl, object: &Value) -> Result<KubectlOutput> {
    as_whom.run_with_input(&["create", "-n", yard.name(), "-f", "-"], &object.to_string()).await
}

#[tokio::test]
async fn who_may_override_is_admitted_with_a_warning_and_an_entry_in_the_audit_log() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = overridden("llama")?;
    let said = yard.asked(create(&yard, &member_of(&yard, MAY_OVERRIDE)?, &job)).await?;
    assert!(said.stderr.starts_with("Warning: ") && said.stderr.contains(REASON), "{}", said.stderr);
    said.success()?;

    let noted = yard.audited("create", &job).await?;
    assert_eq!((noted["verdict"].as_str(), noted["override"].as_str()), ("OutOfMemory", REASON));
    // It did not slip by: it was let through.
    let estimate = yard.estimate("pytorchjob-llama").await?;
    assert_eq!(estimate["status"]["verdict"], "OutOfMemory");
    assert!(condition(&estimate, "BypassedAdmission").is_null(), "{}", estimate["status"]["conditions"]);
    Ok(())
}

#[tokio::test]
async fn who_may_not_override_is_refused_and_told_so() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let said = create(&yard, &member_of(&yard, "research")?, &overridden("llama")?).await?;
    assert!(said.stderr.contains("(Forbidden)") && said.stderr.contains("override"), "{}", said.stderr);
    assert!(!said.status.success());
    Ok(())
}

#[tokio::test]
async fn an_override_without_a_reason_is_none() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = annotated(hopeless("llama")?, &[("override", " ")]);
    let said = create(&yard, &member_of(&yard, MAY_OVERRIDE)?, &job).await?;
    assert!(!said.status.success(), "admitted: {}", said.stderr);
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
    let said = member_of(&yard, MAY_OVERRIDE)?.run(&arguments).await?;
    assert!(!said.status.success() && said.stderr.contains("(Forbidden)"), "{}", said.stderr);

    // Nor does it help to add it first.
    yard.change_admitted(&job, &annotate(&[("override", REASON)])).await?;
    Ok(())
}
