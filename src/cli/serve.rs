//! `weighbridge serve`: the webhook and the controller, in one process; any number of replicas.
//!
//! Start: ports, client, caches, certificates, webhook, controller. End, on SIGTERM or Ctrl-C: first unready, then a
//! time in which requests are still accepted, then no more requests, then the rest.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::DeleteParams;
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{FAILURE, connection};
use crate::cluster::Cluster;
use crate::config::policy::{self, Follower, Policies};
use crate::config::{Arguments, Settings};
use crate::kinds::Kinds;
use crate::pages::calculator::{self, Place};
use crate::policy::Policy;
use crate::server::{self, Bodies, Health, Port, Stop, health_router};
use crate::telemetry::{self, Logs};
use crate::tls::{self, Certificates};
use crate::webhook::{self, Webhook};
use crate::{controller, endpoint};

/// Serves until shutdown.
pub(super) fn run(arguments: Arguments) -> Result<ExitCode> {
    let settings = Settings::try_from(arguments)?;
    let logs = Logs::start(settings.log_format, &settings.log)?;
    let ended = until_the_end(settings, &logs);
    // Through the logs, for a write to standard error could hang.
    if let Err(error) = &ended {
        logs.fatal(error);
    }
    logs.finish();
    Ok(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn until_the_end(settings: Settings, logs: &Logs) -> Result<()> {
    tls::install_provider();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(settings, logs))
}

async fn serve(settings: Settings, logs: &Logs) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut registry = telemetry::registry();
    logs.register(&mut registry);
    let mut tasks = JoinSet::new();
    // First unready, then stopped. Requests between the two are still accepted.
    let (stopping, stopped) = (CancellationToken::new(), CancellationToken::new());

    let policies = policies(&settings, &mut registry, &mut tasks, &stopped).await?;
    if let Some(file) = &settings.ready_file {
        // The file of an earlier process would be wrong.
        let _ = fs::remove_file(file);
    }
    let ports = Ports::bind(&settings)?;
    let addresses = ports.addresses();
    let client = connection::client(settings.kubeconfig.as_deref()).await?;

    let cluster = Cluster::new(policies, settings.watch_namespaces.clone(), settings.reads);
    cluster.metrics.register(&mut registry);
    tasks.spawn(cluster.clone().run(client.clone(), stopped.clone()));

    let certificates = certificates(&settings, cluster.kinds(), &client, addresses.webhook, &mut registry)?;
    let health = Health::new(cluster.clone(), certificates.ready(), stopping.clone());
    let tls_config = certificates.server_config();
    tasks.spawn({
        let stopping = stopping.clone();
        async move { certificates.run(stopping).await }
    });

    let server_metrics = server::Metrics::default();
    server_metrics.register(&mut registry);
    let router = router(&settings, &client, &cluster, &server_metrics, &mut registry);
    let policies = cluster.policies.clone();
    let calculator = calculator::router(Arc::new(move || policies.current()), Place::Server);
    let controller = controller_settings(&settings);
    controller.metrics.register(&mut registry);
    tasks.spawn(controller::run(client.clone(), cluster, controller, stopped.clone()));

    let stop = Stop::default();
    let mut servers = JoinSet::new();
    let health_router = health_router(health.clone(), Arc::new(registry));
    servers.spawn(ports.webhook.serve_tls(
        tls_config,
        router,
        server_metrics.clone(),
        stopping.clone(),
        stop.clone(),
    ));
    if let Some(port) = ports.calculator {
        servers.spawn(port.serve_page(calculator, server_metrics.clone(), stop.clone()));
    }
    servers.spawn(ports.plain.serve_plain(health_router, server_metrics, stop.clone()));
    tracing::info!(
        webhook = %addresses.webhook,
        plain = %addresses.plain,
        calculator = addresses.calculator.map(tracing::field::display),
        "listening"
    );

    let ended = tokio::select! {
        ended = run_until_a_server_ends(&settings, &health, addresses, &mut servers) => ended,
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    };
    tracing::info!("stopping");
    stopping.cancel();
    remove_traces(&settings, &client).await;
    tokio::time::sleep(settings.drain).await;
    stop.gracefully();
    while servers.join_next().await.is_some() {}
    stopped.cancel();
    while tasks.join_next().await.is_some() {}
    tracing::info!("stopped");
    ended
}

/// The ports of the process, bound before anything else starts.
struct Ports {
    webhook: Port,
    plain: Port,
    calculator: Option<Port>,
}

impl Ports {
    fn bind(settings: &Settings) -> Result<Self> {
        Ok(Self {
            webhook: Port::bind(settings.listen)?,
            plain: Port::bind(settings.metrics_listen)?,
            calculator: settings.calculator_listen.map(Port::bind).transpose()?,
        })
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            webhook: self.webhook.address(),
            plain: self.plain.address(),
            calculator: self.calculator.as_ref().map(Port::address),
        }
    }
}

/// What the webhook's port answers: admission reviews, and questions to the API if it is wanted.
fn router(
    settings: &Settings,
    client: &Client,
    cluster: &Arc<Cluster>,
    server_metrics: &server::Metrics,
    registry: &mut Registry,
) -> Router {
    // Half for bodies, half for the objects read from them.
    let memory = settings.request_memory / 2;
    let bodies = Bodies::new(memory, server_metrics.clone());
    let webhook = Arc::new(webhook(client, cluster, registry, memory));
    let router = webhook::router(webhook, bodies.clone(), settings.clients.is_some());
    if !settings.api {
        return router;
    }
    let metrics = endpoint::Metrics::default();
    metrics.register(registry);
    let (audiences, policies) = (settings.api_audiences.clone(), cluster.policies.clone());
    router.merge(endpoint::router(client.clone(), audiences, policies, bodies, metrics))
}

/// The addresses that the process listens on.
#[derive(Clone, Copy)]
struct Addresses {
    webhook: SocketAddr,
    plain: SocketAddr,
    calculator: Option<SocketAddr>,
}

/// Reports when the process is ready. Then waits for a server to end, which is a fault.
async fn run_until_a_server_ends(
    settings: &Settings,
    health: &Health,
    addresses: Addresses,
    servers: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let ready = async {
        health.ready().await;
        tracing::info!("ready");
        match &settings.ready_file {
            Some(file) => {
                write_ready_file(file, addresses).with_context(|| format!("writing {}", file.display()))
            }
            None => Ok(()),
        }
    };
    tokio::select! {
        written = ready => written?,
        Some(ended) = servers.join_next() => return ended?.context("a server ended"),
    }
    match servers.join_next().await {
        Some(ended) => ended?.context("a server ended"),
        None => Ok(()),
    }
}

/// The first policy, and the task that follows its file.
async fn policies(
    settings: &Settings,
    registry: &mut Registry,
    tasks: &mut JoinSet<()>,
    stopped: &CancellationToken,
) -> Result<Arc<Policies>> {
    let base = settings.policy.clone();
    let Some(file) = settings.policy_file.clone() else { return Ok(Policies::new(base)) };
    let text = policy::settled(&file).await?;
    let policy = base.with_text_of(&file, &text)?;
    // The kinds of workloads stay those of the start.
    let base = Policy { kinds: policy.kinds.clone(), ..base };
    let policies = Policies::new(policy);
    let metrics = policy::Metrics::default();
    metrics.register(registry);
    let follower = Follower::new(policies.clone(), base, file, text, metrics);
    tasks.spawn(follower.run(stopped.clone()));
    Ok(policies)
}

fn certificates(
    settings: &Settings,
    kinds: &Kinds,
    client: &Client,
    bound: SocketAddr,
    registry: &mut Registry,
) -> Result<Certificates> {
    let metrics = tls::Metrics::default();
    metrics.register(registry);
    let own = settings.own_configuration.as_ref().map(|own| {
        let own = webhook::configuration::Settings {
            name: settings.configuration_name.clone(),
            url: own.url(bound),
            failure_policy: own.failure_policy,
            timeout_seconds: own.timeout_seconds,
            own_namespace: settings.namespace.clone(),
            namespace_labels: own.namespace_labels.clone(),
        };
        webhook::configuration::configuration(&own, kinds)
    });
    let tls = tls::Settings {
        namespace: settings.namespace.clone(),
        secret: settings.ca_secret.clone(),
        configuration: settings.configuration_name.clone(),
        names: settings.names(),
        lifetimes: settings.lifetimes,
        files: settings.tls_files.clone(),
        clients: settings.clients.clone(),
        // A policy engine has a token instead.
        strangers: settings.clients.is_none() || settings.api,
        oldest: settings.oldest_tls,
    };
    Certificates::new(client.clone(), tls, own, metrics)
}

fn webhook(client: &Client, cluster: &Arc<Cluster>, registry: &mut Registry, memory: usize) -> Webhook {
    let metrics = webhook::Metrics::default();
    metrics.register(registry);
    Webhook::new(client.clone(), cluster.clone(), metrics, memory)
}

fn controller_settings(settings: &Settings) -> controller::Settings {
    controller::Settings {
        namespace: settings.namespace.clone(),
        lease: settings.lease.clone(),
        identity: settings.identity.clone(),
        kueue_check: settings.kueue_check,
        ..controller::Settings::default()
    }
}

/// The file appears complete, so a reader never sees a part of it.
fn write_ready_file(file: &Path, addresses: Addresses) -> Result<()> {
    let unfinished = file.with_extension("unfinished");
    let mut out = fs::File::create(&unfinished)?;
    let Addresses { webhook, plain, calculator } = addresses;
    let calculator = calculator.map(|address| address.to_string());
    let all = json!({"webhook": webhook.to_string(), "metrics": plain.to_string(), "calculator": calculator});
    writeln!(out, "{all}")?;
    fs::rename(&unfinished, file)?;
    Ok(())
}

/// Removes the ready file and the webhook configuration of this process.
async fn remove_traces(settings: &Settings, client: &Client) {
    if let Some(file) = &settings.ready_file {
        // It may not exist.
        let _ = fs::remove_file(file);
    }
    if settings.own_configuration.is_some() {
        let name = &settings.configuration_name;
        let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        if let Err(error) = configurations.delete(name, &DeleteParams::default()).await {
            tracing::warn!(configuration = name, %error, "the configuration was not removed: with failurePolicy Fail it denies all workloads");
        }
    }
}
