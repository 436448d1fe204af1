//! The policy in effect.
//!
//! It comes from the arguments, and from a versioned [`file`] that overrides them and is [`follow`]ed. A change takes
//! effect within about 10 seconds. A file that cannot be read changes nothing.

mod file;
mod follow;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;

pub use follow::{Follower, Metrics, settled};

use crate::policy::Policy;

impl Policy {
    /// The policy of a file, based on this one.
    ///
    /// # Errors
    /// The reason why the file cannot be read or is not valid, for the administrator.
    pub fn with_file(&self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        self.with_text_of(path, &text)
    }

    /// The policy of a file that was read already, based on this one.
    ///
    /// # Errors
    /// See [`with_file`](Self::with_file).
    pub fn with_text_of(&self, path: &Path, text: &str) -> Result<Self> {
        self.with_text(text).with_context(|| format!("{} is refused", path.display()))
    }

    /// The policy of a file, or the default policy without a file.
    ///
    /// # Errors
    /// See [`with_file`](Self::with_file).
    pub fn of_file(path: Option<&Path>) -> Result<Self> {
        path.map_or_else(|| Ok(Self::default()), |path| Self::default().with_file(path))
    }

    fn with_text(&self, text: &str) -> Result<Self> {
        file::read(text)?.over(self)
    }
}

/// The policy in effect. Its changes can be watched.
#[derive(Debug)]
pub struct Policies {
    current: watch::Sender<Arc<Policy>>,
}

impl Policies {
    /// Starts with this policy.
    pub fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self { current: watch::Sender::new(Arc::new(policy)) })
    }

    /// The policy in effect. A cheap copy of a pointer.
    pub fn current(&self) -> Arc<Policy> {
        self.current.borrow().clone()
    }

    /// Notifies of changes.
    pub fn changes(&self) -> watch::Receiver<Arc<Policy>> {
        self.current.subscribe()
    }

    /// Replaces the policy.
    fn replace(&self, policy: Policy) {
        self.current.send_modify(|current| {
            let version = current.version + 1;
            *current = Arc::new(Policy { version, ..policy });
        });
    }
}
