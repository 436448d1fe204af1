//! DeepSpeed's ZeRO around PyTorch's modules: gradients, buckets, gathered parameters, and the step.
//!
//! `P` trained parameters on the rank, `N` ranks that divide them, `c` bytes per number of the computation, `S = P/N`, under
//! ZeRO 3 at most 1e9:
//!
//! ```text
//! gradients   ZeRO 1   2·P                   each in its parameter
//!             ZeRO 2   2·P/N, and 2·P/N of earlier microbatches if there are any
//!             ZeRO 3   2·P/N always
//! bucket      2·B      in the backward pass; under ZeRO 3 always. B = 5e8 numbers for every size of model
//! copy        ZeRO 3   of the gradients that are reduced: 2·B, or one larger matrix
//! gathered    ZeRO 3   c·(layer + largest matrix); at the loss c·(head + layers whose next use is within 1e9 numbers)
//! step        6·S      the gradients of the rank in one tensor, and this tensor in fp32, before the gradients are freed
//!             4·S + the temporaries of PyTorch's AdamW, if that is more: 4·S over lists of tensors, 8·S one by one
//! ```
//!
//! Every gradient is reduced as soon as the backward pass has made it, also in the microbatches before the last. The sum of
//! a tied matrix's two gradients waits for the embedding. Offloaded optimizers keep gradients on the host and step there.
//! Transformers' Trainer fills `auto` in: under ZeRO 3 `B` is the square of the hidden size.
//! Source: DeepSpeed's `runtime/zero/stage3.py` (`_setup_for_real_optimizer`, `_prepare_fp32_grad_for_sub_group`,
//! `__avg_scatter_grads`), `stage_1_and_2.py` (`setup_buckets`, `copy_grads_in_partition`, `step`),
//! `partitioned_param_coordinator.py` (`__params_to_release`) and `config.py` (0.19.6); Transformers'
//! `integrations/deepspeed.py` (5.24).

use super::super::plan::{Plan, RankParameters};
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::frameworks::profile::widths::Widths;
use crate::job::{Optimizer, OptimizerImplementation, Sharding};
use crate::units::Bytes;

/// Numbers in a bucket of gradients.
const BUCKET: u64 = 500_000_000;
/// Numbers that the step of ZeRO 3 updates at once.
const SUB_GROUP: u64 = 1_000_000_000;
/// A parameter stays gathered if it is used again before so many numbers are.
const REUSED_WITHIN: u64 = 1_000_000_000;

/// Whether `DeepSpeed` divides the states, under a training loop whose instants are known.
pub(super) fn divides(plan: &Plan) -> bool {
    matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer | Loop::Own, .. })
        && matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3)
}

/// Whether the engine's own gathering is counted. Frozen parameters count as FSDP 2's: published runs with adapters under
/// ZeRO 3 hold more than the engine's code gathers (Qwen's README, six runs of 72B on four GPUs: 1 to 9 GiB).
pub(super) fn gathers(plan: &Plan) -> bool {
    divides(plan) && (plan.sharding != Sharding::ZeRO3 || plan.adapters.is_none())
}

/// Whether a gradient leaves its layer as soon as it is made.
pub(super) fn reduces_at_once(plan: &Plan) -> bool {
    divides(plan) && plan.sharding != Sharding::ZeRO1
}

/// The gradients of all trained parameters.
fn whole(plan: &Plan, rank: RankParameters) -> Bytes {
    let width = |widths: Widths| if widths.gradient > 0.0 { widths.gradient } else { widths.compute };
    if let Some(adapters) = &plan.adapters {
        return Bytes(rank.adapters.saturating_mul(adapters.width))
            + rank.state_beside(plan, adapters, 1, width);
    }
    Bytes::of(rank.dense.saturating_add(rank.experts), width(plan.widths))
}

/// The gradients of one microbatch on a rank.
pub(super) fn gradients(plan: &Plan, rank: RankParameters) -> Bytes {
    let whole = whole(plan, rank);
    match plan.sharding {
        Sharding::ZeRO1 => whole,
        _ if plan.offload_optimizer => Bytes::ZERO,
        _ => whole.share(plan.shard_group()),
    }
}

/// The gradients of earlier microbatches that exist before the backward pass. ZeRO 3 has their buffer from the beginning.
pub(super) fn earlier_gradients(plan: &Plan, rank: RankParameters) -> Bytes {
    if plan.micro_batches > 1 || plan.sharding == Sharding::ZeRO3 {
        gradients(plan, rank)
    } else {
        Bytes::ZERO
    }
}

/// All gradients in the backward pass of the last microbatch.
pub(super) fn gradients_in_backward(plan: &Plan, rank: RankParameters) -> Bytes {
    let buffers = if plan.sharding == Sharding::ZeRO2 && plan.micro_batches > 1 { 2 } else { 1 };
    gradients(plan, rank) * buffers
}

/// Numbers in a bucket.
fn bucket(plan: &Plan) -> u64 {
    let trainer = matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer, .. });
    let hidden = plan.shape.hidden;
    if trainer && plan.sharding == Sharding::ZeRO3 { hidden.saturating_mul(hidden) } else { BUCKET }
}

/// The buffers of a rank, by the part of the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Zero {
    /// Whether parameters are divided.
    pub(super) divides_parameters: bool,
    /// The bucket that is always there.
    pub(super) resident: Bytes,
    /// The bucket in the backward pass.
    pub(super) bucket: Bytes,
    /// The copy that is reduced in the backward pass of a layer.
    pub(super) copy: Bytes,
    /// The next matrix, gathered while a layer is in use.
    pub(super) next: Bytes,
    /// The parameters gathered at the loss.
    pub(super) at_loss: Bytes,
    /// The largest part of the layers that stays gathered after the forward pass.
    pub(super) reused: Bytes,
    /// The embedding, gathered.
    pub(super) embedding: Bytes,
}

impl Zero {
    /// The buffers of a rank that holds `layers` parameters in its layers, the largest matrix of `matrix` numbers, and the
    /// output layer of `head` numbers.
    pub(super) fn of(plan: &Plan, layers: u64, matrix: u64, embedding: u64, head: u64) -> Option<Self> {
        if !gathers(plan) {
            return None;
        }
        let size = Bytes(bucket(plan).saturating_mul(2));
        if plan.sharding != Sharding::ZeRO3 {
            return Some(Self { bucket: size, ..Self::default() });
        }
        let gathered = |numbers: u64| Bytes::of(numbers, plan.widths.compute);
        let whole = plan.shard_group() <= 1;
        let reused = (REUSED_WITHIN.saturating_sub(head.saturating_mul(2)) / 2).min(layers);
        let or_none = |bytes: Bytes| if whole && !plan.offload_parameters { Bytes::ZERO } else { bytes };
        Some(Self {
            divides_parameters: true,
            resident: size,
            bucket: size,
            copy: size.max(Bytes(matrix.saturating_mul(2))),
            next: or_none(gathered(matrix)),
            at_loss: or_none(gathered(head) + gathered(reused)),
            reused: or_none(gathered(reused)),
            embedding: or_none(gathered(embedding)),
        })
    }

    /// The parameters gathered in the pass of a layer of this size.
    pub(super) fn gathered(&self, layer: Bytes) -> Bytes {
        if self.next == Bytes::ZERO { Bytes::ZERO } else { layer.max(self.reused) + self.next }
    }
}

/// The workspace of the step, besides the gradients.
pub(super) fn step(plan: &Plan, rank: RankParameters) -> Bytes {
    if plan.offload_optimizer {
        return Bytes::ZERO;
    }
    // The step of adapters counts as nothing.
    let trained = match &plan.adapters {
        Some(_) => rank.whole.saturating_add(rank.saved),
        None => rank.dense.saturating_add(rank.experts),
    };
    let own = trained.div_ceil(plan.shard_group());
    let at_once = if plan.sharding == Sharding::ZeRO3 { own.min(SUB_GROUP) } else { own };
    let pytorchs = matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer, .. })
        && plan.optimizer == Optimizer::AdamW;
    let temporary = match plan.implementation {
        _ if !pytorchs => 0,
        OptimizerImplementation::Fused => 0,
        OptimizerImplementation::Foreach => 4,
        OptimizerImplementation::ForLoop => 8,
    };
    // While PyTorch steps, ZeRO 1 and 2 have freed the narrow gradients.
    let freed = if plan.sharding == Sharding::ZeRO3 { 0 } else { 2 };
    Bytes(at_once.saturating_mul(6u64.max(4 + temporary - freed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    const P: u64 = 4_000_000_000;
    const RANK: RankParameters =
        RankParameters { dense: P, experts: 0, linear: 0, adapters: 0, frozen_towers: 0, whole: 0, saved: 0 };

    fn plan(sharding: &str, steps: u32, offload: bool) -> Plan {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 4096}, "framework": "HuggingFace", "precision": "BF16",
            "parallelism": {"data": 2, "sharding": sharding}, "offload": {"optimizer": offload},
            "optimizerImplementation": "Fused",
            "batch": {"microBatchSize": 1, "globalBatchSize": 2 * steps, "sequenceLength": 64},
        }))
        .unwrap();
        assume(&job, Device { bf16: true }).unwrap().likely
    }

    /// The gradients of earlier microbatches, and all in the last backward pass, in bytes per parameter.
    fn held(sharding: &str, steps: u32, offload: bool) -> (u64, u64) {
        let plan = plan(sharding, steps, offload);
        (earlier_gradients(&plan, RANK).0 / P, gradients_in_backward(&plan, RANK).0 / P)
    }

    #[test]
    fn ranks_hold_their_share_of_gradients_and_zero_2_holds_it_twice_over_several_microbatches() {
        assert_eq!(held("ZeRO1", 1, false), (0, 2));
        assert_eq!(held("ZeRO1", 2, false), (2, 2));
        assert_eq!(held("ZeRO2", 1, false), (0, 1));
        assert_eq!(held("ZeRO2", 2, false), (1, 2));
        assert_eq!(held("ZeRO3", 1, false), (1, 1));
        assert_eq!(held("ZeRO3", 2, false), (1, 1));
    }

    #[test]
    fn an_offloaded_optimizer_keeps_gradients_on_the_host() {
        assert_eq!(held("ZeRO2", 2, true), (0, 0));
        assert_eq!(held("ZeRO3", 2, true), (0, 0));
        assert_eq!(step(&plan("ZeRO3", 1, true), RANK), Bytes::ZERO);
    }

    #[test]
    fn zero_3_steps_in_groups_and_the_others_at_once() {
        let step = |sharding: &str| step(&plan(sharding, 1, false), RANK).0;
        // Half of 4e9 parameters belong to a rank.
        assert_eq!(
            [step("ZeRO1"), step("ZeRO2"), step("ZeRO3")],
            [12_000_000_000, 12_000_000_000, 6_000_000_000]
        );
    }

    #[test]
    fn the_trainer_makes_the_buckets_of_zero_3_as_large_as_a_square_matrix() {
        let bucket = |sharding: &str| bucket(&plan(sharding, 1, false));
        assert_eq!([bucket("ZeRO3"), bucket("ZeRO2")], [4096 * 4096, 500_000_000]);
    }

    #[test]
    fn layers_stay_gathered_if_they_are_used_again_soon() {
        let plan = plan("ZeRO3", 1, false);
        let reused = |head: u64| Zero::of(&plan, P, 1, 0, head).unwrap().reused.0 / 2;
        assert_eq!([reused(0), reused(131_000_000), reused(545_000_000)], [500_000_000, 369_000_000, 0]);
    }
}
