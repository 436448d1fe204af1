//! `weighbridge doctor`: checks an installation, from a pod or from an administrator's machine.
//!
//! First the checks that only read: version, definition, configuration, caBundle, replicas, lease, permissions. Then
//! the proof: a server-side dry run creates a job that must run out of memory, and the apiserver's answer shows
//! whether the webhook is reached and trusted. Nothing in the cluster changes.
//!
//! Exit status: 1 if there is a fault, else 0.

mod bundle;
mod gate;
mod installation;
mod permissions;
mod pieces;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::connection;
use super::output::{Format, print};
use crate::config::TlsMode;
use crate::tls;

/// The arguments of `doctor`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit status: 1 if there is a fault, 2 if the cluster cannot be asked, else 0.\n\nExamples:\n  weighbridge \
                  doctor\n  weighbridge doctor --service-account weighbridge -o json"
)]
pub struct Arguments {
    /// The kubeconfig file of the cluster [default: the pod's service account, or kubectl's]
    #[arg(long, env = "WEIGHBRIDGE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The namespace that weighbridge is installed in [default: the Service's]
    #[arg(long, env = "WEIGHBRIDGE_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// The name of its ValidatingWebhookConfiguration [default: the one whose entries end in .weighbridge.dev]
    #[arg(long, env = "WEIGHBRIDGE_CONFIGURATION_NAME", value_name = "NAME")]
    configuration_name: Option<String>,
    /// The name of its Service [default: the one that the configuration calls]
    #[arg(long, env = "WEIGHBRIDGE_SERVICE", value_name = "NAME")]
    service: Option<String>,
    /// Where its certificate comes from [default: files if the configuration has cert-manager's annotation, else internal]
    #[arg(long, env = "WEIGHBRIDGE_TLS_MODE", value_enum)]
    tls_mode: Option<TlsMode>,
    /// The name of the Secret that holds its CA [default: the Service's name and "-ca", as the chart has it]
    #[arg(long, env = "WEIGHBRIDGE_CA_SECRET", value_name = "NAME")]
    ca_secret: Option<String>,
    /// The name of its Lease [default: the Service's name, as the chart has it]
    #[arg(long, env = "WEIGHBRIDGE_LEASE", value_name = "NAME")]
    lease: Option<String>,
    /// The service account whose permissions are checked [default: the current user]
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// The namespace of the dry run
    #[arg(long, default_value = "default", value_name = "NAME")]
    try_in: String,
    /// The format of the findings
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// Correct.
    Well(String),
    /// It works, but the administrator should know this.
    Note(String),
    /// A fault, and its remedy.
    Wrong(String, String),
}

/// The findings of one check.
type Findings = Vec<Finding>;

/// Runs the checks, and prints the findings.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    tls::install_provider();
    let findings =
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(examine(arguments))?;
    print(&match arguments.output {
        Format::Table => text_of(&findings),
        Format::Json => json_of(&findings)?,
    })?;
    let wrong = findings.iter().any(|finding| matches!(finding, Finding::Wrong(..)));
    Ok(ExitCode::from(u8::from(wrong)))
}

async fn examine(arguments: &Arguments) -> Result<Findings> {
    let client = connection::client(arguments.kubeconfig.as_deref()).await?;
    let mut findings = Findings::new();
    findings.extend(pieces::apiserver(&client).await);
    if findings.iter().any(|finding| matches!(finding, Finding::Wrong(..))) {
        // No other check can work.
        return Ok(findings);
    }
    findings.extend(pieces::definition(&client).await);
    let (installation, doubt) = installation::find(&client, arguments).await;
    findings.extend(doubt);
    findings.extend(bundle::configuration(&client, &installation).await);
    findings.extend(pieces::replicas(&client, &installation).await);
    findings.extend(pieces::leader(&client, &installation).await);
    findings.extend(permissions::examine(&client, &installation, arguments.service_account.as_deref()).await);
    findings.extend(gate::tried(&client, &arguments.try_in).await);
    Ok(findings)
}

fn text_of(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        // Writing to a string does not fail.
        let _ = match finding {
            Finding::Well(what) => writeln!(text, "ok     {what}"),
            Finding::Note(what) => writeln!(text, "note   {what}"),
            Finding::Wrong(what, advice) => writeln!(text, "WRONG  {what}\n       {advice}"),
        };
    }
    text
}

fn json_of(findings: &[Finding]) -> Result<String> {
    let element = |finding: &Finding| match finding {
        Finding::Well(what) => json!({"finding": "ok", "what": what, "advice": null}),
        Finding::Note(what) => json!({"finding": "note", "what": what, "advice": null}),
        Finding::Wrong(what, advice) => json!({"finding": "wrong", "what": what, "advice": advice}),
    };
    let elements: Vec<_> = findings.iter().map(element).collect();
    Ok(serde_json::to_string_pretty(&elements)? + "\n")
}

/// The apiserver's error, as a line of text.
fn because(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let causes = std::iter::successors(Some(other as &dyn std::error::Error), |error| error.source());
            let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
            // Some errors repeat their cause.
            texts.dedup();
            texts.join(": ")
        }
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
