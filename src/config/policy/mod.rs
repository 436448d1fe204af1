//! The policy: what becomes of which workload, as an administrator has decided it, and as it holds now.
//!
//! It comes from the arguments, and over these from a versioned [`file`] that is [`follow`]ed: a change takes effect
//! within some 10 seconds, and a file that cannot be read changes nothing.

mod exemptions;
mod file;
mod follow;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;

pub use exemptions::{Exempt, Exemptions};
pub use follow::{Follower, Metrics, settled};

use crate::hardware::Catalogue;
use crate::judge::Rules;
use crate::webhook::{Mode, Overrides, Placement};
use crate::workload::kinds::further::{self, Further};

/// What an administrator has decided.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The mode of a namespace without a label.
    pub mode: Mode,
    /// What becomes of a training job that cannot be judged.
    pub unknown: Unknown,
    /// Thresholds, headroom and defaults.
    pub rules: Rules,
    /// Who is not judged at all.
    pub exemptions: Exemptions,
    /// Who may override a refusal.
    pub overrides: Overrides,
    /// Who may place pods after admission.
    pub placement: Placement,
    /// The accelerators, by all their names.
    pub catalogue: Arc<Catalogue>,
    /// Kinds of workloads beside those that are known; they cannot change while the process runs.
    pub workloads: Vec<Further>,
    /// Counts the policies of this process: another one may judge otherwise.
    pub version: u64,
}

/// What becomes of a training job that cannot be judged, where the mode is `enforce`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Unknown {
    /// It is admitted in silence.
    Admit,
    /// It is admitted with a warning that lists what to add.
    #[default]
    Warn,
    /// It is refused: whoever trains says what.
    Deny,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            unknown: Unknown::default(),
            rules: Rules::default(),
            exemptions: Exemptions::default(),
            overrides: Overrides::default(),
            placement: Placement::default(),
            catalogue: Arc::new(Catalogue::builtin().clone()),
            workloads: Vec::new(),
            version: 0,
        }
    }
}

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

    /// The policy for a program that ends soon: of the file, where one is given, with its kinds of workloads taken in.
    ///
    /// # Errors
    /// As [`with_file`](Self::with_file) has them.
    pub fn of_file(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let policy = Self::default().with_file(path)?;
        policy.take_in_workloads()?;
        Ok(policy)
    }

    /// Takes the policy's kinds of workloads in: to be called once, before anything is read.
    ///
    /// # Errors
    /// Which of them cannot be taken in, and why.
    pub fn take_in_workloads(&self) -> Result<()> {
        further::take_in(&self.workloads).map_err(anyhow::Error::msg)
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
