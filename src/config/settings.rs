//! The arguments after they are checked together. Wrong combinations are refused before anything starts.

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
use crate::tls::rotation::Lifetimes;
use crate::tls::{Clients, Version};

/// The most memory for requests, in bytes.
const MOST_FOR_REQUESTS: usize = 1 << 30;

/// The administrator's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address of the webhook.
    pub listen: SocketAddr,
    /// The address of health and metrics.
    pub metrics_listen: SocketAddr,
    /// The address of the calculator's page, if it is served.
    pub calculator_listen: Option<SocketAddr>,
    /// The namespace of the process.
    pub namespace: String,
    /// The policy of the arguments. The policy's file overrides it.
    pub policy: Policy,
    /// The memory for requests, in bytes.
    pub request_memory: usize,
    /// The client certificates that are accepted. `None` means that callers need none.
    pub clients: Option<Clients>,
    /// Whether `POST /v1/estimate` is served.
    pub api: bool,
    /// Audiences whose tokens it accepts, besides the apiserver's own.
    pub api_audiences: Vec<String>,
    /// The policy's file.
    pub policy_file: Option<PathBuf>,
    /// The namespaces to watch. An empty list means all.
    pub watch_namespaces: Vec<String>,
    /// The kinds that may be read, besides workloads and nodes.
    pub reads: Reads,
    /// Whether Kueue's admission checks are answered.
    pub kueue_check: bool,
    /// The name of the `ValidatingWebhookConfiguration`.
    pub configuration_name: String,
    /// The configuration that this process creates, if it does.
    pub own_configuration: Option<OwnConfiguration>,
    /// The Service's name.
    pub service: String,
    /// The Secret that holds the CA.
    pub ca_secret: String,
    /// How long certificates are valid.
    pub lifetimes: Lifetimes,
    /// The folder of certificate files that another program maintains.
    pub tls_files: Option<PathBuf>,
    /// The oldest version of TLS that the webhook's port speaks.
    pub oldest_tls: Version,
    /// The Lease's name.
    pub lease: String,
    /// The name of this replica in the election.
    pub identity: Option<String>,
    /// The file with the access to the cluster.
    pub kubeconfig: Option<PathBuf>,
    /// The format of the logs.
    pub log_format: LogFormat,
    /// The log filter.
    pub log: String,
    /// How long requests are still answered after the signal to stop.
    pub drain: Duration,
    /// A file that exists while the process is ready.
    pub ready_file: Option<PathBuf>,
}

/// A configuration that this process creates, for the demo and for tests.
#[derive(Clone, Debug)]
pub struct OwnConfiguration {
    /// The URL that the apiserver calls. Port 0 stands for the port on which the process listens.
    pub url: Uri,
    /// What the apiserver does while the webhook does not answer.
    pub failure_policy: FailurePolicy,
    /// How long the apiserver waits for an answer.
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
                    "--namespace-selector belongs to the configuration of --webhook-url: it needs --webhook-url"
                )
            }
            None => None,
        };
        // Outside a cluster, requests come only through this configuration, which is removed first.
        let default_drain = if own_configuration.is_some() { 1 } else { 5 };
        let drain = Duration::from_secs(arguments.drain_seconds.unwrap_or(default_drain).into());
        Ok(Self {
            listen: arguments.listen,
            metrics_listen: arguments.metrics_listen,
            calculator_listen: arguments.calculator_listen,
            namespace: arguments.namespace,
            policy: Policy {
                mode: arguments.mode,
                rules,
                history: arguments.history,
                overrides: Overrides { users: arguments.override_users, groups: arguments.override_groups },
                ..Policy::default()
            },
            request_memory: request_memory(arguments.memory_limit)?,
            clients: arguments
                .client_ca
                .map(|authorities| Clients { authorities, names: arguments.client_names }),
            api: arguments.api,
            api_audiences: arguments.api_audiences,
            policy_file: arguments.config,
            watch_namespaces: arguments.watch_namespaces,
            reads: Reads {
                config_maps: arguments.read_config_maps,
                queues: arguments.read_queues || arguments.kueue_check,
                claims: arguments.read_claims,
            },
            kueue_check: arguments.kueue_check,
            configuration_name: arguments.configuration_name,
            own_configuration,
            service: arguments.service,
            ca_secret: arguments.ca_secret,
            lifetimes,
            tls_files: (arguments.tls_mode == TlsMode::Files).then_some(arguments.tls_directory),
            oldest_tls: arguments.tls_min_version,
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
    /// The host names of this process for the apiserver. The preferred one comes first.
    pub fn names(&self) -> Vec<String> {
        let (service, namespace) = (&self.service, &self.namespace);
        let of_service = [
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
            format!("{service}.{namespace}"),
            service.clone(),
        ];
        // An IPv6 address has brackets in a URL, but not in a certificate.
        let host = self.own_configuration.as_ref().and_then(|own| own.url.host());
        let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
        host.into_iter().chain(of_service).collect()
    }
}

impl OwnConfiguration {
    /// The URL with the port on which the process listens.
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

/// A third of the memory. The caches and the process itself use the rest.
fn request_memory(limit: usize) -> Result<usize> {
    ensure!(limit >= 64 << 20, "--memory-limit {limit} must be at least 64Mi: the process needs that much");
    // Without a limit of the container, this is the node's memory. Requests do not need more than this.
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
    // The next CA is published at two thirds of the lifetime. It must sign for a leaf's lifetime before the CA after
    // it.
    ensure!(
        authority / 3 >= (overlap + leaf) * 2,
        "--ca-lifetime must be at least six times --ca-overlap and --certificate-lifetime together"
    );
    let signed = |duration: Duration| time::Duration::try_from(duration).context("a lifetime is too long");
    Ok(Lifetimes { authority: signed(authority)?, leaf: signed(leaf)?, overlap: signed(overlap)? })
}

fn webhook_url(url: &str) -> Result<Uri> {
    let uri: Uri = url.parse().with_context(|| format!("--webhook-url {url} is not a URL"))?;
    ensure!(
        uri.scheme_str() == Some("https"),
        "--webhook-url {url} must begin with https://: Kubernetes calls only https"
    );
    ensure!(uri.host().is_some_and(|host| !host.is_empty()), "--webhook-url {url} must name a host");
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
    fn the_defaults_enforce_in_a_cluster() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.policy.mode, Mode::Enforce);
        assert_eq!(settings.policy.rules, Rules::default());
        assert_eq!(settings.names()[0], "weighbridge.weighbridge.svc");
        assert!(settings.own_configuration.is_none() && settings.policy.overrides == Overrides::default());
        assert_eq!(settings.drain, Duration::from_secs(5));
    }

    #[test]
    fn a_wrong_argument_is_refused_with_its_rule() {
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
    fn an_own_configuration_calls_the_port_of_the_process() {
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
