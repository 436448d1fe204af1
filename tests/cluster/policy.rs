//! The policy's file: its fields, its changes, and its mistakes, which change nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::gate::{Gate, SOON, Yard, refusal, weighbridge};
use super::jobs::{hopeless, named, pytorchjob};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_for, wait_until};

const HEAD: &str = "apiVersion: config.weighbridge.dev/v1alpha1\nkind: Configuration\n";

/// The file of a mounted ConfigMap: behind a link to a folder, which each change replaces.
pub(crate) struct Mounted {
    folder: tempfile::TempDir,
    versions: usize,
}

impl Mounted {
    pub(crate) fn new(policy: &str) -> Result<Self> {
        let mut mounted = Self { folder: tempfile::tempdir()?, versions: 0 };
        std::os::unix::fs::symlink("..data/config.yaml", mounted.file())?;
        mounted.change(policy)?;
        Ok(mounted)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    pub(crate) fn change(&mut self, policy: &str) -> Result<()> {
        self.versions += 1;
        let version = format!("..version-{}", self.versions);
        let at = |name: &str| self.folder.path().join(name);
        fs::create_dir(at(&version))?;
        fs::write(at(&version).join("config.yaml"), format!("{HEAD}{policy}"))?;
        std::os::unix::fs::symlink(Path::new(&version), at("..data_tmp"))?;
        fs::rename(at("..data_tmp"), at("..data"))?;
        Ok(())
    }
}

#[tokio::test]
async fn a_changed_policy_takes_effect_and_a_broken_one_changes_nothing() -> Result<()> {
    let mut mounted = Mounted::new("unknown: Warn\n")?;
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("policy", &[("weighbridge.dev/mode", "enforce")]).await?;
    let setup = Setup::new("policy", Reach::Namespaces(vec![namespace.name().to_owned()]));
    let arguments = vec![format!("--config={}", mounted.file().display())];
    let serve = Serve::start(control_plane, weighbridge(), Setup { arguments, ..setup }).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    let unknown = || pytorchjob("unknown-model", 1, &[("precision", "bf16")]);
    yard.admitted(&unknown()).await?;

    mounted.change("unknown: Deny\n")?;
    let other = named(unknown(), "unknown-model-2");
    wait_until("an unknown job to be refused", SOON, || async {
        let arguments = ["create", "--dry-run=server", "-n", yard.name(), "-f", "-"];
        let output = control_plane.kubectl()?.run_with_input(&arguments, &other.to_string()).await?;
        Ok(!output.status.success())
    })
    .await?;
    assert_eq!(refusal(yard.create(&other).await?)?.code, 403);

    mounted.change("unknown: Never\n")?;
    wait_until("the mistake to be counted", SOON, || async {
        Ok(serve.metrics().await?.sum("weighbridge_policy_refused", &[]) > 0.5)
    })
    .await?;
    assert_eq!(refusal(yard.create(&other).await?)?.code, 403, "the last valid policy stays in effect");
    serve.stop().await
}

#[tokio::test]
async fn an_exempt_namespace_is_not_judged() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let judged = control_plane.guarded_namespace("exempt", &[("weighbridge.dev/mode", "enforce")]).await?;
    let free = control_plane.guarded_namespace("exempt", &[]).await?;
    let mounted = Mounted::new(&format!("exemptions: {{namespaces: [{}]}}\n", free.name()))?;
    let reach = Reach::Namespaces(vec![judged.name().to_owned(), free.name().to_owned()]);
    let arguments = vec![format!("--config={}", mounted.file().display())];
    let setup = Setup { arguments, ..Setup::new("exempt", reach) };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let (judged, free) = (Yard::new(control_plane, &serve, judged)?, Yard::new(control_plane, &serve, free)?);
    assert_eq!(refusal(judged.create(&hopeless("llama")?).await?)?.code, 403);
    free.create(&hopeless("llama")?).await??;
    assert_eq!(free.audited("create", &hopeless("llama")?).await?["exempt"], "namespace");
    serve.stop().await
}

#[tokio::test]
async fn a_priority_class_exempts_only_if_every_template_with_accelerators_names_it() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("class", &[("weighbridge.dev/mode", "enforce")]).await?;
    let mounted = Mounted::new("exemptions: {priorityClasses: [vip]}\n")?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let arguments = vec![format!("--config={}", mounted.file().display())];
    let setup = Setup { arguments, ..Setup::new("class", reach) };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    let job = |name: &str, roles: [(&str, u64, Option<&str>); 2]| -> Result<Value> {
        let mut job = named(hopeless(name)?, name);
        let template = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"].clone();
        let roles = roles.map(|(role, replicas, class)| {
            let mut template = template.clone();
            template["spec"]["priorityClassName"] = json!(class);
            (role.to_owned(), json!({"replicas": replicas, "template": template}))
        });
        job["spec"]["pytorchReplicaSpecs"] = Value::Object(roles.into_iter().collect());
        Ok(job)
    };
    let without_pods = job("without-pods", [("Master", 0, Some("vip")), ("Worker", 8, None)])?;
    assert_eq!(refusal(yard.create(&without_pods).await?)?.code, 403);
    let one_of_two = job("one-of-two", [("Master", 1, Some("vip")), ("Worker", 7, Some("research"))])?;
    assert_eq!(refusal(yard.create(&one_of_two).await?)?.code, 403);
    let every = job("every", [("Master", 1, Some("vip")), ("Worker", 7, Some("vip"))])?;
    yard.create(&every).await??;
    assert_eq!(yard.audited("create", &every).await?["exempt"], "priority-class");
    serve.stop().await
}

#[tokio::test]
async fn an_invalid_policy_ends_the_start_with_its_rule() -> Result<()> {
    let mounted = Mounted::new("denyAt: 90\n")?;
    let file = format!("--config={}", mounted.file().display());
    let output = tokio::process::Command::new(weighbridge()).args(["serve", &file]).output().await?;
    let output = String::from_utf8(output.stderr)?;
    assert!(output.contains("denyAt: 90 must be a probability"), "{output}");
    Ok(())
}

#[tokio::test]
async fn a_change_to_enforce_lists_the_jobs_that_would_be_refused() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("warn")).await?;
    yard.admitted(&hopeless("too-large")?).await?;
    let label = ["label", "namespace", yard.name(), "weighbridge.dev/mode=enforce", "--overwrite"];
    // The cache learns of the job a moment later.
    let output = wait_for("the warning", SOON, || async {
        let dry_run = [&label[..], &["--dry-run=server"]].concat();
        let output = yard.control_plane.kubectl()?.run(&dry_run).await?.stderr;
        ensure!(output.contains("pytorchjob/too-large"), "kubectl says: {output}");
        Ok(Some(output))
    })
    .await?;
    assert!(output.contains("1 of the workloads in this namespace would be refused"), "{output}");

    let namespaces: Api<Namespace> = Api::all(yard.client.clone());
    let enforce = json!({"metadata": {"labels": {"weighbridge.dev/mode": "enforce"}}});
    namespaces.patch(yard.name(), &PatchParams::default(), &Patch::Merge(enforce)).await?;
    assert_eq!(refusal(yard.create(&named(hopeless("x")?, "another")).await?)?.code, 403);
    Ok(())
}
