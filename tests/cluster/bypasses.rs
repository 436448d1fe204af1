//! What happens while nobody answers. Where the webhook fails closed, only what it would have weighed waits; where it
//! fails open, the controller finds afterwards what slipped by.

use anyhow::{Context as _, Result};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};

use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until, wait_until_refused};
use crate::gate::{SOON, Yard, condition, create, refusal, weighbridge};
use crate::jobs::{annotated, fitting, hopeless, job, pod_spec};

#[tokio::test]
async fn a_gate_that_fails_closed_holds_back_only_what_asks_for_accelerators() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("closed", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let setup = Setup::new("closed", reach);
    let setup = Serve::start(control_plane, weighbridge(), setup).await?.kill()?;

    let client = control_plane.admin()?;
    let said = refusal(create(&client, namespace.name(), &fitting("llama")?).await?)?;
    assert!(said.message.contains("failed calling webhook"), "{}", said.message);
    let mut plain = job("plain", 1, &[]);
    plain["spec"]["template"]["spec"] = pod_spec(0);
    create(&client, namespace.name(), &plain).await??;

    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    Yard::new(control_plane, &serve, namespace)?.admitted(&fitting("llama")?).await?;
    serve.stop().await
}

#[tokio::test]
async fn a_job_that_slips_by_while_nobody_answers_is_marked_told_of_and_counted() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("bypass", &[]).await?;
    let name = namespace.name().to_owned();
    let setup = Setup::new("bypass", Reach::Namespaces(vec![name.clone()]));
    let setup = Setup { failure_policy: "Ignore", ..setup };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    // The node loses power, and two jobs come.
    let setup = serve.kill()?;
    let client = control_plane.admin()?;
    create(&client, &name, &hopeless("slipped")?).await?.context("the apiserver fails closed")?;
    create(&client, &name, &fitting("honest")?).await??;
    // A reason that can't count for anybody hides nothing.
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
    assert!(condition(&estimate, "BypassedAdmission").is_null(), "it would have been admitted");

    let events: Api<Event> = Api::namespaced(yard.client.clone(), &name);
    wait_until("an event about what slipped by", SOON, || async {
        let told = events.list(&ListParams::default()).await?.items.into_iter().any(|event| {
            event.reason.as_deref() == Some("BypassedAdmission")
                && event.regarding.is_some_and(|object| object.name.as_deref() == Some("slipped"))
        });
        Ok(told)
    })
    .await?;
    let counted = serve.metrics().await?.sum("weighbridge_bypassed_admissions_total", &[]);
    assert!((counted - 2.0).abs() < 0.5, "{counted}");

    // And the gate is closed again.
    wait_until_refused(control_plane, &name).await?;
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);
    serve.stop().await
}
