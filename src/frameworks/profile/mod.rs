//! What a framework does, as facts: one [`Profile`] a framework, in the framework's own folder.
//!
//! The estimate, the advice and the lints read these facts and name no framework. A fact is a value, or an enumeration
//! whose meaning is written where it is used. Nothing has a default: a new framework compiles once every fact is
//! answered. [`defaults`] are what a job may change, [`memory`] and [`kernels`] what it runs, [`widths`] the bytes of its
//! states, [`versions`] the versions that a fact holds of. [`unknown`] is a job that names no framework.

pub mod defaults;
pub mod kernels;
pub mod memory;
pub mod unknown;
pub mod versions;
pub mod widths;

use crate::job::Framework;

use super::{
    colossalai, deepspeed, fsdp, hugging_face, internevo, litgpt, llm_foundry, maxtext, megatron_core,
    megatron_deepspeed, nanotron, torchtitan, torchtune,
};
use defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use kernels::Kernels;
use memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use widths::StateWidths;

/// What a framework does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// The name that data files have of it.
    pub name: &'static str,
    /// The name that the time model's coefficients have of it on accelerators before Hopper, where that was an earlier
    /// framework.
    pub earlier_name: Option<&'static str>,
    /// Bytes of its states.
    pub widths: StateWidths,
    /// The format of the weights that are trained.
    pub weights: TrainedWeights,
    /// Whether a model runs under PyTorch's autocast where a format is asked for and parameters are not divided.
    pub autocast: bool,
    /// What the data-parallel ranks divide.
    pub sharding: ShardingDefaults,
    /// The cross-entropy.
    pub loss: UsualLoss,
    /// What is computed again.
    pub recompute: UsualRecompute,
    /// Batches and the lengths of their samples.
    pub batches: Batches,
    /// How tokens reach their experts, and how experts are kept.
    pub experts: Experts,
    /// Fine-tuning.
    pub fine_tuning: FineTuning,
    /// The versions that hold the least and the most, where one that is not stated is open.
    pub open_versions: Option<Ends<&'static str>>,
    /// What a job that does not fit is changed to.
    pub remedies: Remedies,
    /// Which way activations are counted.
    pub layers: Layers,
    /// Gradients between the backward pass and the step.
    pub gradients: Gradients,
    /// The optimizer's step.
    pub optimizer: OptimizerStep,
    /// How it uses FSDP.
    pub fsdp: Fsdp,
    /// What pipeline stages send and keep.
    pub pipeline: Pipeline,
    /// The kernels that it runs.
    pub kernels: Kernels,
}

/// The profile of the framework that a job names, or of a job that names none.
pub fn profile(framework: Option<Framework>) -> &'static Profile {
    match framework {
        None => &unknown::PROFILE,
        Some(Framework::Megatron) => &megatron_core::profile::PROFILE,
        Some(Framework::DeepSpeed) => &deepspeed::profile::PROFILE,
        Some(Framework::MegatronDeepSpeed) => &megatron_deepspeed::PROFILE,
        Some(Framework::FSDP) => &fsdp::PROFILE,
        Some(Framework::Torchtitan) => &torchtitan::profile::PROFILE,
        Some(Framework::HuggingFace) => &hugging_face::profile::PROFILE,
        Some(Framework::Torchtune) => &torchtune::profile::PROFILE,
        Some(Framework::LitGPT) => &litgpt::profile::PROFILE,
        Some(Framework::Nanotron) => &nanotron::profile::PROFILE,
        Some(Framework::LLMFoundry) => &llm_foundry::profile::PROFILE,
        Some(Framework::InternEvo) => &internevo::PROFILE,
        Some(Framework::ColossalAI) => &colossalai::profile::PROFILE,
        Some(Framework::MaxText) => &maxtext::profile::PROFILE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_name_of_its_framework() {
        for framework in Framework::ALL {
            assert_eq!(profile(Some(*framework)).name, framework.name());
        }
        assert!(Framework::ALL.iter().all(|framework| framework.name() != profile(None).name));
    }

    #[test]
    fn an_open_sharding_lies_between_two_that_differ() {
        for framework in Framework::ALL {
            let sharding = profile(Some(*framework)).sharding;
            assert!(sharding.open.is_none_or(|ends| ends.lean != ends.heavy), "{framework}");
            assert!(sharding.next.iter().all(|(from, next)| !next.contains(from)), "{framework}");
        }
    }
}
