//! Follows the objects of one resource: lists and watches them, and starts again after an error.
//!
//! An object that cannot be read is counted, named in the log and reported to the sink. The other objects are
//! followed as usual. An error is counted each time and logged when it first occurs. If a permission is missing, or
//! the apiserver refuses a list again and again, the cache stays empty and readiness does not wait for it.
//!
//! Objects are read and judged on threads of their own, one object at a time. The apiserver's next objects wait
//! meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Readiness;
use super::metrics::Metrics;
use super::object::{Identity, Object, Unread};
use super::source::{Change, Changes, Error, Found, Source};
use crate::patience::Patience;

/// The number of objects in the first page of a list, and in the largest.
const FIRST_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;
/// The apiserver ends an answer after a minute. So a page must be readable in a few seconds.
const TIME_OF_A_PAGE: Duration = Duration::from_secs(2);
/// After this many refusals in a row, readiness no longer waits for the list.
const REFUSALS: u32 = 5;
/// The pause between two objects that are read again: at most a hundred objects a second.
const BETWEEN_READS: Duration = Duration::from_millis(10);
/// The pause after an object could not be read again.
const AFTER_A_FAILURE: Duration = Duration::from_secs(30);

/// Receives the objects of a watch.
pub trait Sink: Send + 'static {
    /// A new list begins. The calls are `restarted`, then `apply` for each object, then `listed`.
    fn restarted(&mut self);
    /// The object is new or has changed.
    fn apply(&mut self, object: Object);
    /// The object is new or has changed, but it is too large to be read. Only its identity is known.
    fn too_large(&mut self, _object: Object) {}
    /// The object was deleted.
    fn delete(&mut self, object: Object);
    /// Every existing object has been applied since `restarted`.
    fn listed(&mut self);
    /// Notifies when [`Sink::wanted`] may give a new answer.
    fn wakes(&self) -> Option<watch::Receiver<()>> {
        None
    }
    /// The object to read again, though it has not changed.
    fn wanted(&mut self) -> Wanted {
        Wanted::Nothing
    }
    /// Whether an object that was applied must be read again.
    fn waits(&self) -> bool {
        false
    }
    /// An object that was wanted does not exist.
    fn missing(&mut self, _namespace: &str, _name: &str) {}
}

/// The next object to read again.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing, until the sink notifies.
    Nothing,
    /// Nothing before this moment.
    Later(Instant),
    /// An object, by its namespace and name.
    Object(String, String),
    /// All objects.
    Everything,
}

/// A resource to follow.
pub struct Follow {
    /// Where its objects are.
    pub source: Source,
    /// Its plural name, for logs and metrics.
    pub resource: &'static str,
    /// The name of this cache for readiness.
    pub cache: String,
}

impl Follow {
    /// Fills the sink until it is dropped.
    pub async fn into(self, sink: impl Sink, readiness: &Readiness, metrics: &Metrics) {
        let _counted = Counted::new(metrics, self.resource);
        let wakes = sink.wakes();
        let mut run = Run {
            worker: Worker { sink: Some(sink), metrics: metrics.clone(), resource: self.resource },
            follow: self,
            wakes,
            next_read: None,
            page: FIRST_PAGE,
            patience: Patience::default(),
            last_reason: "",
            refusals: 0,
            readiness,
            metrics,
        };
        while run.list_and_watch().await.is_ok() {}
    }
}

/// The process ends.
struct Shutdown;

/// The result of applying an object.
#[derive(Default)]
struct Applied {
    /// The object's version.
    version: Option<String>,
    /// Whether an object must be read again.
    waits: bool,
}

/// Runs the sink on threads that may block.
struct Worker<S> {
    sink: Option<S>,
    metrics: Metrics,
    resource: &'static str,
}

impl<S: Sink> Worker<S> {
    /// Calls the sink. A panic in it costs only this object.
    async fn with<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<Option<R>, Shutdown> {
        let mut sink = self.sink.take().ok_or(Shutdown)?;
        let working = tokio::task::spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&mut sink)));
            (sink, done.ok())
        });
        let (sink, done) = working.await.map_err(|_| Shutdown)?;
        self.sink = Some(sink);
        if done.is_none() {
            self.metrics.unreadable(self.resource);
            tracing::error!(resource = self.resource, "reading an object panicked; the object is left out");
        }
        Ok(done)
    }

    /// Gives an object to the sink.
    async fn apply(&mut self, found: Found) -> Result<Applied, Shutdown> {
        let Found::Json(json) = found else {
            self.report_unread(&Unread {
                identity: Box::default(),
                too_large: true,
                cause: "it is too long".into(),
            });
            return Ok(Applied::default());
        };
        let read = move |sink: &mut S| {
            let object = match json.into_object() {
                Ok(object) => object,
                Err(unread) => {
                    if unread.too_large {
                        sink.too_large(Identity::clone(&unread.identity).into());
                    }
                    return Err(unread);
                }
            };
            let version = object.resource_version().map(str::to_owned);
            sink.apply(object);
            Ok(Applied { version, waits: sink.waits() })
        };
        Ok(match self.with(read).await? {
            Some(Ok(applied)) => applied,
            Some(Err(unread)) => {
                self.report_unread(&unread);
                Applied { version: Some(unread.identity.resource_version), waits: false }
            }
            None => Applied::default(),
        })
    }

    fn report_unread(&self, unread: &Unread) {
        self.metrics.unreadable(self.resource);
        let (resource, object, cause) = (self.resource, &unread.identity, &unread.cause);
        tracing::warn!(resource, %object, cause, "an object cannot be read and is left out");
    }
}

/// A resource that is being followed.
struct Run<'a, S> {
    follow: Follow,
    worker: Worker<S>,
    wakes: Option<watch::Receiver<()>>,
    /// When to read the next object that the sink wants.
    next_read: Option<Instant>,
    /// The number of objects in the next page.
    page: u32,
    patience: Patience,
    last_reason: &'static str,
    /// How many lists in a row the apiserver refused.
    refusals: u32,
    readiness: &'a Readiness,
    metrics: &'a Metrics,
}

/// Why a watch ends.
enum End {
    /// Everything must be listed again.
    Relist,
    Process,
}

impl From<Shutdown> for End {
    fn from(_: Shutdown) -> Self {
        Self::Process
    }
}

impl<S: Sink> Run<'_, S> {
    async fn list_and_watch(&mut self) -> Result<(), Shutdown> {
        match self.list().await? {
            Ok(version) => {
                self.patience.begin_anew();
                (self.last_reason, self.refusals) = ("", 0);
                self.readiness.reached(&self.follow.cache);
                match self.watch(version).await {
                    End::Relist => Ok(()),
                    End::Process => Err(Shutdown),
                }
            }
            Err(error) => {
                let reason = error.reason();
                if matches!(reason, "Unreachable" | "Unreadable") {
                    // The page may have been too long for one answer.
                    self.page = (self.page / 4).max(1);
                }
                if reason != "Unreachable" {
                    self.refusals = self.refusals.saturating_add(1);
                }
                if matches!(reason, "Forbidden" | "NotFound") || self.refusals >= REFUSALS {
                    self.readiness.reached(&self.follow.cache);
                }
                self.failed(reason, &error).await;
                Ok(())
            }
        }
    }

    /// Counts an error, logs a new one, and pauses.
    async fn failed(&mut self, reason: &'static str, error: &Error) {
        self.metrics.watch_error(self.follow.resource, reason);
        if reason != self.last_reason {
            tracing::warn!(cache = self.follow.cache, reason, %error, "a watch failed; it is tried again");
        }
        self.last_reason = reason;
        let pause = match reason {
            "Unreachable" => self.patience.next_while_away(),
            _ => self.patience.next().unwrap_or(AFTER_A_FAILURE),
        };
        tokio::time::sleep(pause).await;
    }

    /// Lists everything, page by page. Returns the version from which to watch.
    async fn list(&mut self) -> Result<Result<String, Error>, Shutdown> {
        self.worker.with(S::restarted).await?;
        let mut token = None;
        loop {
            let started = Instant::now();
            let mut page = match self.follow.source.list(self.page, token).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            loop {
                match page.next().await {
                    Ok(Some(found)) => {
                        self.apply(found).await?;
                    }
                    Ok(None) => break,
                    Err(error) => return Ok(Err(error)),
                }
            }
            let frame = match page.frame() {
                Ok(frame) => frame,
                Err(error) => return Ok(Err(error)),
            };
            if frame.r#continue.is_empty() {
                self.worker.with(S::listed).await?;
                return Ok(Ok(frame.resource_version));
            }
            self.page = next_page(self.page, started.elapsed());
            token = Some(frame.r#continue);
        }
    }

    /// Watches from a version on, while the apiserver knows that version.
    async fn watch(&mut self, mut version: String) -> End {
        loop {
            let opened = Instant::now();
            let ended = match self.follow.source.watch(&version).await {
                Ok(mut changes) => loop {
                    match self.next(&mut changes, &mut version).await {
                        Ok(Some(())) => {}
                        Ok(None) => break Ok(()),
                        Err(Stop::End(end)) => return end,
                        Err(Stop::Error(error)) => break Err(error),
                    }
                },
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) if opened.elapsed() > TIME_OF_A_PAGE => {}
                // A watch that ends at once is not opened again without a pause.
                Ok(()) => tokio::time::sleep(TIME_OF_A_PAGE).await,
                Err(error) if error.reason() == "Expired" => {
                    // The apiserver is there again, so the pauses of its absence do not count.
                    self.patience.begin_anew();
                    self.failed("Expired", &error).await;
                    return End::Relist;
                }
                Err(error) => self.failed(error.reason(), &error).await,
            }
        }
    }

    /// Applies the next change, or reads an object again. `None` when the watch ends.
    async fn next(&mut self, changes: &mut Changes, version: &mut String) -> Result<Option<()>, Stop> {
        let next_read = self.next_read;
        tokio::select! {
            change = changes.next() => match change.map_err(Stop::Error)? {
                Some(change) => self.apply_change(change, version).await.map(Some),
                None => Ok(None),
            },
            () = woken(&mut self.wakes) => {
                self.next_read = next_read.or_else(|| Some(Instant::now()));
                Ok(Some(()))
            }
            () = tokio::time::sleep_until(next_read.unwrap_or_else(Instant::now)), if next_read.is_some() => {
                self.read_again().await.map(Some)
            }
        }
    }

    /// Applies an object. Returns its version.
    async fn apply(&mut self, found: Found) -> Result<Option<String>, Shutdown> {
        let applied = self.worker.apply(found).await?;
        if applied.waits {
            self.next_read = self.next_read.or_else(|| Some(Instant::now()));
        }
        Ok(applied.version)
    }

    async fn apply_change(&mut self, change: Change, version: &mut String) -> Result<(), Stop> {
        self.last_reason = "";
        if !matches!(change, Change::Failed(_)) {
            // The watch works, so the next break is a new one.
            self.patience.begin_anew();
        }
        let reached = match change {
            Change::Applied(found) => self.apply(found).await?,
            Change::Deleted(json) => {
                let identity = Identity::of(json.bytes());
                let reached = identity.resource_version.clone();
                self.worker.with(move |sink: &mut S| sink.delete(identity.into())).await?;
                Some(reached)
            }
            Change::Bookmark(json) => Some(Identity::of(json.bytes()).resource_version),
            Change::Failed(reason) => return Err(Stop::Error(Error::Watch(reason))),
            Change::Unknown => {
                let cause = "it is not a change".into();
                self.worker.report_unread(&Unread { identity: Box::default(), too_large: false, cause });
                None
            }
        };
        // The watch continues from this version after a break.
        if let Some(reached) = reached.filter(|reached| !reached.is_empty()) {
            *version = reached;
        }
        Ok(())
    }

    /// Reads an object again that the sink wants. A later change of the watch may be older than this object, but a
    /// newer one then follows.
    async fn read_again(&mut self) -> Result<(), Stop> {
        let wanted = self.worker.with(S::wanted).await?.unwrap_or(Wanted::Nothing);
        let (namespace, name) = match wanted {
            Wanted::Object(namespace, name) => (namespace, name),
            Wanted::Nothing => {
                self.next_read = None;
                return Ok(());
            }
            Wanted::Later(moment) => {
                self.next_read = Some(moment);
                return Ok(());
            }
            Wanted::Everything => return Err(Stop::End(End::Relist)),
        };
        self.next_read = Some(Instant::now() + BETWEEN_READS);
        match self.follow.source.json(&namespace, &name).await {
            Ok(Some(json)) => {
                let started = Instant::now();
                self.apply(Found::Json(json)).await?;
                // Objects that are expensive to judge take at most half of the time.
                self.next_read = Some(Instant::now() + started.elapsed().max(BETWEEN_READS));
            }
            Ok(None) => {
                self.worker.with(move |sink: &mut S| sink.missing(&namespace, &name)).await?;
            }
            Err(error) => {
                self.metrics.watch_error(self.follow.resource, error.reason());
                self.next_read = Some(Instant::now() + AFTER_A_FAILURE);
            }
        }
        Ok(())
    }
}

async fn woken(wakes: &mut Option<watch::Receiver<()>>) {
    if let Some(wakes) = wakes
        && wakes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Why the changes of a watch stop.
enum Stop {
    End(End),
    Error(Error),
}

impl From<Shutdown> for Stop {
    fn from(_: Shutdown) -> Self {
        Self::End(End::Process)
    }
}

/// Counts a watch while it runs.
struct Counted<'a> {
    metrics: &'a Metrics,
    resource: &'static str,
}

impl<'a> Counted<'a> {
    fn new(metrics: &'a Metrics, resource: &'static str) -> Self {
        metrics.watches(resource, 1);
        Self { metrics, resource }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.metrics.watches(self.resource, -1);
    }
}

/// The size of the next page, so that it is read in [`TIME_OF_A_PAGE`].
fn next_page(page: u32, took: Duration) -> u32 {
    let share = TIME_OF_A_PAGE.as_secs_f64() / took.as_secs_f64().max(1e-3);
    let next = (f64::from(page) * share.min(4.0)) as u32;
    next.clamp(1, LARGEST_PAGE)
}
