//! Threads of low priority for judgements that may take long and for judgements of the controller.
//!
//! A judgement cannot be interrupted, and an expensive one takes a processor for up to 75 ms. On a thread of low
//! priority it gives up the processor when another thread needs it, so that a small review does not wait. The webhook
//! runs reviews here that are [expensive](crate::webhook), and large reviews of a namespace without a history. The
//! controller runs all its judgements here, on threads of its own. On a machine with a free processor they end as soon
//! as on an ordinary thread.

use std::fmt;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The nice value of the threads. It gives about a tenth of the share of an ordinary thread on the same processor.
const NICE: i32 = 10;

/// The threads. `None` if they could not be created: then the work runs on ordinary threads.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// Creates the pool. `threads` is the most threads.
    pub(crate) fn new(threads: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(threads.max(1))
            .thread_name("background")
            .on_thread_start(lower_priority)
            .build();
        if let Err(error) = &runtime {
            tracing::warn!(%error, "no threads of low priority; expensive judgements run on ordinary threads");
        }
        Self(runtime.ok())
    }

    /// Runs blocking work.
    pub(crate) fn spawn<T: Send + 'static>(
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
        // An asynchronous caller must not wait for threads.
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

/// Lowers the priority of the calling thread. On Linux, each thread has its own.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "the priority of a thread could not be lowered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_background_threads_have_a_low_priority() {
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
