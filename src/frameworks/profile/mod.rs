//! The facts about a framework: one [`Profile`] per framework, in its own folder.
//!
//! The estimate, the advice and the lints read these facts and never name a framework. A fact is a value, or an
//! enumeration whose users define its meaning. No fact has a default, so a new framework compiles only when all facts
//! are given. [`defaults`] are the values that a job may change, [`memory`], [`kernels`] and [`host`] the framework's
//! behaviour, [`widths`] the bytes of its states, [`versions`] the versions for which a fact holds. [`unknown`] is a job
//! that names no framework.

pub mod defaults;
pub mod host;
pub mod kernels;
pub mod memory;
pub mod unknown;
pub mod versions;
pub mod widths;

use crate::job::Framework;

use super::{
    colossalai, deepspeed, fsdp, hugging_face, internevo, litgpt, llm_foundry, maxtext, megatron_core,
    megatron_deepspeed, nanotron, torchtitan, torchtune, unsloth,
};
use defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use host::Host;
use kernels::Kernels;
use memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use widths::StateWidths;

/// The facts about a framework.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// The framework's name in data files.
    pub name: &'static str,
    /// The name in the time model's coefficients on accelerators before Hopper, if their runs used an earlier
    /// framework.
    pub earlier_name: Option<&'static str>,
    /// Bytes of the states.
    pub widths: StateWidths,
    /// The format of the trained weights.
    pub weights: TrainedWeights,
    /// Whether a model runs under PyTorch's autocast if the job states a format and parameters are not divided.
    pub autocast: bool,
    /// Whether it has tensor and pipeline parallelism.
    pub divides_model: bool,
    /// The states that the data-parallel ranks divide.
    pub sharding: ShardingDefaults,
    /// The cross-entropy.
    pub loss: UsualLoss,
    /// The usual recomputation.
    pub recompute: UsualRecompute,
    /// Batches and the lengths of their samples.
    pub batches: Batches,
    /// The dispatch of tokens to experts, and the experts' tensors.
    pub experts: Experts,
    /// Fine-tuning.
    pub fine_tuning: FineTuning,
    /// The ends of an unstated version, if versions differ in memory.
    pub open_versions: Option<Ends<&'static str>>,
    /// The changes that users make if a job does not fit.
    pub remedies: Remedies,
    /// The layers that run, which decide how activations are counted.
    pub layers: Layers,
    /// Gradients between the backward pass and the step.
    pub gradients: Gradients,
    /// The optimizer's step.
    pub optimizer: OptimizerStep,
    /// The use of FSDP.
    pub fsdp: Fsdp,
    /// The tensors that pipeline stages send and keep.
    pub pipeline: Pipeline,
    /// The use of the host's memory and disks.
    pub host: Host,
    /// The kernels.
    pub kernels: Kernels,
}

/// The profile of the framework that a job names, or of a job without one.
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
        Some(Framework::Unsloth) => &unsloth::PROFILE,
    }
}

/// The profile with this name, if a framework has it.
pub fn named(name: &str) -> Option<&'static Profile> {
    Framework::ALL.iter().map(|framework| profile(Some(*framework))).find(|profile| profile.name == name)
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
    fn an_open_sharding_has_two_different_ends() {
        for framework in Framework::ALL {
            let sharding = profile(Some(*framework)).sharding;
            assert!(sharding.open.is_none_or(|ends| ends.lean != ends.heavy), "{framework}");
            assert!(sharding.next.iter().all(|(from, next)| !next.contains(from)), "{framework}");
        }
    }
}
