//! The policy: what becomes of which workload, as an administrator has decided it, and as it holds now.
//!
//! It comes from the arguments, and over these from a versioned [`file`] that is [`follow`]ed: a change takes effect
//! within some 10 seconds, and a file that cannot be read changes nothing.

mod file;
mod follow;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;

pub use follow::{Follower, Metrics, settled};

use crate::policy::Policy;

impl Policy {
    /// The policy of a file, over this one.
    ///
    /// # Errors
    /// Where and why the file cannot be read or cannot hold, in words for the administrator.
    pub fn with_file(&self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        self.with_text_of(path, &text)
    }

    /// The same of a file that was read already.
    ///
    /// # Errors
    /// As [`with_file`](Self::with_file) has them.
    pub fn with_text_of(&self, path: &Path, text: &str) -> Result<Self> {
        self.with_text(text).with_context(|| format!("{} is refused as a whole", path.display()))
    }

    /// The policy of a file, where one is given.
    ///
    /// # Errors
    /// As [`with_file`](Self::with_file) has them.
    pub fn of_file(path: Option<&Path>) -> Result<Self> {
        path.map_or_else(|| Ok(Self::default()), |path| Self::default().with_file(path))
    }

    fn with_text(&self, text: &str) -> Result<Self> {
        file::read(text)?.over(self)
    }
}

/// The policy that holds now; a change is told to whoever waits for one.
#[derive(Debug)]
pub struct Policies {
    current: watch::Sender<Arc<Policy>>,
}

impl Policies {
    /// With this one to begin with.
    pub fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self { current: watch::Sender::new(Arc::new(policy)) })
    }

    /// The one that holds now; cheap.
    pub fn current(&self) -> Arc<Policy> {
        self.current.borrow().clone()
    }

    /// Tells of changes.
    pub fn changes(&self) -> watch::Receiver<Arc<Policy>> {
        self.current.subscribe()
    }

    /// Puts another in its place.
    fn replace(&self, policy: Policy) {
        self.current.send_modify(|current| {
            let version = current.version + 1;
            *current = Arc::new(Policy { version, ..policy });
        });
    }
}
