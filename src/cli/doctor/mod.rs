//! `weighbridge doctor`: checks an installation, from inside a pod or from an administrator's desk.
//!
//! What only reading shows comes first: version, definition, configuration, caBundle, replicas, lease, permissions. Then
//! the proof: a job that must run out of memory is created by a server-side dry run, and what the apiserver says shows
//! whether the webhook is reached, trusted and asked. Nothing is changed.
//!
//! Exit status: 1 if anything is wrong, else 0.

mod bundle;
mod gate;
mod pieces;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::connection;
use crate::tls;

/// What is typed behind `doctor`.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The file that says how to reach the cluster [default: the pod's service account, or kubectl's]
    #[arg(long, env = "WEIGHBRIDGE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The namespace that weighbridge is installed in
    #[arg(long, env = "WEIGHBRIDGE_NAMESPACE", default_value = "weighbridge", value_name = "NAME")]
    namespace: String,
    /// The name of its ValidatingWebhookConfiguration
    #[arg(long, env = "WEIGHBRIDGE_CONFIGURATION_NAME", default_value = "weighbridge", value_name = "NAME")]
    configuration_name: String,
    /// The name of its Service
    #[arg(long, env = "WEIGHBRIDGE_SERVICE", default_value = "weighbridge", value_name = "NAME")]
    service: String,
    /// The name of the Secret that holds its CA [default: the Service's name and "-ca", as the chart has it]
    #[arg(long, env = "WEIGHBRIDGE_CA_SECRET", value_name = "NAME")]
    ca_secret: Option<String>,
    /// The name of its Lease
    #[arg(long, env = "WEIGHBRIDGE_LEASE", default_value = "weighbridge", value_name = "NAME")]
    lease: String,
    /// The service account whose permissions are checked [default: who runs this]
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// The namespace in which the job that must be refused is tried
    #[arg(long, default_value = "default", value_name = "NAME")]
    try_in: String,
}

impl Arguments {
    fn ca_secret(&self) -> String {
        self.ca_secret.clone().unwrap_or_else(|| format!("{}-ca", self.service))
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// All is well.
    Well(String),
    /// It works, and somebody should know this.
    Note(String),
    /// It does not work: what is wrong, and what to do.
    Wrong(String, String),
}

/// The findings of one subject.
type Findings = Vec<Finding>;

/// Checks, and says what it found.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    tls::install_provider();
    let findings =
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(examine(arguments))?;
    std::io::stdout().write_all(told(&findings).as_bytes())?;
    let wrong = findings.iter().any(|finding| matches!(finding, Finding::Wrong(..)));
    Ok(ExitCode::from(u8::from(wrong)))
}

async fn examine(arguments: &Arguments) -> Result<Findings> {
    let client = connection::client(arguments.kubeconfig.as_deref()).await?;
    let mut findings = Findings::new();
    findings.extend(pieces::apiserver(&client).await);
    if findings.iter().any(|finding| matches!(finding, Finding::Wrong(..))) {
        // Nothing else can be asked.
        return Ok(findings);
    }
    findings.extend(pieces::definition(&client).await);
    findings.extend(bundle::configuration(&client, &arguments.configuration_name).await);
    findings.extend(pieces::replicas(&client, &arguments.namespace, &arguments.service).await);
    findings.extend(pieces::leader(&client, &arguments.namespace, &arguments.lease).await);
    findings.extend(pieces::permissions(&client, arguments).await);
    findings.extend(gate::tried(&client, &arguments.try_in).await);
    Ok(findings)
}

fn told(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        // Writing to a string doesn't fail.
        let _ = match finding {
            Finding::Well(what) => writeln!(text, "ok     {what}"),
            Finding::Note(what) => writeln!(text, "note   {what}"),
            Finding::Wrong(what, advice) => writeln!(text, "WRONG  {what}\n       {advice}"),
        };
    }
    text
}

/// What the apiserver said, in words.
fn because(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
