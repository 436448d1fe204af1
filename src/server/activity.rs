//! The activity of a connection: how many requests it has open, and since when it is at rest.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// The activity of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    /// Requests that have begun and have no answer yet.
    open: AtomicUsize,
    /// Those that have been read whole.
    whole: AtomicUsize,
    /// Whether a request has begun.
    begun: AtomicBool,
    /// Whether a request was answered with success.
    proven: AtomicBool,
    /// When the connection was made, or the last request was answered.
    since: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            open: AtomicUsize::default(),
            whole: AtomicUsize::default(),
            begun: AtomicBool::default(),
            proven: AtomicBool::default(),
            since: Mutex::new(Instant::now()),
        }
    }
}

impl Activity {
    /// A request begins. It ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.begun.store(true, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenRequest(self.clone())
    }

    /// A request has been read whole. Until it is answered, the connection is not closed for another.
    pub(super) fn whole(self: &Arc<Self>) -> WholeRequest {
        self.whole.fetch_add(1, Ordering::Relaxed);
        WholeRequest(self.clone())
    }

    /// A request was answered with success.
    pub(super) fn proved(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Whether no request is open.
    pub(super) fn is_at_rest(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    /// Whether it may be closed to let another in.
    pub(super) fn may_be_closed(&self) -> bool {
        self.whole.load(Ordering::Relaxed) == 0
    }

    pub(super) fn since(&self) -> Instant {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open request.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Activity>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        *self.0.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that has been read whole.
#[derive(Debug)]
pub(super) struct WholeRequest(Arc<Activity>);

impl Drop for WholeRequest {
    fn drop(&mut self) {
        self.0.whole.fetch_sub(1, Ordering::Relaxed);
    }
}
