//! The arguments, as they hold together: what can't work is refused here, before anything is started.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axum::http::Uri;

use super::Arguments;
use super::arguments::TlsMode;
use crate::policy::{FailurePolicy, Overrides, Policy, Reads, Rules};
use crate::telemetry::LogFormat;
use crate::tls::Clients;
use crate::tls::rotation::Lifetimes;

/// Memory for requests, at most.
const MOST_FOR_REQUESTS: usize = 1 << 30;

/// What an administrator has decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the webhook listens.
    pub listen: SocketAddr,
    /// Where health and metrics are served.
    pub metrics_listen: SocketAddr,
    /// The process's own namespace.
    pub namespace: String,
    /// What the arguments say of the policy: what its file is laid over.
    pub policy: Policy,
    /// The memory that is for requests.
    pub request_memory: usize,
    /// Whose client certificates count; anybody is answered where there is none.
    pub clients: Option<Clients>,
    /// Whether other engines may ask.
    pub api: bool,
    /// The policy's file.
    pub policy_file: Option<PathBuf>,
    /// The namespaces to watch; all where there are none.
    pub watch_namespaces: Vec<String>,
    /// What may be read beside workloads and nodes.
    pub reads: Reads,
    /// The name of the `ValidatingWebhookConfiguration`.
    pub configuration_name: String,
    /// The configuration to make, where it is to be one of the process's own.
    pub own_configuration: Option<OwnConfiguration>,
    /// The Service's name.
    pub service: String,
    /// The Secret that holds the CA.
    pub ca_secret: String,
    /// For how long certificates are good.
    pub lifetimes: Lifetimes,
    /// Where somebody else keeps the certificate.
    pub tls_files: Option<PathBuf>,
    /// The Lease's name.
    pub lease: String,
    /// Who this replica is.
    pub identity: Option<String>,
    /// How to reach the cluster.
    pub kubeconfig: Option<PathBuf>,
    /// For whom logs are.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
    /// How long requests are still taken after the signal to stop.
    pub drain: Duration,
    /// What exists while the process is ready.
    pub ready_file: Option<PathBuf>,
}

/// A configuration of the process's own, for the demo and for tests.
#[derive(Clone, Debug)]
pub struct OwnConfiguration {
    /// What the apiserver calls; port 0 stands for the one that is listened at.
    pub url: Uri,
    /// What becomes of requests when the webhook doesn't answer.
    pub failure_policy: FailurePolicy,
    /// How long the apiserver waits.
    pub timeout_seconds: u8,
    /// Labels that a namespace must have.
    pub namespace_labels: BTreeMap<String, String>,
}

impl TryFrom<Arguments> for Settings {
    type Error = anyhow::Error;

    fn try_from(arguments: Arguments) -> Result<Self> {
        let rules = rules(arguments.deny_at, arguments.warn_at)?;
        let lifetimes =
            lifetimes(arguments.ca_lifetime, arguments.certificate_lifetime, arguments.ca_overlap)?;
        let own_configuration = match &arguments.webhook_url {
            Some(url) => Some(OwnConfiguration {
                url: webhook_url(url)?,
                failure_policy: arguments.failure_policy,
                timeout_seconds: arguments.timeout_seconds,
                namespace_labels: labels(&arguments.namespace_selector)?,
            }),
            None if !arguments.namespace_selector.is_empty() => {
                bail!(
                    "--namespace-selector says whom a configuration of its own judges: it needs --webhook-url"
                )
            }
            None => None,
        };
        // Nothing but the configuration leads to a process outside a cluster, and that is gone first.
        let default_drain = if own_configuration.is_some() { 1 } else { 5 };
        let drain = Duration::from_secs(arguments.drain_seconds.unwrap_or(default_drain).into());
        Ok(Self {
            listen: arguments.listen,
            metrics_listen: arguments.metrics_listen,
            namespace: arguments.namespace,
            policy: Policy {
                mode: arguments.mode,
                rules,
                overrides: Overrides { users: arguments.override_users, groups: arguments.override_groups },
                ..Policy::default()
            },
            request_memory: request_memory(arguments.memory_limit)?,
            clients: arguments
                .client_ca
                .map(|authorities| Clients { authorities, names: arguments.client_names }),
            api: arguments.api,
            policy_file: arguments.config,
            watch_namespaces: arguments.watch_namespaces,
            reads: Reads {
                config_maps: arguments.read_config_maps,
                queues: arguments.read_queues,
                claims: arguments.read_claims,
            },
            configuration_name: arguments.configuration_name,
            own_configuration,
            service: arguments.service,
            ca_secret: arguments.ca_secret,
            lifetimes,
            tls_files: (arguments.tls_mode == TlsMode::Files).then_some(arguments.tls_directory),
            lease: arguments.lease,
            identity: arguments.identity,
            kubeconfig: arguments.kubeconfig,
            log_format: arguments.log_format,
            log: arguments.log,
            drain,
            ready_file: arguments.ready_file,
        })
    }
}

impl Settings {
    /// The names by which the apiserver calls this process, the one that it uses first.
    pub fn names(&self) -> Vec<String> {
        let (service, namespace) = (&self.service, &self.namespace);
        let of_service = [
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
            format!("{service}.{namespace}"),
            service.clone(),
        ];
        // An IPv6 address has brackets in a URL, and none in a certificate.
        let host = self.own_configuration.as_ref().and_then(|own| own.url.host());
        let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
        host.into_iter().chain(of_service).collect()
    }
}

impl OwnConfiguration {
    /// The URL, with the port that is really listened at.
    pub fn url(&self, bound: SocketAddr) -> String {
        let host = self.url.host().unwrap_or_default();
        let path = self.url.path_and_query().map_or("/validate", |path| path.as_str());
        match self.url.port_u16() {
            Some(0) => format!("https://{host}:{}{path}", bound.port()),
            Some(port) => format!("https://{host}:{port}{path}"),
            None => format!("https://{host}{path}"),
        }
    }
}

/// A third of what there is. The caches and the process itself have the rest.
fn request_memory(limit: usize) -> Result<usize> {
    ensure!(
        limit >= 64 << 20,
        "--memory-limit {limit} must be at least 64Mi: the process does not run with less"
    );
    // Where a container has no limit, the node's memory is told instead: more than this is of no use.
    Ok((limit / 3).min(MOST_FOR_REQUESTS))
}

fn rules(deny_at: f64, warn_at: f64) -> Result<Rules> {
    let possible = |probability: f64| probability > 0.0 && probability <= 1.0;
    ensure!(possible(deny_at), "--deny-at {deny_at} must be a probability over 0 and at most 1");
    ensure!(possible(warn_at), "--warn-at {warn_at} must be a probability over 0 and at most 1");
    ensure!(warn_at <= deny_at, "--warn-at {warn_at} must be at most --deny-at {deny_at}");
    Ok(Rules { deny_at, warn_at, ..Rules::default() })
}

fn lifetimes(authority: Duration, leaf: Duration, overlap: Duration) -> Result<Lifetimes> {
    let least = Duration::from_secs(3);
    ensure!(overlap >= least && leaf >= least, "--ca-overlap and --certificate-lifetime must be at least 3s");
    // The next CA is published at two thirds, and must have signed for a leaf's life before the one after it.
    ensure!(
        authority / 3 >= (overlap + leaf) * 2,
        "--ca-lifetime must be at least six times --ca-overlap and --certificate-lifetime together"
    );
    let signed = |duration: Duration| time::Duration::try_from(duration).context("a lifetime is too long");
    Ok(Lifetimes { authority: signed(authority)?, leaf: signed(leaf)?, overlap: signed(overlap)? })
}

fn webhook_url(url: &str) -> Result<Uri> {
    let uri: Uri = url.parse().with_context(|| format!("--webhook-url {url} is no URL"))?;
    ensure!(
        uri.scheme_str() == Some("https"),
        "--webhook-url {url} must begin with https://: Kubernetes calls no other"
    );
    ensure!(uri.host().is_some_and(|host| !host.is_empty()), "--webhook-url {url} names no host");
    ensure!(
        uri.path() == "/validate",
        "--webhook-url {url} must end in /validate, where the webhook answers"
    );
    Ok(uri)
}

fn labels(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |pair: &String| {
        let parts = pair.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) = parts.with_context(|| format!("--namespace-selector {pair} must be key=value"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    pairs.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::policy::Mode;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn settings(arguments: &[&str]) -> Result<Settings> {
        let typed = Serve::try_parse_from([&["serve"], arguments].concat())?;
        Settings::try_from(typed.arguments)
    }

    fn refused(arguments: &[&str]) -> String {
        format!("{:#}", settings(arguments).unwrap_err())
    }

    #[test]
    fn without_arguments_it_enforces_in_a_cluster() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.policy.mode, Mode::Enforce);
        assert_eq!(settings.policy.rules, Rules::default());
        assert_eq!(settings.names()[0], "weighbridge.weighbridge.svc");
        assert!(settings.own_configuration.is_none() && settings.policy.overrides == Overrides::default());
        assert_eq!(settings.drain, Duration::from_secs(5));
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_must_hold() {
        assert!(refused(&["--warn-at=0.95"]).contains("must be at most --deny-at 0.9"));
        assert!(refused(&["--ca-lifetime=30d"]).contains("six times"));
        assert!(refused(&["--ca-lifetime=year"]).contains("like 365d"));
        assert!(refused(&["--deny-at=90"]).contains("at most 1"));
        assert!(refused(&["--deny-at=NaN"]).contains("must be a probability"));
        assert!(refused(&["--webhook-url=http://a/validate"]).contains("https://"));
        assert!(refused(&["--webhook-url=https://a/other"]).contains("/validate"));
        assert!(refused(&["--namespace-selector=a=b"]).contains("needs --webhook-url"));
        let url = "--webhook-url=https://a/validate";
        assert!(refused(&[url, "--namespace-selector=a"]).contains("must be key=value"));
    }

    #[test]
    fn a_configuration_of_its_own_calls_the_port_that_is_listened_at() {
        let bound = "127.0.0.1:4711".parse().unwrap();
        for (given, called, name) in [
            ("https://127.0.0.1:0/validate", "https://127.0.0.1:4711/validate", "127.0.0.1"),
            ("https://[::1]:0/validate", "https://[::1]:4711/validate", "::1"),
            ("https://a.example:99/validate", "https://a.example:99/validate", "a.example"),
            ("https://a.example/validate", "https://a.example/validate", "a.example"),
        ] {
            let settings = settings(&["--webhook-url", given, "--namespace-selector", "team=a,x=y"]).unwrap();
            assert_eq!(settings.names()[0], name);
            let own = settings.own_configuration.unwrap();
            assert_eq!(own.url(bound), called);
            assert_eq!(own.namespace_labels.len(), 2);
        }
    }
}
