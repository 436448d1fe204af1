//! Following the objects of one resource: list, watch, and again after every error.
//!
//! An error is logged when it first occurs and counted each time; a missing permission fills nothing and blocks
//! nothing.

use std::fmt::Debug;

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource, api::DynamicObject};
use serde::de::DeserializeOwned;

use super::{Patience, Readiness, metrics::Metrics};

/// What a watch fills.
pub trait Sink<K = DynamicObject> {
    /// The objects are listed from the beginning: `restarted`, then `apply` for each, then `listed`.
    fn restarted(&mut self);
    /// The object is there, new or changed.
    fn apply(&mut self, object: K);
    /// The object is gone.
    fn delete(&mut self, object: K);
    /// Every object that is there has been applied since `restarted`.
    fn listed(&mut self);
}

/// A resource to follow.
pub struct Follow<K = DynamicObject> {
    /// Its objects.
    pub api: Api<K>,
    /// Its plural name, for logs and metrics.
    pub resource: &'static str,
    /// What readiness calls this cache.
    pub cache: String,
}

impl<K> Follow<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// Fills the sink for ever; ends by being dropped.
    pub async fn into(self, mut sink: impl Sink<K>, readiness: &Readiness, metrics: &Metrics) {
        let _counted = Counted::new(metrics, self.resource);
        let mut events = watcher(self.api, watcher::Config::default()).backoff(Patience::default()).boxed();
        let mut last_reason = "";
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => sink.restarted(),
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                    sink.apply(object);
                    last_reason = "";
                }
                Ok(watcher::Event::Delete(object)) => sink.delete(object),
                Ok(watcher::Event::InitDone) => {
                    last_reason = "";
                    sink.listed();
                    readiness.reached(&self.cache);
                }
                Err(error) => {
                    let reason = reason(&error);
                    metrics.watch_error(self.resource, reason);
                    if reason != last_reason {
                        tracing::warn!(cache = self.cache, reason, %error, "a watch failed and is tried again");
                    }
                    last_reason = reason;
                    if matches!(reason, "Forbidden" | "NotFound") {
                        readiness.reached(&self.cache);
                    }
                }
            }
        }
    }
}

fn reason(error: &watcher::Error) -> &'static str {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let code = match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status)) => {
            status.code
        }
        WatchError(status) => status.code,
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) => return "Unreachable",
        watcher::Error::NoResourceVersion => return "NoResourceVersion",
    };
    match code {
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "Refused",
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
