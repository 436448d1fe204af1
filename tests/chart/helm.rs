//! The real helm, and what it renders.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::controlplane;

/// The chart under test.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/weighbridge");

/// Helm with a home of its own: what a person has configured is not the test's.
pub(crate) struct Helm {
    home: TempDir,
    kubeconfig: Option<std::path::PathBuf>,
}

/// What helm said.
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Helm {
    /// One that reaches no cluster.
    pub(crate) fn offline() -> Result<Self> {
        Ok(Self { home: tempfile::tempdir()?, kubeconfig: None })
    }

    /// One that reaches the cluster of this kubeconfig.
    pub(crate) fn of(kubeconfig: &Path) -> Result<Self> {
        Ok(Self { home: tempfile::tempdir()?, kubeconfig: Some(kubeconfig.to_owned()) })
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Said> {
        let program = controlplane::helm()?;
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command.env("KUBECONFIG", self.kubeconfig.as_deref().unwrap_or(Path::new("/dev/null")));
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.path().join(folder));
        }
        let output = command.output().await.with_context(|| program.display().to_string())?;
        Ok(Said {
            success: output.status.success(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Every object of a release `weighbridge` in a namespace of that name, with these values.
    pub(crate) async fn template(&self, values: &[&str]) -> Result<Vec<Value>> {
        objects(&self.template_text(values).await?.success()?)
    }

    /// The same as helm says it.
    pub(crate) async fn template_text(&self, values: &[&str]) -> Result<Said> {
        let chart = ["template", "weighbridge", CHART, "--namespace", "weighbridge"];
        self.run(&[&chart, values].concat()).await
    }
}

impl Said {
    /// What it printed, or an error with all that it said where it failed.
    pub(crate) fn success(self) -> Result<String> {
        ensure!(self.success, "helm: {}{}", self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

/// The objects of a stream.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>> {
    let documents = serde_saphyr::from_multiple::<Value>(text)?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The one of this kind and name.
pub(crate) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.with_context(|| format!("no {kind} {name} is rendered"))
}
