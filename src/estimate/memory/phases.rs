//! Training and generation on one device: two peaks, of which the job needs the higher.
//!
//! ```text
//! engine        share × memory of the device                  while it is awake
//! training      the training step                             + engine, if it is always awake
//! generation    held + engine + context and libraries         by an engine
//!               held + gathered + cache + context             by the trained model itself
//! held          weights + optimizer states + other models     unless they are on the host then
//! gathered      P × width of the computation                  under ZeRO 3 and FSDP
//! cache         4 · κ · L · s · b · m
//! ```
//!
//! κ: width of the keys; L: layers; s: tokens of a sequence; b·m: the sequences that a rank generates for a step, all at
//! once. The engine reserves its share when it starts, and fills what its weights leave with the cache of keys and values.
//! So the share, not the model, decides. Sources: vLLM's `gpu_memory_utilization` (`vllm/v1/worker/gpu_worker.py`,
//! `determine_available_memory`) and its sleep mode; TRL 0.24, `vllm_mode`, `vllm_enable_sleep_mode` and
//! `ds3_gather_for_generation`; verl 0.5, `free_cache_engine`.

use super::super::plan::{Plan, RankParameters, Rollout};
use super::super::states;
use super::Peak;
use crate::judgement::Component;
use crate::units::Bytes;

/// The peak of both phases, if the devices that train also generate. `held` are weights, states and other models.
pub(super) fn with_generation(
    plan: &Plan,
    rank: RankParameters,
    mut training: Peak,
    held: Bytes,
    runtime: Bytes,
) -> Peak {
    let part = |name, bytes| Component { name, bytes };
    let (alone, own) = match (plan.rollout, plan.accelerator_memory) {
        (Some(Rollout::Engine { share, awake, alone }), Some(memory)) => {
            let engine = part("rollout engine", memory.scale(share));
            if awake {
                training.process += engine.bytes;
                training.needed += engine.bytes;
                training.estimated += engine.bytes;
                training.components.push(engine.clone());
            }
            (alone, vec![engine])
        }
        (Some(Rollout::Trained), _) => (
            false,
            vec![part("gathered weights", gathered(plan, rank)), part("key-value cache", cache(plan))],
        ),
        _ => return training,
    };
    let held = if alone { Bytes::ZERO } else { held };
    let generation = held + own.iter().map(|part| part.bytes).sum() + runtime;
    training.phases = vec![part("training", training.needed), part("generation", generation)];
    // The engine takes what it is told, and its cache fills the rest of its share.
    let is_stated = matches!(plan.rollout, Some(Rollout::Engine { .. }));
    training.stated = if is_stated { generation } else { Bytes::ZERO };
    training.estimated = if is_stated { training.needed } else { training.needed.max(generation) };
    if generation <= training.needed {
        return training;
    }
    let mut components = training.components;
    components.retain(|part| !alone && super::is_held(part.name) || part.name == "context and libraries");
    components.extend(own.into_iter().filter(|part| part.bytes > Bytes::ZERO));
    Peak {
        allocated: held,
        reserved: held,
        process: generation,
        needed: generation,
        estimated: training.estimated,
        stated: training.stated,
        stage: training.stage,
        instant: "generation",
        components,
        phases: training.phases,
    }
}

/// The whole weights, if ranks divide them: every rank generates with a copy.
fn gathered(plan: &Plan, rank: RankParameters) -> Bytes {
    let divided = states::divided(plan.sharding).0 && plan.shard_group() > 1;
    let all = rank.dense.saturating_add(rank.experts);
    if divided { Bytes::of(all, plan.widths.compute) } else { Bytes::ZERO }
}

/// The cache of keys and values.
fn cache(plan: &Plan) -> Bytes {
    let tokens = plan.sequence.saturating_mul(plan.micro_batch).saturating_mul(plan.micro_batches);
    let layers = plan.shape.layers.div_ceil(plan.pipeline.max(1));
    let width = plan.shape.key_width().div_ceil(plan.tensor.max(1)).saturating_mul(layers);
    Bytes(tokens.saturating_mul(width)) * 4
}
