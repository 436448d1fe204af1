//! The work on parameters, gradients and optimizer states.
//!
//! ```text
//! shards          2·w·N (gathered twice) + 4·N (gradients scattered)       near and far, each microbatch; once a step
//!                                                                          in a pipeline, whose stages keep the parameters
//! accumulation    bytes of the framework · N                               each microbatch, if there are several
//! cast            (stored + computed)·(1 + again + gradient)·N             each microbatch, if those formats differ
//! dequantization  2.5·(passes + again)·N                                   each microbatch, of four-bit weights
//! gradients       6·N (summed)                                             near and far, once a step
//! optimizer       bytes of the framework · N / shards                      once a step
//! offload         3·w·N, 12·N                                              once a step, to the host and back
//! ```
//!
//! `N` parameters of a rank, or only the trained ones for gradients and states; `w` bytes of a gathered parameter.
//! Experts that `e` ranks divide have a copy on one of `e` ranks, so fewer ranks sum their gradients and share their states.
//! Sources: Rajbhandari et al. 2020, arXiv 1910.02054; Zhao et al. 2023, arXiv 2304.11277.

use super::rank::Rank;
use super::{Machine, Seconds, kernels};
use crate::estimate::time::terms::Term;
use crate::job::Sharding;

/// The rate of a host's link, in bytes per second and direction.
const HOST: f64 = 12e9;

/// Bytes of a four-bit parameter, with its scale.
const FOUR_BITS: f64 = 0.55;

/// Sets the terms of parameters, gradients and states.
pub(super) fn count(rank: &Rank<'_>, machine: &Machine<'_>, seconds: &mut Seconds) {
    let plan = rank.plan;
    let width = if rank.quantized { FOUR_BITS } else { 2.0 };
    let trained = rank.trained * rank.parameters;
    communicate(rank, machine, width, seconds);
    let shards = if plan.sharding == Sharding::None { 1.0 } else { rank.group as f64 };
    let divided = |part: &Part| if plan.sharding == Sharding::None { 1.0 } else { part.group as f64 };
    let stepped: f64 = parts(rank).iter().map(|part| part.parameters / divided(part)).sum();
    let bytes = kernels::optimizer_bytes(plan) * rank.trained * stepped;
    seconds.set(Term::Optimizer, bytes / machine.memory);
    if plan.micro_batches > 1 {
        // A sharded gradient is summed after it is scattered.
        let of_shard = if rank.gathers { trained / rank.group as f64 } else { trained };
        seconds.set(Term::Accumulation, kernels::accumulation_bytes(plan) * of_shard / machine.memory);
    }
    let (stored, computed) = (plan.widths.parameter, plan.widths.compute);
    if !rank.gathers && !rank.quantized && stored > computed {
        let gradient = if plan.adapters.is_some() { 0.0 } else { 1.0 };
        let times = 1.0 + rank.again.products + gradient;
        seconds.set(Term::Cast, (stored + computed) * times * rank.parameters / machine.memory);
    }
    if rank.quantized {
        let times = rank.passes + rank.again.products;
        seconds.set(Term::Dequantization, 2.5 * rank.parameters * times / machine.memory);
    }
    let parameters = if plan.offload_parameters { 3.0 * width * rank.parameters / shards } else { 0.0 };
    let states = if plan.offload_optimizer { 12.0 * trained / shards } else { 0.0 };
    seconds.set(Term::Offload, (parameters + states) / HOST);
}

/// Parameters that the same ranks have.
struct Part {
    parameters: f64,
    /// Ranks that have the parameters.
    replicas: u64,
    /// The ranks among them that share states.
    group: u64,
    /// The distance of these ranks.
    stride: u64,
}

/// The routed experts, and all else.
fn parts(rank: &Rank<'_>) -> [Part; 2] {
    let stride = rank.plan.tensor.max(1);
    let (replicas, experts) = (rank.replicas, rank.expert_replicas);
    [
        Part { parameters: rank.parameters - rank.expert_parameters, replicas, group: rank.group, stride },
        Part {
            parameters: rank.expert_parameters,
            replicas: experts,
            group: rank.group.min(experts),
            stride: stride.saturating_mul(rank.plan.expert.max(1)),
        },
    ]
}

/// Parameters gathered and gradients scattered, or gradients summed.
fn communicate(rank: &Rank<'_>, machine: &Machine<'_>, width: f64, seconds: &mut Seconds) {
    let others = |ranks: u64| ranks.saturating_sub(1) as f64 / ranks.max(1) as f64;
    let (mut near, mut far) = (0.0, 0.0);
    for part in parts(rank) {
        let trained = rank.trained * part.parameters;
        let (bytes, ranks) = if rank.gathers && rank.group > 1 {
            (2.0 * part.parameters * width * others(part.group) + 4.0 * trained, part.group)
        } else {
            (6.0 * trained * others(part.replicas), part.replicas)
        };
        if ranks > 1 {
            let (inside, between) = machine.links.near_and_far(bytes, ranks, part.stride);
            near += inside;
            far += between;
        }
    }
    let (to_near, to_far) = if rank.gathers && rank.group > 1 && rank.plan.pipeline <= 1 {
        (Term::ShardsNear, Term::ShardsFar)
    } else {
        (Term::GradientsNear, Term::GradientsFar)
    };
    seconds.set(to_near, near);
    seconds.set(to_far, far);
}

#[cfg(test)]
mod tests {
    use super::{FOUR_BITS, Rank, parts};
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn experts_that_all_ranks_divide_have_no_copy() {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2}, "framework": "Megatron",
            "parallelism": {"expert": 8, "data": 8}, "accelerator": {"count": 8},
        }))
        .unwrap();
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        let rank = Rank::of(&job, &plan);
        let [dense, experts] = parts(&rank);
        assert_eq!((dense.replicas, experts.replicas), (8, 1));
        assert!(experts.parameters > 0.0);
        assert!((dense.parameters + experts.parameters - rank.parameters).abs() < 1.0);
    }

    #[test]
    fn a_four_bit_parameter_has_a_share_of_a_scale() {
        // torchao quantizes the scales again: 1/64 + 4/(64·256) bytes. bitsandbytes has four bytes for 64 parameters.
        let (least, most) = (0.5 + 1.0 / 64.0 + 4.0 / (64.0 * 256.0), 0.5 + 4.0 / 64.0);
        assert!((least..=most).contains(&FOUR_BITS));
    }
}
