//! The administrator's decisions as plain types: modes, thresholds, exemptions, prices.
//!
//! The code that reads a policy from arguments or a file is in `config`, above this folder.

mod exemptions;
mod failure_policy;
mod headroom;
mod history;
mod host_memory;
pub mod mode;
mod observed;
mod overrides;
mod placement;
mod prices;
mod reads;
mod rules;
mod speeds;
mod world;

use std::sync::Arc;

pub use exemptions::{Exempt, Exemptions};
pub use failure_policy::FailurePolicy;
pub use headroom::Headroom;
pub use history::History;
pub use host_memory::HostMemory;
pub use mode::Mode;
pub use observed::{Gauge, Observed, PodLabels, Unit};
pub use overrides::Overrides;
pub use placement::Placement;
pub use prices::Prices;
pub use reads::Reads;
pub use rules::Rules;
pub use speeds::ObservedSpeed;
pub use world::World;

use crate::hardware::Catalogue;
use crate::kinds::Kinds;

/// The administrator's policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The mode of a namespace without a label.
    pub mode: Mode,
    /// How a training job is handled that cannot be judged.
    pub unknown: Unknown,
    /// How an object is handled that asks for accelerators, if it is not known whether it trains.
    pub unrecognised: Unrecognised,
    /// Thresholds, headroom and defaults.
    pub rules: Rules,
    /// The requests that are not judged.
    pub exemptions: Exemptions,
    /// Who may override a refusal.
    pub overrides: Overrides,
    /// Who may place pods after admission.
    pub placement: Placement,
    /// The accelerators, by all their names and aliases.
    pub catalogue: Arc<Catalogue>,
    /// What the gate learns from earlier runs. It does not change while the process runs.
    pub history: History,
    /// Where the memory that jobs use is read. None if it is not.
    pub observed: Option<Observed>,
    /// The kinds of workloads. They do not change while the process runs.
    pub kinds: Arc<Kinds>,
    /// The number of this policy in the process. Another policy may judge differently.
    pub version: u64,
}

/// How a training job is handled that cannot be judged, in the mode `enforce`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Unknown {
    /// It is admitted without a warning.
    Admit,
    /// It is admitted with a warning that lists what to add.
    #[default]
    Warn,
    /// It is refused until its missing values are given.
    Deny,
}

impl TryFrom<String> for Unknown {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "admit" => Ok(Self::Admit),
            "warn" => Ok(Self::Warn),
            "deny" => Ok(Self::Deny),
            _ => Err("expected one of Admit, Warn, Deny".to_owned()),
        }
    }
}

/// How an object is handled that asks for accelerators, if it is not known whether it trains. It is always admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Unrecognised {
    /// Without a warning.
    #[default]
    Admit,
    /// With a warning that says what to add if it trains.
    Warn,
}

impl TryFrom<String> for Unrecognised {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "admit" => Ok(Self::Admit),
            "warn" => Ok(Self::Warn),
            _ => Err("expected one of Admit, Warn".to_owned()),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            unknown: Unknown::default(),
            unrecognised: Unrecognised::default(),
            rules: Rules::default(),
            exemptions: Exemptions::default(),
            overrides: Overrides::default(),
            placement: Placement::default(),
            catalogue: Arc::new(Catalogue::builtin().clone()),
            history: History::default(),
            observed: None,
            kinds: Arc::default(),
            version: 0,
        }
    }
}

impl Policy {
    /// The part of the policy that a judgement uses.
    pub fn world(&self) -> World<'_> {
        World { catalogue: &self.catalogue, kinds: &self.kinds, rules: &self.rules }
    }
}
