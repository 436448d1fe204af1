//! The webhook's certificates: who signs them, who trusts them, and when they are ready to be served.
//!
//! ```text
//! Secret (CA) ──► authority ──► leaf ──► resolver ──► TLS handshakes
//!      └────────► caBundle of every webhook entry ──► read back ──► the leaf verifies: ready
//! ```
//!
//! All replicas share the CA of one Secret, and each signs its own short leaf in memory. Everything is level-triggered:
//! each [pass](Certificates::pass) makes the world as it should be, whatever it was before, and runs when the Secret or
//! the configuration changes, and at least once a minute by the wall clock. In a pass the bundle is published before
//! a leaf that needs it is served, so that [`rotation`] comes down to what the Secret holds: its `ca.crt` is what is
//! trusted (during a rotation two CAs), its `tls.crt` and `tls.key` are what signs.
//!
//! In the mode `files` somebody else keeps certificate and caBundle, cert-manager for one; then a pass reads and checks,
//! and writes nothing.

mod authority;
mod ca_bundle;
mod clients;
mod files;
mod leaf;
mod metrics;
mod resolver;
pub mod rotation;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use clients::Clients;
pub use metrics::Metrics;

use crate::cluster::Patience;

use authority::Authority;
use ca_bundle::Entry;
use clients::Verifier;
use files::Files;
use leaf::Leaf;
use resolver::Resolver;
use rotation::Lifetimes;

/// A pass at least this often: a clock that stood still in a sleeping machine is caught up with, too.
const INTERVAL: Duration = Duration::from_mins(1);
/// The pause after a pass that failed.
const RETRY: Duration = Duration::from_secs(2);
/// No pause is shorter: dates are in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// Where the CA is, and for which names leaves are signed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The `ValidatingWebhookConfiguration` whose entries trust the CA.
    pub configuration: String,
    /// The names that clients connect to; the first is the one that readiness checks.
    pub names: Vec<String>,
    /// For how long things are good.
    pub lifetimes: Lifetimes,
    /// The folder where somebody else keeps the certificate; none where the CA is in the Secret.
    pub files: Option<PathBuf>,
    /// Whose client certificates count, where any is asked for.
    pub clients: Option<Clients>,
    /// Whether a client without a certificate may speak.
    pub strangers: bool,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The apiserver refused, or wasn't reached.
    #[error("{what}: {source}")]
    Kube {
        /// What was tried.
        what: String,
        /// What the apiserver said.
        #[source]
        source: kube::Error,
    },
    /// The Secret holds something else than a CA.
    #[error("the Secret {0} holds no CA that can sign: {1}; empty its data, and a new CA is made")]
    NoAuthority(String, String),
    /// A certificate could not be made.
    #[error("signing a certificate: {0}")]
    Sign(#[from] rcgen::Error),
    /// The served certificate isn't trusted by what was read back.
    #[error("the certificate does not verify against the caBundle of {entry}: {reason}")]
    Untrusted {
        /// The webhook entry's name.
        entry: String,
        /// What rustls says.
        reason: String,
    },
    /// The certificate's files can't be read, or served.
    #[error("the certificate's file {0}: {1}")]
    Files(String, String),
    /// There is nothing that would trust it.
    #[error("the ValidatingWebhookConfiguration {0} has no entries")]
    NoEntries(String),
}

/// The certificates of one process.
pub struct Certificates {
    client: Client,
    settings: Settings,
    /// What the process adds to the cluster before the bundle is repaired: its own configuration, in `--webhook-url`.
    own_configuration: Option<ValidatingWebhookConfiguration>,
    resolver: Arc<Resolver>,
    clients: Option<Arc<Verifier>>,
    metrics: Metrics,
    ready: watch::Sender<bool>,
    /// When the next pass has something to do, in seconds since 1970.
    due: AtomicI64,
}

impl Certificates {
    /// Certificates that don't exist yet: [`run`](Self::run) makes them.
    pub fn new(
        client: Client,
        settings: Settings,
        own_configuration: Option<ValidatingWebhookConfiguration>,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let clients = settings.clients.clone();
        let clients = clients.map(|clients| Verifier::new(clients, settings.strangers)).transpose()?;
        Ok(Self {
            client,
            settings,
            own_configuration,
            resolver: Arc::default(),
            clients: clients.map(Arc::new),
            metrics,
            ready: watch::Sender::new(false),
            due: AtomicI64::new(i64::MAX),
        })
    }

    /// What the listener serves by: always the newest leaf, and no handshake before there is one.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let config = match &self.clients {
            Some(clients) => ServerConfig::builder().with_client_cert_verifier(clients.clone()),
            None => ServerConfig::builder().with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(self.resolver.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Whether the served leaf verifies against every entry's caBundle, as it was last read back.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Passes until it is told to stop.
    pub async fn run(&self, shutdown: CancellationToken) {
        match &self.clients {
            Some(clients) => tokio::select! {
                () = clients.follow() => {}
                () = self.pass_until(shutdown) => {}
            },
            None => self.pass_until(shutdown).await,
        }
    }

    async fn pass_until(&self, shutdown: CancellationToken) {
        let mut changes = self.changes();
        let mut last_error = String::new();
        loop {
            let passed = tokio::select! {
                passed = self.pass() => passed,
                () = shutdown.cancelled() => return,
            };
            let pause = match passed {
                Ok(()) => {
                    if !last_error.is_empty() || !*self.ready.borrow() {
                        tracing::info!(
                            configuration = self.settings.configuration,
                            "the certificate is trusted"
                        );
                    }
                    last_error.clear();
                    self.pause()
                }
                Err(ref error) => {
                    let error = error.to_string();
                    if error != last_error {
                        tracing::warn!(%error, "the certificate is not trusted yet; it is tried again");
                    }
                    last_error = error;
                    self.metrics.failed();
                    RETRY
                }
            };
            self.ready.send_replace(passed.is_ok());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(()) = changes.next() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Makes everything as it should be, and checks that it is.
    async fn pass(&self) -> Result<(), Error> {
        let (leaf, entries) = match &self.settings.files {
            None => self.signed().await?,
            Some(folder) => self.kept(folder).await?,
        };
        let name = self.settings.names.first().map_or("", String::as_str);
        for entry in entries {
            trust::verify(leaf.chain(), &entry.ca_bundle, name)
                .map_err(|reason| Error::Untrusted { entry: entry.name, reason })?;
        }
        self.metrics.leaf_expires(leaf.not_after);
        let served = self.resolver.leaf();
        if !served.is_some_and(|served| Arc::ptr_eq(&served, &leaf)) {
            tracing::info!(names = ?self.settings.names, until = %leaf.not_after, "a certificate is served");
            // Not before it is trusted: what was served until now may still be.
            self.resolver.serve(leaf);
        }
        Ok(())
    }

    /// A leaf of the CA in the Secret, once its bundle is published.
    async fn signed(&self) -> Result<(Arc<Leaf>, Vec<Entry>), Error> {
        let authority = Authority::adopt(&self.client, &self.settings).await?;
        if let Some(configuration) = &self.own_configuration {
            ca_bundle::ensure(&self.client, configuration, authority.bundle()).await?;
        }
        let entries =
            ca_bundle::repair(&self.client, &self.settings.configuration, authority.bundle()).await?;
        let (now, lifetime) = (time::OffsetDateTime::now_utc(), self.settings.lifetimes.leaf);
        let leaf = match self.resolver.leaf().filter(|leaf| leaf.serves(&authority, lifetime, now)) {
            Some(leaf) => leaf,
            None => Arc::new(Leaf::sign(&authority, &self.settings.names, lifetime, now)?),
        };
        self.metrics.authority_expires(authority.not_after);
        let due = authority.next.map_or(leaf.renew_at, |(_, due)| due.min(leaf.renew_at));
        self.due.store(due.unix_timestamp(), Ordering::Relaxed);
        Ok((leaf, entries))
    }

    /// The leaf in the files.
    async fn kept(&self, folder: &Path) -> Result<(Arc<Leaf>, Vec<Entry>), Error> {
        let files = Files::read(folder).await?;
        if let Some(configuration) = &self.own_configuration {
            ca_bundle::ensure(&self.client, configuration, &files.authority).await?;
        }
        let unusable = |reason| Error::Files(folder.display().to_string(), reason);
        let leaf = match self.resolver.leaf().filter(|leaf| leaf.is_from(&files)) {
            Some(leaf) => leaf,
            None => Arc::new(Leaf::of_files(&files).map_err(unusable)?),
        };
        Ok((leaf, ca_bundle::read(&self.client, &self.settings.configuration).await?))
    }

    /// Until the next step of a rotation or the next renewal, and at most the interval.
    fn pause(&self) -> Duration {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let due = self.due.load(Ordering::Relaxed).saturating_sub(now);
        u64::try_from(due).map_or(RETRY, Duration::from_secs).clamp(SHORTEST, INTERVAL)
    }

    /// An item whenever the Secret (or the files) or the configuration changes. Where watching isn't permitted, the interval remains.
    fn changes(&self) -> futures::stream::BoxStream<'static, ()> {
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let configurations: Api<PartialObjectMeta<ValidatingWebhookConfiguration>> =
            Api::all(self.client.clone());
        let configurations =
            watcher(configurations, named(&self.settings.configuration)).backoff(Patience::default());
        let configurations = configurations.filter_map(|event| std::future::ready(changed(&event)));
        if let Some(folder) = &self.settings.files {
            return futures::stream::select(files::changes(folder.clone()), configurations).boxed();
        }
        let secrets: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(self.client.clone(), &self.settings.namespace);
        let secrets = watcher(secrets, named(&self.settings.secret)).backoff(Patience::default());
        let secrets = secrets.filter_map(|event| std::future::ready(changed(&event)));
        futures::stream::select(secrets, configurations).boxed()
    }
}

fn changed<K>(event: &watcher::Result<watcher::Event<K>>) -> Option<()> {
    matches!(event, Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_))).then_some(())
}

/// The one crypto provider of the process. To be called once, before anything else speaks TLS.
pub fn install_provider() {
    // Fails where one is installed already: then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
