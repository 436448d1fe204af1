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
    seconds.set(Term::Optimizer, kernels::optimizer_bytes(plan) * trained / shards / machine.memory);
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

/// Parameters gathered and gradients scattered, or gradients summed.
fn communicate(rank: &Rank<'_>, machine: &Machine<'_>, width: f64, seconds: &mut Seconds) {
    let stride = rank.plan.tensor.max(1);
    let trained = rank.trained * rank.parameters;
    let others = |ranks: u64| (ranks - 1) as f64 / ranks as f64;
    if rank.gathers && rank.group > 1 {
        let bytes = 2.0 * rank.parameters * width * others(rank.group) + 4.0 * trained;
        let (near, far) = machine.links.near_and_far(bytes, rank.group, stride);
        let (to_near, to_far) = if rank.plan.pipeline > 1 {
            (Term::GradientsNear, Term::GradientsFar)
        } else {
            (Term::ShardsNear, Term::ShardsFar)
        };
        seconds.set(to_near, near);
        seconds.set(to_far, far);
    } else if rank.replicas > 1 {
        let bytes = 6.0 * trained * others(rank.replicas);
        let (near, far) = machine.links.near_and_far(bytes, rank.replicas, stride);
        seconds.set(Term::GradientsNear, near);
        seconds.set(Term::GradientsFar, far);
    }
}

#[cfg(test)]
mod tests {
    use super::FOUR_BITS;

    #[test]
    fn a_four_bit_parameter_has_a_share_of_a_scale() {
        // torchao quantizes the scales again: 1/64 + 4/(64·256) bytes. bitsandbytes has four bytes for 64 parameters.
        let (least, most) = (0.5 + 1.0 / 64.0 + 4.0 / (64.0 * 256.0), 0.5 + 4.0 / 64.0);
        assert!((least..=most).contains(&FOUR_BITS));
    }
}
