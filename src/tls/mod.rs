//! The webhook's certificates: how they are signed, who trusts them, and when they may be served.
//!
//! ```text
//! Secret (CA) ──► authority ──► leaf ──► resolver ──► TLS handshakes
//!      └────────► caBundle of every webhook entry ──► read back ──► the leaf verifies: ready
//! ```
//!
//! All replicas share the CA of one Secret, and each signs its own short-lived leaf in memory. Everything is
//! level-triggered: each [pass](Certificates::pass) brings the cluster to the wanted state from any other. It runs
//! when the Secret or the configuration changes, and at least once a minute by the wall clock. A pass publishes the
//! bundle before it serves a leaf that needs it. So [`rotation`] is only a matter of the Secret's data: `ca.crt` is
//! trusted (two CAs during a rotation), `tls.crt` and `tls.key` sign.
//!
//! A replica is ready if its leaf was trusted, is valid by the clock, and no caBundle that was read distrusts it. A
//! failed read changes nothing: if the apiserver is down or refuses, or the Secret is gone, running replicas stay
//! ready and keep the CA in memory. A replica that starts has no CA in memory, and is not ready.
//!
//! In the mode `files` another controller, such as cert-manager, keeps the certificate and the caBundle. Then a pass
//! reads and checks, and writes nothing.

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
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use rustls::ServerConfig;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use clients::Clients;
pub use metrics::Metrics;

use crate::patience::Patience;

use authority::Authority;
use ca_bundle::{Entry, Repair, Repaired};
use clients::Verifier;
use files::Files;
use leaf::Leaf;
use resolver::Resolver;
use rotation::Lifetimes;

/// A pass runs at least this often. So a clock that stood still while the machine slept is noticed, too.
const INTERVAL: Duration = Duration::from_mins(1);
/// The pause after a failed pass.
const RETRY: Duration = Duration::from_secs(2);
/// A request that takes longer counts as failed, so that a pass cannot hang.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often the clock is read between two passes, for it may jump.
const LOOK: Duration = Duration::from_secs(5);
/// The shortest pause, for dates are in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// The place of the CA, and the names of the leaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The `ValidatingWebhookConfiguration` whose entries trust the CA.
    pub configuration: String,
    /// The names that clients connect to. Readiness checks the first.
    pub names: Vec<String>,
    /// The lifetimes of the CA and the leaves.
    pub lifetimes: Lifetimes,
    /// The folder with a certificate that another controller keeps. None if the CA is in the Secret.
    pub files: Option<PathBuf>,
    /// Which client certificates are accepted. None if no client needs one.
    pub clients: Option<Clients>,
    /// Whether a client without a certificate may connect.
    pub strangers: bool,
    /// The oldest version of TLS that is spoken.
    pub oldest: Version,
}

/// A version of TLS, by kube-apiserver's word for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// 1.2, for callers that speak no newer one.
    #[value(name = "VersionTLS12")]
    Tls12,
    /// 1.3, which every supported apiserver speaks.
    #[default]
    #[value(name = "VersionTLS13")]
    Tls13,
}

impl Version {
    /// This version and the newer ones.
    fn and_newer(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static NEWEST: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
        match self {
            Self::Tls12 => rustls::ALL_VERSIONS,
            Self::Tls13 => NEWEST,
        }
    }
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The apiserver refused, or was not reached.
    #[error("{what}: {source}")]
    Kube {
        /// The request that failed.
        what: String,
        /// The apiserver's error.
        #[source]
        source: kube::Error,
    },
    /// The apiserver did not answer in time.
    #[error("{0}: no answer within {DEADLINE:?}")]
    Slow(&'static str),
    /// The Secret holds no CA.
    #[error("the Secret {0} holds no CA that can sign: {1}; empty its data to get a new CA")]
    NoAuthority(String, String),
    /// A certificate could not be made.
    #[error("signing a certificate: {0}")]
    Sign(#[from] rcgen::Error),
    /// The served certificate is not trusted by a caBundle that was read.
    #[error("the certificate does not verify against the caBundle of {entry}: {reason}")]
    Untrusted {
        /// The webhook entry's name.
        entry: String,
        /// The reason from rustls.
        reason: String,
    },
    /// The certificate's files cannot be read or served.
    #[error("the certificate's file {0}: {1}")]
    Files(String, String),
    /// No entry could trust the certificate.
    #[error("the ValidatingWebhookConfiguration {0} has no entries")]
    NoEntries(String),
}

/// The certificates of one process.
pub struct Certificates {
    client: Client,
    settings: Settings,
    /// The process's own configuration, in `--webhook-url`. It is created before the bundle is repaired.
    own_configuration: Option<ValidatingWebhookConfiguration>,
    resolver: Arc<Resolver>,
    clients: Option<Arc<Verifier>>,
    metrics: Metrics,
    ready: watch::Sender<bool>,
    /// The CA that was adopted last.
    authority: Mutex<Option<Arc<Authority>>>,
    /// The entries that were read last.
    entries: Mutex<Vec<Entry>>,
    /// Whether a caBundle that was read distrusts the served leaf.
    distrusted: AtomicBool,
    /// When the next pass is due, in seconds since 1970.
    due: AtomicI64,
}

impl Certificates {
    /// Without a certificate yet: [`run`](Self::run) makes one.
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
            authority: Mutex::default(),
            entries: Mutex::default(),
            distrusted: AtomicBool::new(false),
            due: AtomicI64::new(i64::MAX),
        })
    }

    /// The listener's configuration: it always serves the newest leaf, and allows no handshake before there is one.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let mut config = self.resolver.clone().configuration(self.settings.oldest, self.clients.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Whether the served leaf was trusted, is valid by the clock, and is not known to be distrusted.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs passes until shutdown.
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
            let ready = self.is_ready(OffsetDateTime::now_utc());
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
                Err(error) => {
                    let error = error.to_string();
                    if error != last_error {
                        log_failure(&error, ready);
                    }
                    last_error = error;
                    self.metrics.failed();
                    RETRY
                }
            };
            self.ready.send_replace(ready);
            tokio::select! {
                () = self.rest(pause) => {}
                Some(()) = changes.next() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Whether the served leaf is good, as far as is known.
    fn is_ready(&self, now: OffsetDateTime) -> bool {
        // A leaf that was never trusted is not served.
        let good = self.resolver.leaf().is_some_and(|leaf| leaf.is_good(now));
        good && !self.distrusted.load(Ordering::Relaxed)
    }

    /// Brings everything to the wanted state, and checks it.
    async fn pass(&self) -> Result<(), Error> {
        let now = OffsetDateTime::now_utc();
        match &self.settings.files {
            None => self.signed(now).await,
            Some(folder) => self.serve_files(folder, now).await,
        }
    }

    /// Publishes the bundle of the CA, then serves a leaf of it.
    async fn signed(&self, now: OffsetDateTime) -> Result<(), Error> {
        let (authority, doubt) = self.authority().await?;
        let published = in_time("publishing the caBundle", self.publish(&authority, doubt.is_none())).await;
        let lifetime = self.settings.lifetimes.leaf;
        let leaf = match self.resolver.leaf().filter(|leaf| leaf.serves(&authority, lifetime, now)) {
            Some(leaf) => leaf,
            None => Arc::new(Leaf::sign(&authority, &self.settings.names, lifetime, now)?),
        };
        self.metrics.authority_expires(authority.not_after);
        let due = authority.next.map_or(leaf.renew_at, |(_, due)| due.min(leaf.renew_at));
        self.due.store(due.unix_timestamp(), Ordering::Relaxed);
        let Repaired { entries, error } = self.or_the_last(published)?;
        // It was read, so it counts even after another error.
        let trusted = self.serve(leaf, &entries, now);
        doubt.or(error).map_or(trusted, Err)
    }

    /// The Secret's CA. If it cannot be read, the CA that was adopted last, with the error.
    async fn authority(&self) -> Result<(Arc<Authority>, Option<Error>), Error> {
        let last = self.authority.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let adopting = Authority::adopt(&self.client, &self.settings, last.as_deref());
        let adopted = in_time("reading the CA's Secret", adopting).await;
        let mut last = self.authority.lock().unwrap_or_else(PoisonError::into_inner);
        match (adopted, last.clone()) {
            (Ok(adopted), _) => Ok((last.insert(Arc::new(adopted)).clone(), None)),
            (Err(error), Some(last)) => Ok((last, Some(error))),
            (Err(error), None) => Err(error),
        }
    }

    /// Writes this CA into the entries. If it is in doubt, it may be older than the CA that they trust.
    async fn publish(&self, authority: &Authority, certain: bool) -> Result<Repaired, Error> {
        if certain && let Err(error) = self.ensure(authority.bundle()).await {
            let entries = ca_bundle::read(&self.client, &self.settings.configuration).await?;
            return Ok(Repaired { entries, error: Some(error) });
        }
        let which = if certain { Repair::Others } else { Repair::Empty };
        ca_bundle::repair(&self.client, &self.settings.configuration, authority.bundle(), which).await
    }

    /// The entries, or if they cannot be read, those that were read last, with the error. So a leaf is renewed while the
    /// apiserver is away.
    fn or_the_last(&self, read: Result<Repaired, Error>) -> Result<Repaired, Error> {
        let mut last = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(read) => {
                last.clone_from(&read.entries);
                Ok(read)
            }
            Err(error) if last.is_empty() => Err(error),
            Err(error) => Ok(Repaired { entries: last.clone(), error: Some(error) }),
        }
    }

    /// Creates the process's own configuration if it is absent.
    async fn ensure(&self, bundle: &[u8]) -> Result<(), Error> {
        match &self.own_configuration {
            Some(configuration) => ca_bundle::ensure(&self.client, configuration, bundle).await,
            None => Ok(()),
        }
    }

    /// Serves the leaf from the files.
    async fn serve_files(&self, folder: &Path, now: OffsetDateTime) -> Result<(), Error> {
        let files = Files::read(folder).await;
        let published = in_time("reading the caBundle", self.read(files.as_ref().ok())).await;
        let unusable = |reason| Error::Files(folder.display().to_string(), reason);
        let leaf = files.and_then(|files| match self.resolver.leaf().filter(|leaf| leaf.is_from(&files)) {
            Some(leaf) => Ok(leaf),
            None => Ok(Arc::new(Leaf::of_files(&files).map_err(unusable)?)),
        });
        let Repaired { entries, error } = self.or_the_last(published)?;
        let trusted = match leaf {
            Ok(leaf) => self.serve(leaf, &entries, now),
            Err(error) => {
                self.doubt(&entries, now);
                Err(error)
            }
        };
        error.map_or(trusted, Err)
    }

    /// The entries' bundles. In the mode `files` another controller writes them.
    async fn read(&self, files: Option<&Files>) -> Result<Repaired, Error> {
        let ensured = match files {
            Some(files) => self.ensure(&files.authority).await,
            None => Ok(()),
        };
        let entries = ca_bundle::read(&self.client, &self.settings.configuration).await?;
        Ok(Repaired { entries, error: ensured.err() })
    }

    /// Serves a leaf from now on, if every entry trusts it.
    fn serve(&self, leaf: Arc<Leaf>, entries: &[Entry], now: OffsetDateTime) -> Result<(), Error> {
        if let Err(error) = self.verify(&leaf, entries, now) {
            // The leaf served until now may still be trusted.
            self.doubt(entries, now);
            return Err(error);
        }
        self.distrusted.store(false, Ordering::Relaxed);
        self.metrics.leaf_expires(leaf.not_after);
        let served = self.resolver.leaf();
        if !served.is_some_and(|served| Arc::ptr_eq(&served, &leaf)) {
            tracing::info!(names = self.settings.names.join(","), until = %leaf.not_after, "a certificate is served");
            self.resolver.serve(leaf);
        }
        Ok(())
    }

    /// Checks whether the entries still trust the served leaf.
    fn doubt(&self, entries: &[Entry], now: OffsetDateTime) {
        let served = self.resolver.leaf();
        let distrusted = served.is_some_and(|served| self.verify(&served, entries, now).is_err());
        self.distrusted.store(distrusted, Ordering::Relaxed);
    }

    fn verify(&self, leaf: &Leaf, entries: &[Entry], now: OffsetDateTime) -> Result<(), Error> {
        let name = self.settings.names.first().map_or("", String::as_str);
        for entry in entries {
            trust::verify(leaf.chain(), &entry.ca_bundle, name, now)
                .map_err(|reason| Error::Untrusted { entry: entry.name.clone(), reason })?;
        }
        Ok(())
    }

    /// Waits for the pause, or until the clock passes the end of the served leaf.
    async fn rest(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            tokio::time::sleep_until(end.min(Instant::now() + LOOK)).await;
            let now = OffsetDateTime::now_utc();
            if self.resolver.leaf().is_some_and(|leaf| !leaf.is_good(now)) {
                return;
            }
        }
    }

    /// The time until the next step of a rotation or the next renewal, and at most the interval.
    fn pause(&self) -> Duration {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let due = self.due.load(Ordering::Relaxed).saturating_sub(now);
        u64::try_from(due).map_or(RETRY, Duration::from_secs).clamp(SHORTEST, INTERVAL)
    }

    /// An item for each change of the Secret (or the files) or the configuration. Without permission to watch, only
    /// the interval remains.
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

/// Logs why a pass failed, and its effect.
fn log_failure(error: &str, ready: bool) {
    if ready {
        tracing::warn!(
            error,
            "the certificate could not be checked; the served one is still good, and the check is repeated"
        );
    } else {
        tracing::warn!(error, "the certificate is not trusted; the check is repeated");
    }
}

/// Bounds the time of a step.
async fn in_time<T>(what: &'static str, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(DEADLINE, step).await.unwrap_or(Err(Error::Slow(what)))
}

fn changed<K>(event: &watcher::Result<watcher::Event<K>>) -> Option<()> {
    matches!(event, Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_))).then_some(())
}

/// Installs the one crypto provider of the process. Call it once, before any TLS.
pub fn install_provider() {
    // If a provider is installed already, that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificates(client: Client) -> Certificates {
        let settings = Settings {
            namespace: "weighbridge".into(),
            secret: "weighbridge-ca".into(),
            configuration: "weighbridge".into(),
            names: vec!["127.0.0.1".into()],
            lifetimes: Lifetimes::default(),
            files: None,
            clients: None,
            strangers: true,
            oldest: Version::default(),
        };
        Certificates::new(client, settings, None, Metrics::default()).unwrap()
    }

    /// An apiserver that accepts requests and never answers.
    fn silent() -> Client {
        install_provider();
        let never = tower::service_fn(|_: axum::http::Request<kube::client::Body>| {
            std::future::pending::<Result<axum::http::Response<axum::body::Body>, std::io::Error>>()
        });
        Client::new(never, "default")
    }

    fn entries(bundle: &[u8]) -> Vec<Entry> {
        vec![Entry { name: "job.weighbridge.dev".into(), ca_bundle: bundle.to_vec() }]
    }

    fn leaf(authority: &Authority, now: OffsetDateTime) -> Arc<Leaf> {
        let lifetime = Lifetimes::default().leaf;
        Arc::new(Leaf::sign(authority, &["127.0.0.1".to_owned()], lifetime, now).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_apiserver_does_not_stop_a_pass() {
        let certificates = certificates(silent());
        let error = certificates.pass().await.unwrap_err();
        assert!(matches!(error, Error::Slow("reading the CA's Secret")), "{error}");
        assert!(!certificates.is_ready(OffsetDateTime::now_utc()), "it starts without a CA");
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_replica_stays_ready_while_the_apiserver_does_not_answer() {
        let now = OffsetDateTime::now_utc();
        let certificates = certificates(silent());
        let authority = Authority::for_test(now);
        certificates.serve(leaf(&authority, now), &entries(authority.bundle()), now).unwrap();
        *certificates.authority.lock().unwrap() = Some(Arc::new(authority));
        assert!(matches!(certificates.pass().await, Err(Error::Slow("publishing the caBundle"))));
        assert!(certificates.is_ready(now));
        // The clock decides, in any state of the apiserver.
        assert!(!certificates.is_ready(now + time::Duration::days(8)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_leaf_is_renewed_while_the_apiserver_does_not_answer() {
        let now = OffsetDateTime::now_utc();
        let certificates = certificates(silent());
        let authority = Authority::for_test(now);
        let old = leaf(&authority, now - time::Duration::days(8));
        certificates.resolver.serve(old.clone());
        *certificates.entries.lock().unwrap() = entries(authority.bundle());
        *certificates.authority.lock().unwrap() = Some(Arc::new(authority));
        assert!(!certificates.is_ready(now));
        assert!(matches!(certificates.pass().await, Err(Error::Slow("reading the CA's Secret"))));
        assert!(certificates.is_ready(now));
        assert!(certificates.resolver.leaf().unwrap().not_after > old.not_after);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_leaf_ends_the_pause_before_a_pass() {
        let (now, certificates) = (OffsetDateTime::now_utc(), certificates(silent()));
        let authority = Authority::for_test(now);
        let rested = async |signed: OffsetDateTime| {
            certificates.resolver.serve(leaf(&authority, signed));
            let start = Instant::now();
            certificates.rest(INTERVAL).await;
            start.elapsed()
        };
        assert!(rested(now).await >= INTERVAL);
        assert!(rested(now + time::Duration::days(8)).await <= LOOK + SHORTEST);
        assert!(rested(now - time::Duration::days(8)).await <= LOOK + SHORTEST);
    }

    #[tokio::test]
    async fn only_a_bundle_that_was_read_makes_a_replica_unready() {
        let now = OffsetDateTime::now_utc();
        let certificates = certificates(silent());
        let (ours, foreign) = (Authority::for_test(now), Authority::for_test(now));
        assert!(certificates.serve(leaf(&ours, now), &entries(b""), now).is_err());
        assert!(!certificates.is_ready(now), "it was never trusted");
        certificates.serve(leaf(&ours, now), &entries(ours.bundle()), now).unwrap();
        assert!(certificates.is_ready(now));

        // The next CA is not trusted yet; the served leaf is.
        assert!(certificates.serve(leaf(&foreign, now), &entries(ours.bundle()), now).is_err());
        assert!(certificates.is_ready(now));
        for bundle in [foreign.bundle(), b"", b"no certificate"] {
            certificates.doubt(&entries(bundle), now);
            assert!(!certificates.is_ready(now));
            certificates.doubt(&entries(ours.bundle()), now);
            assert!(certificates.is_ready(now));
        }
    }

    #[tokio::test]
    async fn a_clock_that_jumps_and_comes_back_leaves_a_replica_ready() {
        let now = OffsetDateTime::now_utc();
        let certificates = certificates(silent());
        let authority = Authority::for_test(now);
        let lifetime = certificates.settings.lifetimes.leaf;
        for now in [now, now + time::Duration::days(8), now, now - time::Duration::minutes(30)] {
            let kept = certificates.resolver.leaf().filter(|leaf| leaf.serves(&authority, lifetime, now));
            let served = kept.unwrap_or_else(|| leaf(&authority, now));
            certificates.serve(served, &entries(authority.bundle()), now).unwrap();
            assert!(certificates.is_ready(now));
        }
    }
}
