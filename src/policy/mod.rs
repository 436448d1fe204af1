//! What an administrator decides, as plain types: modes, thresholds, exemptions, prices.
//!
//! Whatever reads a policy (arguments, a file) lies above, in `config`.

mod exemptions;
mod failure_policy;
mod headroom;
pub mod mode;
mod overrides;
mod placement;
mod prices;
mod reads;
mod rules;
mod world;

use std::sync::Arc;

pub use exemptions::{Exempt, Exemptions};
pub use failure_policy::FailurePolicy;
pub use headroom::Headroom;
pub use mode::Mode;
pub use overrides::Overrides;
pub use placement::Placement;
pub use prices::Prices;
pub use reads::Reads;
pub use rules::Rules;
pub use world::World;

use crate::hardware::Catalogue;
use crate::kinds::Kinds;

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
    /// The kinds of workloads; they cannot change while the process runs.
    pub kinds: Arc<Kinds>,
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
            kinds: Arc::default(),
            version: 0,
        }
    }
}

impl Policy {
    /// What a workload is judged by.
    pub fn world(&self) -> World<'_> {
        World { catalogue: &self.catalogue, kinds: &self.kinds, rules: &self.rules }
    }
}
