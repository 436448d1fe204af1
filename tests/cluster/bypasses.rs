//! The cluster while the webhook does not answer. With `failurePolicy: Fail`, only objects that the webhook would
//! judge are refused. With `Ignore`, the controller finds the jobs that were admitted unjudged.

use anyhow::{Context as _, Result};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};

use super::gate::{SOON, Yard, condition, create, refusal, weighbridge};
use super::jobs::{annotated, fitting, hopeless, job, pod_spec};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until, wait_until_refused};

#[tokio::test]
async fn a_gate_that_fails_closed_refuses_only_objects_with_accelerators() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("closed", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let setup = Setup::new("closed", reach);
    let setup = Serve::start(control_plane, weighbridge(), setup).await?.kill()?;

    let client = control_plane.admin()?;
    let status = refusal(create(&client, namespace.name(), &fitting("llama")?).await?)?;
    assert!(status.message.contains("failed calling webhook"), "{}", status.message);
    let mut plain = job("plain", 1, &[]);
    plain["spec"]["template"]["spec"] = pod_spec(0);
    create(&client, namespace.name(), &plain).await??;

    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    Yard::new(control_plane, &serve, namespace)?.admitted(&fitting("llama")?).await?;
    serve.stop().await
}

#[tokio::test]
async fn a_job_that_is_created_while_no_replica_answers_is_marked_and_counted() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("bypass", &[]).await?;
    let name = namespace.name().to_owned();
    let setup = Setup::new("bypass", Reach::Namespaces(vec![name.clone()]));
    let setup = Setup { failure_policy: "Ignore", ..setup };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    // The gate is killed, and two jobs are created.
    let setup = serve.kill()?;
    let client = control_plane.admin()?;
    create(&client, &name, &hopeless("slipped")?).await?.context("the apiserver fails closed")?;
    create(&client, &name, &fitting("honest")?).await??;
    // An override counts for no user here, so it changes nothing.
    let excused = annotated(hopeless("excused")?, &[("override", "because")]);
    create(&client, &name, &excused).await??;

    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    let estimate = yard.estimate("pytorchjob-slipped").await?;
    assert_eq!(estimate["status"]["verdict"], "OutOfMemory");
    let bypassed = condition(&estimate, "BypassedAdmission");
    assert_eq!(bypassed["status"], "True", "{}", estimate["status"]["conditions"]);
    let estimate = yard.estimate("pytorchjob-excused").await?;
    assert_eq!(condition(&estimate, "BypassedAdmission")["status"], "True");
    let estimate = yard.estimate("pytorchjob-honest").await?;
    assert!(condition(&estimate, "BypassedAdmission").is_null(), "the gate would have admitted it");

    let events: Api<Event> = Api::namespaced(yard.client.clone(), &name);
    wait_until("an event about the unjudged job", SOON, || async {
        let reported = events.list(&ListParams::default()).await?.items.into_iter().any(|event| {
            event.reason.as_deref() == Some("BypassedAdmission")
                && event.regarding.is_some_and(|object| object.name.as_deref() == Some("slipped"))
        });
        Ok(reported)
    })
    .await?;
    let counted = serve.metrics().await?.sum("weighbridge_bypassed_admissions_total", &[]);
    assert!((counted - 2.0).abs() < 0.5, "{counted}");

    // The gate refuses again.
    wait_until_refused(control_plane, &name).await?;
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);
    serve.stop().await
}
