//! Follows the objects of one resource: lists them, watches them, and does both again after an error.
//!
//! An object that cannot be read is counted and named in the log. Its sink is told which object it is, and the others are
//! followed all the same. An error is logged when it first occurs and counted each time. A missing permission fills nothing and blocks nothing, and
//! neither does a list that the apiserver refuses again and again.
//!
//! Objects are read and judged on threads of their own, one object at a time: what the apiserver sends waits meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Readiness;
use super::metrics::Metrics;
use super::object::{Object, Unread, Who};
use super::source::{Change, Changes, Error, Found, Source};
use crate::patience::Patience;

/// Objects of the first page of a list, and of the largest one.
const FIRST_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;
/// The apiserver ends an answer after a minute. So a page is no longer than what is read in a few seconds.
const TIME_OF_A_PAGE: Duration = Duration::from_secs(2);
/// After so many refusals in a row, readiness no longer waits for a list.
const REFUSALS: u32 = 5;
/// Between two objects that are read again: a hundred a second at most.
const BETWEEN_READS: Duration = Duration::from_millis(10);
/// After an object that could not be read again.
const AFTER_A_FAILURE: Duration = Duration::from_secs(30);

/// What a watch fills.
pub trait Sink: Send + 'static {
    /// The objects are listed from the beginning: `restarted`, then `apply` for each, then `listed`.
    fn restarted(&mut self);
    /// The object is there, new or changed.
    fn apply(&mut self, object: Object);
    /// The object is there, new or changed, and too large to be read. Only its identity is known.
    fn too_large(&mut self, _object: Object) {}
    /// The object is gone.
    fn delete(&mut self, object: Object);
    /// Every object that is there has been applied since `restarted`.
    fn listed(&mut self);
    /// Says when [`Sink::wanted`] may have another answer.
    fn wakes(&self) -> Option<watch::Receiver<()>> {
        None
    }
    /// What is to be read again though it has not changed.
    fn wanted(&mut self) -> Wanted {
        Wanted::Nothing
    }
    /// Whether something is wanted since an object was applied.
    fn waits(&self) -> bool {
        false
    }
    /// An object that was wanted is not there.
    fn missing(&mut self, _namespace: &str, _name: &str) {}
}

/// What is to be read again.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing, until it wakes.
    Nothing,
    /// Nothing before this moment.
    Later(Instant),
    /// An object, by its namespace and name.
    Object(String, String),
    /// All.
    Everything,
}

/// A resource to follow.
pub struct Follow {
    /// Where its objects are.
    pub source: Source,
    /// Its plural name, for logs and metrics.
    pub resource: &'static str,
    /// What readiness calls this cache.
    pub cache: String,
}

impl Follow {
    /// Fills the sink for ever; ends by being dropped.
    pub async fn into(self, sink: impl Sink, readiness: &Readiness, metrics: &Metrics) {
        let _counted = Counted::new(metrics, self.resource);
        let wakes = sink.wakes();
        let mut run = Run {
            hand: Hand { sink: Some(sink), metrics: metrics.clone(), resource: self.resource },
            follow: self,
            wakes,
            again: None,
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
struct Ended;

/// What comes of an object that was taken in.
#[derive(Default)]
struct Applied {
    /// The object's version.
    version: Option<String>,
    /// Whether something is to be read again.
    waits: bool,
}

/// A sink, on threads where it may take its time.
struct Hand<S> {
    sink: Option<S>,
    metrics: Metrics,
    resource: &'static str,
}

impl<S: Sink> Hand<S> {
    /// Lets the sink do something. A fault of ours in it costs the one object.
    async fn with<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<Option<R>, Ended> {
        let mut sink = self.sink.take().ok_or(Ended)?;
        let working = tokio::task::spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&mut sink)));
            (sink, done.ok())
        });
        let (sink, done) = working.await.map_err(|_| Ended)?;
        self.sink = Some(sink);
        if done.is_none() {
            self.metrics.unreadable(self.resource);
            tracing::error!(resource = self.resource, "a fault in reading an object; the object is left out");
        }
        Ok(done)
    }

    /// Takes an object in.
    async fn apply(&mut self, found: Found) -> Result<Applied, Ended> {
        let Found::Json(json) = found else {
            self.left_out(&Unread { who: Box::default(), too_large: true, cause: "it is too long".into() });
            return Ok(Applied::default());
        };
        let read = move |sink: &mut S| {
            let object = match json.into_object() {
                Ok(object) => object,
                Err(unread) => {
                    if unread.too_large {
                        sink.too_large(Who::clone(&unread.who).into());
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
                self.left_out(&unread);
                Applied { version: Some(unread.who.resource_version), waits: false }
            }
            None => Applied::default(),
        })
    }

    fn left_out(&self, unread: &Unread) {
        self.metrics.unreadable(self.resource);
        let (resource, object, cause) = (self.resource, &unread.who, &unread.cause);
        tracing::warn!(resource, %object, cause, "an object cannot be read, and its content is left out");
    }
}

/// A resource that is being followed.
struct Run<'a, S> {
    follow: Follow,
    hand: Hand<S>,
    wakes: Option<watch::Receiver<()>>,
    /// When an object that the sink wants is read again.
    again: Option<Instant>,
    /// How many objects the next page has.
    page: u32,
    patience: Patience,
    last_reason: &'static str,
    /// Lists that failed in a row though the apiserver answered.
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

impl From<Ended> for End {
    fn from(_: Ended) -> Self {
        Self::Process
    }
}

impl<S: Sink> Run<'_, S> {
    async fn list_and_watch(&mut self) -> Result<(), Ended> {
        match self.list().await? {
            Ok(version) => {
                self.patience.begin_anew();
                (self.last_reason, self.refusals) = ("", 0);
                self.readiness.reached(&self.follow.cache);
                match self.watch(version).await {
                    End::Relist => Ok(()),
                    End::Process => Err(Ended),
                }
            }
            Err(error) => {
                let reason = error.reason();
                if matches!(reason, "Unreachable" | "Unreadable") {
                    // The page may have been too long for the time that an answer may take.
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

    /// Counts an error, tells of it once, and pauses.
    async fn failed(&mut self, reason: &'static str, error: &Error) {
        self.metrics.watch_error(self.follow.resource, reason);
        if reason != self.last_reason {
            tracing::warn!(cache = self.follow.cache, reason, %error, "a watch failed and is tried again");
        }
        self.last_reason = reason;
        tokio::time::sleep(self.patience.next().unwrap_or(AFTER_A_FAILURE)).await;
    }

    /// Lists everything, page by page; says from which version on changes can be watched.
    async fn list(&mut self) -> Result<Result<String, Error>, Ended> {
        self.hand.with(S::restarted).await?;
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
                self.hand.with(S::listed).await?;
                return Ok(Ok(frame.resource_version));
            }
            self.page = next_page(self.page, started.elapsed());
            token = Some(frame.r#continue);
        }
    }

    /// Watches from a version on, as long as the apiserver knows that version.
    async fn watch(&mut self, mut version: String) -> End {
        loop {
            let opened = Instant::now();
            let ended = match self.follow.source.watch(&version).await {
                Ok(mut changes) => loop {
                    match self.next(&mut changes, &mut version).await {
                        Ok(Some(())) => {}
                        Ok(None) => break Ok(()),
                        Err(Cut::End(end)) => return end,
                        Err(Cut::Error(error)) => break Err(error),
                    }
                },
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) if opened.elapsed() > TIME_OF_A_PAGE => {}
                // A watch that ends at once would otherwise be opened without a pause.
                Ok(()) => tokio::time::sleep(TIME_OF_A_PAGE).await,
                Err(error) if error.reason() == "Expired" => {
                    self.failed("Expired", &error).await;
                    return End::Relist;
                }
                Err(error) => self.failed(error.reason(), &error).await,
            }
        }
    }

    /// Takes the next change in, or reads an object again; none at the watch's end.
    async fn next(&mut self, changes: &mut Changes, version: &mut String) -> Result<Option<()>, Cut> {
        let again = self.again;
        tokio::select! {
            change = changes.next() => match change.map_err(Cut::Error)? {
                Some(change) => self.take_in(change, version).await.map(Some),
                None => Ok(None),
            },
            () = woken(&mut self.wakes) => {
                self.again = again.or_else(|| Some(Instant::now()));
                Ok(Some(()))
            }
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                self.read_again().await.map(Some)
            }
        }
    }

    /// Takes an object in; says its version.
    async fn apply(&mut self, found: Found) -> Result<Option<String>, Ended> {
        let applied = self.hand.apply(found).await?;
        if applied.waits {
            self.again = self.again.or_else(|| Some(Instant::now()));
        }
        Ok(applied.version)
    }

    async fn take_in(&mut self, change: Change, version: &mut String) -> Result<(), Cut> {
        self.last_reason = "";
        let reached = match change {
            Change::Applied(found) => self.apply(found).await?,
            Change::Deleted(json) => {
                let who = Who::of(json.bytes());
                let reached = who.resource_version.clone();
                self.hand.with(move |sink: &mut S| sink.delete(who.into())).await?;
                Some(reached)
            }
            Change::Bookmark(json) => Some(Who::of(json.bytes()).resource_version),
            Change::Failed(reason) => return Err(Cut::Error(Error::Watch(reason))),
            Change::Unknown => {
                let cause = "it is no change".into();
                self.hand.left_out(&Unread { who: Box::default(), too_large: false, cause });
                None
            }
        };
        // From where the watch goes on after a break.
        if let Some(reached) = reached.filter(|reached| !reached.is_empty()) {
            *version = reached;
        }
        Ok(())
    }

    /// Reads an object again that the sink wants. What comes later in the watch is at least as new, or is followed by
    /// what is.
    async fn read_again(&mut self) -> Result<(), Cut> {
        let wanted = self.hand.with(S::wanted).await?.unwrap_or(Wanted::Nothing);
        let (namespace, name) = match wanted {
            Wanted::Object(namespace, name) => (namespace, name),
            Wanted::Nothing => {
                self.again = None;
                return Ok(());
            }
            Wanted::Later(moment) => {
                self.again = Some(moment);
                return Ok(());
            }
            Wanted::Everything => return Err(Cut::End(End::Relist)),
        };
        self.again = Some(Instant::now() + BETWEEN_READS);
        match self.follow.source.json(&namespace, &name).await {
            Ok(Some(json)) => {
                let started = Instant::now();
                self.apply(Found::Json(json)).await?;
                // What is dear to judge takes half of the time at most.
                self.again = Some(Instant::now() + started.elapsed().max(BETWEEN_READS));
            }
            Ok(None) => {
                self.hand.with(move |sink: &mut S| sink.missing(&namespace, &name)).await?;
            }
            Err(error) => {
                self.metrics.watch_error(self.follow.resource, error.reason());
                self.again = Some(Instant::now() + AFTER_A_FAILURE);
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

/// Why no further change comes.
enum Cut {
    End(End),
    Error(Error),
}

impl From<Ended> for Cut {
    fn from(_: Ended) -> Self {
        Self::End(End::Process)
    }
}

/// Counts a watch while it runs, however it ends.
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

/// How many objects the next page has, after one of so many that took so long.
fn next_page(page: u32, took: Duration) -> u32 {
    let share = TIME_OF_A_PAGE.as_secs_f64() / took.as_secs_f64().max(1e-3);
    let next = (f64::from(page) * share.min(4.0)) as u32;
    next.clamp(1, LARGEST_PAGE)
}
