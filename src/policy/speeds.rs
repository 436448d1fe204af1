//! The speed of a cluster's own runs, relative to the prediction.
//!
//! ```text
//! speed     geometric mean of measured / predicted tokens per second, of runs with the same accelerators and framework
//! factor    speed^(¾·n / (n + 1))                                  n runs
//! ```
//!
//! A run differs from the prediction for two reasons: its machine, and its own layout. Only the first holds for another run.
//! The exponent is what predicts the other models of a source best, if the coefficients were fitted without the source
//! (`tests/accuracy/time.rs`). `weighbridge machine` writes the entries.

use crate::job::Framework;

/// The speed of a cluster's own runs.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObservedSpeed {
    /// The accelerator's key in the catalogue, or another of its names.
    pub accelerator: String,
    /// The framework.
    pub framework: Framework,
    /// Measured / predicted tokens per second.
    pub speed: f64,
    /// The number of runs.
    pub runs: u32,
}

impl ObservedSpeed {
    /// The factor of the predicted speed.
    pub fn factor(&self) -> f64 {
        self.speed.max(0.01).powf(Self::exponent(f64::from(self.runs)))
    }

    /// The share of the runs' difference that holds for other runs.
    pub fn exponent(runs: f64) -> f64 {
        0.75 * runs / (runs + 1.0)
    }

    /// The entry for an accelerator and a framework.
    pub fn of<'a>(list: &'a [Self], accelerator: &str, framework: Option<Framework>) -> Option<&'a Self> {
        list.iter().find(|entry| Some(entry.framework) == framework && entry.accelerator == accelerator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_runs_count_more_and_never_wholly() {
        let factor = |runs| {
            let accelerator = "h100-sxm5-80gb".to_owned();
            ObservedSpeed { accelerator, framework: Framework::ALL[0], speed: 0.8, runs }.factor()
        };
        assert!(factor(1) > factor(4) && factor(4) > factor(1000) && factor(1000) > 0.8);
        assert!((factor(1) - 0.8f64.powf(0.375)).abs() < 1e-12);
    }
}
