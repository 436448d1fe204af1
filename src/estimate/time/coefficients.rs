//! The fitted coefficients. They are in `data/time.toml`, each with its origin.
//!
//! ```text
//! efficiency     = (of the generation) · exp(the accelerator's own)      relative to the sustained rates of kernels
//! ln tokens/s    = ln(tokens of a step / its seconds) + (the framework's own)
//! ```
//!
//! An accelerator or a framework without measurements has no coefficient of its own. A generation without measurements
//! reaches the rates of its kernels.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::generation::{Generation, Sustained};
use super::terms::{Term, Terms};
use crate::frameworks::profile;
use crate::hardware::Accelerator;
use crate::job::Framework;

/// All coefficients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficients {
    generation: Vec<Generation>,
    sustained: Vec<Sustained>,
    #[serde(rename = "terms", deserialize_with = "terms")]
    /// One per term.
    pub terms: Terms,
    /// The rate of matrix products in training, relative to that of measured kernels, by generation.
    pub efficiency: BTreeMap<String, f64>,
    /// An accelerator's own coefficient, as a logarithm.
    pub accelerators: BTreeMap<String, f64>,
    /// A framework's own coefficient, as a logarithm.
    pub frameworks: BTreeMap<String, f64>,
    /// The spread of the measurements.
    pub spread: Spread,
    /// The coefficients for a planner's question.
    pub planner: Planner,
}

/// Standard deviations of ln(measured / predicted), from sources that the coefficients were not fitted on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// A dense model with a stated layout and batch, where its class has too few rows.
    pub dense: f64,
    /// The same for a model with experts.
    pub experts: f64,
    /// By class: see [`Known::class`].
    pub classes: BTreeMap<String, f64>,
    /// The part of an unstated layout, batch or sequence, added in quadrature.
    pub open: f64,
    /// The same for a model with experts: also how they are divided.
    pub open_experts: f64,
    /// The part of an accelerator without measurements, of a generation with some.
    pub accelerator: f64,
    /// The part of a generation without measurements.
    pub generation: f64,
    /// The part of a framework that is unstated or has no measurements.
    pub framework: f64,
    /// The relative half-width around a utilization that the user gives.
    pub given: f64,
}

/// The facts about a job on which the spread of its prediction depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// The framework, if it has measurements.
    pub framework: Option<&'a str>,
    /// Whether the accelerator has measurements.
    pub accelerator: bool,
    /// Whether its generation has some.
    pub generation: bool,
    /// Whether layout, microbatch, batch and sequence are stated.
    pub layout: bool,
    /// Whether there are experts.
    pub experts: bool,
    /// Whether the accelerators are on several nodes.
    pub several_nodes: bool,
}

impl Known<'_> {
    /// The class of evidence: the framework, one node or several, dense or with experts.
    pub fn class(&self) -> Option<String> {
        let nodes = if self.several_nodes { "several" } else { "one" };
        let kind = if self.experts { "experts" } else { "dense" };
        Some(format!("{}-{nodes}-{kind}", self.framework?))
    }
}

impl Spread {
    /// The standard deviation of a prediction.
    pub fn of(&self, known: Known<'_>) -> f64 {
        let (usual, open) =
            if known.experts { (self.experts, self.open_experts) } else { (self.dense, self.open) };
        let own = known.class().and_then(|class| self.classes.get(&class)).copied();
        let base = own.unwrap_or(usual);
        let part = |missing: bool, part: f64| if missing { part * part } else { 0.0 };
        let parts = base * base
            + part(!known.layout, open)
            + part(!known.accelerator && known.generation, self.accelerator)
            + part(!known.generation, self.generation)
            + part(known.framework.is_none(), self.framework);
        parts.sqrt()
    }
}

/// For a planner who gives only model, tokens and accelerators.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planner {
    /// ln(published / one accelerator's utilization) of a dense model, before Hopper.
    pub level: f64,
    /// Added for accelerators since Hopper.
    pub later: f64,
    /// Added for experts.
    pub experts: f64,
    /// The standard deviation.
    pub spread: f64,
}

fn terms<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Terms, D::Error> {
    let mut named = BTreeMap::<String, f64>::deserialize(deserializer)?;
    let mut terms = [1.0; super::terms::COUNT];
    for (slot, term) in terms.iter_mut().zip(Term::ALL) {
        let missing = || serde::de::Error::custom(format!("{} is missing", term.name()));
        *slot = named.remove(term.name()).ok_or_else(missing)?;
    }
    match named.keys().next() {
        Some(unknown) => Err(serde::de::Error::custom(format!("{unknown} is no term"))),
        None => Ok(terms),
    }
}

impl Coefficients {
    /// The compiled-in coefficients.
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Coefficients> = LazyLock::new(|| {
            toml::from_str(include_str!("../../../data/time.toml")).expect("data/time.toml is valid")
        });
        &BUILTIN
    }

    /// The generation of an accelerator. The last one is for all others.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the file is compiled in, and a test reads it"
    )]
    pub fn generation(&self, accelerator: &Accelerator) -> &Generation {
        let of = self.generation.iter().find(|generation| generation.has(&accelerator.key));
        of.or(self.generation.last()).expect("data/time.toml lists generations")
    }

    /// The generations, in the file's order.
    pub fn generations(&self) -> &[Generation] {
        &self.generation
    }

    /// The shares of the peaks that an accelerator's matrix products reach for as long as training lasts.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the file is compiled in, and a test reads it"
    )]
    pub fn sustained(&self, accelerator: &Accelerator) -> &Sustained {
        let of = self.sustained.iter().find(|sustained| sustained.has(&accelerator.key));
        of.or(self.sustained.last()).expect("data/time.toml lists sustained rates")
    }

    /// Whether accelerators of a generation have measurements.
    pub fn has_measured(&self, generation: &Generation) -> bool {
        self.accelerators.keys().any(|key| generation.has(key))
    }

    /// The rate of an accelerator's matrix products in training, relative to that of measured kernels.
    pub fn efficiency(&self, accelerator: &Accelerator) -> f64 {
        let generation = self.generation(accelerator);
        let usual = self.efficiency.get(&generation.name).copied().unwrap_or(1.0);
        usual * self.accelerators.get(&accelerator.key).copied().unwrap_or(0.0).exp()
    }
}

/// The framework's name in the coefficients, for a generation of accelerators.
pub fn framework_name(framework: Framework, generation: &Generation) -> String {
    let profile = profile(Some(framework));
    let earlier = profile.earlier_name.filter(|_| generation.early);
    earlier.unwrap_or(profile.name).to_owned()
}
