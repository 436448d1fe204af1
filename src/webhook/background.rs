//! Threads of low priority for dear judgements.
//!
//! A judgement cannot be interrupted, and a dear one takes a processor for up to 75 ms. On a thread of low priority it
//! gives the processor away as soon as another thread wants it, so that a neighbour's small review does not wait for it.
//! Only work that is known to be [dear](super::turns) runs here: a first review never waits for a flood of small ones.

use std::fmt;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The nice value of the threads: about a tenth of the share of an ordinary thread, where both want the same processor.
const NICE: i32 = 10;

/// The threads. None where the system gives none: then the work runs as any other does.
pub(super) struct Background(Option<Runtime>);

impl Background {
    /// So many threads at most.
    pub(super) fn new(threads: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(threads.max(1))
            .thread_name("background")
            .on_thread_start(lower_priority)
            .build();
        if let Err(error) = &runtime {
            tracing::warn!(%error, "there are no threads of low priority: dear judgements run as all others do");
        }
        Self(runtime.ok())
    }

    /// Runs work that blocks.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.0 {
            Some(runtime) => runtime.spawn_blocking(work),
            None => tokio::task::spawn_blocking(work),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The caller may be asynchronous, where waiting for threads is forbidden.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Background").field(&self.0.is_some()).finish()
    }
}

/// Lowers the priority of the calling thread. Linux keeps it by thread.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "a thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_threads_have_a_low_priority_and_others_keep_theirs() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let own = priority();
        assert_eq!(Background::new(1).spawn(priority).await.unwrap(), NICE.max(own));
        assert_eq!(tokio::task::spawn_blocking(priority).await.unwrap(), own);
    }

    #[tokio::test]
    async fn a_panic_stays_in_its_thread() {
        let background = Background::new(1);
        assert!(background.spawn(|| panic!("a test")).await.is_err());
        assert_eq!(background.spawn(|| 7).await.unwrap(), 7);
    }
}
