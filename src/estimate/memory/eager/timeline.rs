//! What the instants of eager PyTorch are made of.
//!
//! FSDP2's groups are the layers and the root, which owns embedding, final norm and output layer. A group is gathered
//! into one flat buffer and copied out of it; in the forward pass the flat buffer lives until the next group's copy, in
//! the backward pass the next group's flat buffer is filled while a layer runs. Gradients stay unsharded until their
//! group is done, are copied into one buffer of the reduction's format, which lives until the next group is done, and
//! become a shard. Source: `torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py` (2.15); DDP's buckets:
//! `torch/csrc/distributed/c10d/reducer.cpp`.
//!
//! All layers share the rotary sine and cosine. Under adapters recomputation asks for a gradient of the embedding's
//! output, which so becomes a leaf: it and its gradient stay from the step before, in a reference cycle of the
//! checkpoints, until Python collects it.

use super::super::super::plan::{Plan, RankParameters, Stage};
use super::super::super::{schedule, states};
use super::super::layers::head::{HeadRun, head};
use super::super::layers::{LayerRun, Program};
use super::super::{communication, gradients, optimizer, quantization};
use crate::job::{Recompute, Sharding};
use crate::model::{LayerParameters, Parameters};
use crate::units::Bytes;

/// A group of parameters that FSDP gathers and reduces together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    /// The parameters as they are computed with, whole.
    pub(super) gathered: Bytes,
    /// The copy of the gradients that is reduced, whole.
    pub(super) reduced: Bytes,
    /// Gradients as the backward pass leaves them, whole.
    pub(super) gradients: Bytes,
    /// Gradients as they are kept between steps.
    pub(super) kept: Bytes,
}

impl Group {
    /// A group of `parameters`, of which `linear` are quantized where any are, with adapters beside them.
    fn of(plan: &Plan, linear: u64, parameters: u64, adapters: u64, gradients: Bytes) -> Self {
        let widths = plan.widths;
        let sharded = states::divided(plan.sharding).0 && plan.shard_group() > 1;
        let trained = if plan.adapters.is_some() { 0 } else { parameters };
        let frozen = quantization::frozen(plan, linear, parameters.saturating_sub(linear), widths.compute);
        let width = plan.adapters.as_ref().map_or(0, |adapters| adapters.width);
        let adapters = Bytes(adapters.saturating_mul(width));
        let kept = Bytes::of(trained, widths.gradient) + adapters;
        Self {
            gathered: frozen.divisible + adapters,
            reduced: Bytes::of(trained, widths.reduction) + adapters,
            gradients,
            kept: match (sharded, plan.offload_parameters) {
                (true, true) => Bytes::ZERO,
                (true, false) => kept.share(plan.shard_group()),
                (false, _) => kept,
            },
        }
    }
}

/// Layers of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    pub(super) run: LayerRun,
    pub(super) group: Group,
}

/// What the instants of one stage are made of.
pub(super) struct Timeline<'a> {
    pub(super) plan: &'a Plan,
    pub(super) layers: u64,
    /// What other microbatches keep: those under way in a pipeline, and what outlives the one before.
    pub(super) others: Bytes,
    pub(super) dense: Kind,
    pub(super) mixture: Kind,
    pub(super) dense_layers: u64,
    /// The first layer's run, where it differs.
    pub(super) first: LayerRun,
    pub(super) head: HeadRun,
    pub(super) root: Group,
    /// The output layer, where it is a group of its own.
    pub(super) output: Option<Group>,
    /// The gradient of the tokens' embedding; positions follow it.
    pub(super) embedding_gradient: Bytes,
    pub(super) stream: Bytes,
    /// What all layers share.
    pub(super) shared: Bytes,
    pub(super) sharded: bool,
    /// Gradients that are there from earlier microbatches, and DDP's buckets.
    pub(super) standing: Bytes,
    pub(super) buckets: Bytes,
    pub(super) all_gradients: Bytes,
    pub(super) step: Bytes,
}

impl<'a> Timeline<'a> {
    pub(super) fn of(plan: &'a Plan, counted: &Parameters, rank: RankParameters, stage: Stage) -> Self {
        let program = Program::of(plan, stage.dense_layers == 0);
        let adapted = plan.adapters.is_some();
        let layers = stage.layers();
        let run = |mixture: bool, there: bool| {
            if there { Program::of(plan, mixture).run(plan.recompute, true) } else { LayerRun::default() }
        };
        let (dense, mixture) = (run(false, stage.dense_layers > 0), run(true, stage.expert_layers > 0));
        // Under adapters the first layer's input has no gradient, unless recomputation asks for one.
        let first = if adapted && stage.embedding && plan.recompute != Recompute::Full {
            program.run(plan.recompute, false)
        } else if stage.dense_layers > 0 {
            dense
        } else {
            mixture
        };
        let head = if stage.output { head(&program, plan) } else { HeadRun::default() };
        let sharded = states::divided(plan.sharding).0 && plan.shard_group() > 1;
        let t = plan.tensor.max(1);
        let widths = plan.widths;
        let adapter_width = plan.adapters.as_ref().map_or(0, |adapters| adapters.width);
        let group = |parameters, root, adapters, gradients| {
            Group::of(plan, if root { 0 } else { parameters }, parameters, adapters, gradients)
        };
        let expert_ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
        let per_layer = |l: LayerParameters| {
            let dense = l.tensor_sharded.div_ceil(t).saturating_add(l.replicated);
            dense.saturating_add((l.experts.div_ceil(expert_ranks) as f64 * plan.expert_padding()) as u64)
        };
        let adapters_per_layer = rank.adapters.checked_div(layers).unwrap_or(0);
        let embedding = if stage.embedding { counted.embedding.div_ceil(t) } else { 0 };
        let output =
            if stage.output { counted.output.div_ceil(t).saturating_add(counted.final_norm) } else { 0 };
        let matrix = |rows: u64| {
            let rows = if adapted || !stage.embedding { 0 } else { rows };
            Bytes::of(rows.saturating_mul(plan.shape.hidden), program.gradient_width())
        };
        let embedding_gradient = matrix(plan.shape.vocab.div_ceil(t));
        let position_gradient = matrix(plan.shape.learned_positions);
        let tied = plan.shape.tied && stage.embedding && stage.output;
        let root_gradients =
            head.gradients + position_gradient + if tied { Bytes::ZERO } else { embedding_gradient };
        let stream =
            Bytes(plan.tokens().saturating_mul(plan.shape.hidden).saturating_mul(program.formats.parameter));
        let all_gradients = gradients::gradients(plan, rank);
        let trained = if adapted {
            Bytes(rank.adapters.saturating_mul(adapter_width))
        } else {
            Bytes::of(rank.dense.saturating_add(rank.experts), widths.gradient)
        };
        let ranks = plan.data.saturating_mul(plan.context);
        let others = schedule::live_layers(plan, stage) - layers as f64;
        let heaviest = dense.kept.max(mixture.kept);
        // The microbatch before was of typical length.
        let before = plan.typical_sequence as f64 / plan.sequence.max(1) as f64;
        let outliving = (dense.outliving * layers).scale(before.min(1.0));
        Self {
            plan,
            layers,
            others: heaviest.scale(others.max(0.0)) + outliving,
            dense: Kind {
                run: dense,
                group: group(per_layer(counted.dense_layer), false, adapters_per_layer, dense.gradients),
            },
            mixture: Kind {
                run: mixture,
                group: group(per_layer(counted.expert_layer), false, adapters_per_layer, mixture.gradients),
            },
            dense_layers: stage.dense_layers,
            first,
            head,
            root: group(embedding.saturating_add(output), true, 0, root_gradients),
            output: plan.profile.fsdp.wraps_output.then(|| group(output, true, 0, head.gradients)),
            embedding_gradient,
            stream,
            shared: program.shared()
                + if adapted && plan.recompute == Recompute::Full { stream * 2 } else { Bytes::ZERO },
            sharded,
            standing: standing(plan, rank, all_gradients, sharded),
            buckets: match plan.sharding {
                Sharding::None if ranks > 1 => trained,
                Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3 => {
                    communication::reduce_buckets(plan, rank)
                }
                _ => Bytes::ZERO,
            },
            all_gradients,
            step: optimizer::optimizer_step(plan, rank),
        }
    }

    /// The kind of layer `i`: those without experts come first.
    pub(super) fn kind(&self, i: u64) -> Kind {
        if i < self.dense_layers { self.dense } else { self.mixture }
    }

    /// A sum over the layers `from..to`.
    pub(super) fn sum(&self, from: u64, to: u64, of: impl Fn(Kind) -> Bytes) -> Bytes {
        let (from, to) = (from.min(to), to.min(self.layers));
        let dense = to.min(self.dense_layers).saturating_sub(from);
        let mixture = to.saturating_sub(from.max(self.dense_layers));
        of(self.dense) * dense + of(self.mixture) * mixture
    }

    /// What layers `0..count` keep.
    pub(super) fn kept(&self, count: u64) -> Bytes {
        // Only the last layers' activations are still on the device when all are on their way to the host.
        let count = if self.plan.offload_activations { count.min(2) } else { count };
        let first = if count > 0 { self.first.kept } else { Bytes::ZERO };
        self.others + self.shared + first + self.sum(1, count, |kind| kind.run.kept)
    }

    /// Gradients of the layers from `from` to the last, which are done, and of the head.
    pub(super) fn done(&self, from: u64) -> Bytes {
        if self.plan.step_in_backward {
            return Bytes::ZERO;
        }
        if self.standing > Bytes::ZERO {
            return self.standing;
        }
        let sharded = self.sharded;
        let kept = |kind: Kind| if sharded { kind.group.kept } else { kind.group.gradients };
        self.sum(from, self.layers, kept) + self.head_kept()
    }

    /// What is left of the head's gradients: where the output layer is a group of its own, they are reduced at once.
    pub(super) fn head_kept(&self) -> Bytes {
        self.output.filter(|_| self.sharded).map_or(self.head.gradients, |output| output.kept)
    }

    /// Of the root what is reduced at once: half of it, where the output layer is a group of its own.
    pub(super) fn apart(&self, root: Bytes) -> Bytes {
        if self.output.is_some() { root.share(2) } else { root }
    }

    /// A group's whole gradients, unless they are among those of earlier microbatches.
    pub(super) fn unreduced(&self, gradients: Bytes) -> Bytes {
        if self.plan.accumulates_whole() { Bytes::ZERO } else { gradients }
    }

    /// Parameters that are gathered while layer `i` is in use, the root's included.
    pub(super) fn gathered(&self, i: u64) -> Bytes {
        if !self.sharded {
            return Bytes::ZERO;
        }
        let from = if self.plan.reshard_after_forward { i } else { 0 };
        self.root_kept() + self.sum(from, i.saturating_add(1), |kind| kind.group.gathered)
    }

    /// What stays gathered of the root while layers are in use.
    pub(super) fn root_kept(&self) -> Bytes {
        if self.output.is_some() { Bytes::ZERO } else { self.root.gathered }
    }

    /// What is gathered of the root at the loss.
    pub(super) fn root_at_loss(&self) -> Bytes {
        self.output.map_or(self.root.gathered, |output| output.gathered)
    }

    /// The next layer's all-gather, while layer `i` runs backwards.
    pub(super) fn in_flight(&self, i: u64) -> Bytes {
        let flies = self.sharded && self.plan.reshard_after_forward && i > 0;
        if flies { self.kind(i - 1).group.gathered } else { Bytes::ZERO }
    }

    /// The copy of the gradients of the layer after `i` that is still being reduced.
    pub(super) fn reducing(&self, i: u64) -> Bytes {
        if self.sharded && i + 1 < self.layers { self.kind(i + 1).group.reduced } else { Bytes::ZERO }
    }
}

/// Gradients that earlier microbatches have left: whole ones, in the format that they are reduced in, where their
/// reduction is put off.
fn standing(plan: &Plan, rank: RankParameters, kept: Bytes, sharded: bool) -> Bytes {
    if plan.micro_batches <= 1 || plan.step_in_backward {
        return Bytes::ZERO;
    }
    if !sharded || !plan.accumulates_whole() {
        return kept;
    }
    match &plan.adapters {
        Some(adapters) if !plan.profile.fsdp.flattens_frozen => {
            Bytes(rank.adapters.saturating_mul(adapters.width))
        }
        _ => {
            let width = plan.widths.compute.max(plan.widths.reduction);
            Bytes::of(rank.dense.saturating_add(rank.experts), width)
        }
    }
}
