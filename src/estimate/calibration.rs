//! Constants that physics cannot give, read from `data/calibration.toml`, where each has its evidence.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::units::Bytes;
use crate::workload::Framework;

/// What is calibrated rather than counted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    runtime: Runtime,
    allocator: Allocator,
    spread: Vec<Spread>,
    /// Model FLOPs utilization where nobody gives one.
    pub utilization: Utilization,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Runtime {
    context_mib: u64,
    communicator_mib: u64,
    communicator_dimensions_at_most: u64,
    workspace_mib: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allocator {
    fragmentation: f64,
    slack: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spread {
    framework: String,
    dense: f64,
    experts: f64,
}

/// Model FLOPs utilization, 0 to 1: the middle and the ends of a 90 % interval.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utilization {
    /// A dense model's.
    pub dense: f64,
    /// The interval's lower end.
    pub dense_low: f64,
    /// The interval's upper end.
    pub dense_high: f64,
    /// A mixture of experts'.
    pub experts: f64,
    /// The interval's lower end.
    pub experts_low: f64,
    /// The interval's upper end.
    pub experts_high: f64,
    /// Relative half-width around a utilization that is given.
    pub given_spread: f64,
}

impl Calibration {
    /// The calibration that is compiled in.
    #[allow(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Calibration> = LazyLock::new(|| {
            toml::from_str(include_str!("../../data/calibration.toml"))
                .expect("data/calibration.toml is valid")
        });
        &BUILTIN
    }

    /// What a process holds that no tensor owns: context, library workspaces, and communicators for each parallel
    /// dimension in use.
    pub fn runtime(&self, dimensions: u64) -> Bytes {
        let communicators = dimensions.min(self.runtime.communicator_dimensions_at_most);
        Bytes::from_mib(self.runtime.context_mib + self.runtime.workspace_mib)
            + Bytes::from_mib(self.runtime.communicator_mib) * communicators
    }

    /// The allocator's holes that cannot be given back when the device is full.
    pub fn fragmentation(&self, allocated: Bytes) -> Bytes {
        allocated.scale(self.allocator.fragmentation)
    }

    /// What the allocator keeps beside live tensors while there is room.
    pub fn slack(&self, allocated: Bytes) -> Bytes {
        allocated.scale(self.allocator.slack)
    }

    /// The standard deviation of ln(measured / estimated) for a framework, stated or not, and kind of model.
    pub fn spread(&self, framework: Option<Framework>, experts: bool) -> f64 {
        let name = framework.map_or("any", Framework::name);
        let named = self.spread.iter().find(|s| s.framework == name);
        let any = named.or_else(|| self.spread.iter().find(|s| s.framework == "any"));
        any.map_or(0.25, |s| if experts { s.experts } else { s.dense })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_valid_and_covers_every_framework() {
        let calibration = Calibration::builtin();
        for framework in Framework::ALL {
            let dense = calibration.spread(Some(*framework), false);
            assert!((0.01..0.5).contains(&dense), "{framework}");
            assert!(calibration.spread(Some(*framework), true) >= dense, "{framework}");
        }
    }
}
