//! The terms of the instants of eager PyTorch.
//!
//! FSDP2's groups are the layers and the root. The root owns embedding, final norm and output layer. A group is
//! gathered into one flat buffer and copied out of it. In the forward pass the flat buffer lives until the next group's
//! copy. In the backward pass the next group's flat buffer is filled while a layer runs. Gradients stay unsharded until
//! their group is done. Then they are copied into one buffer in the format of the reduction, and become a shard; the
//! buffer lives until the next group is done. Source: `torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py`
//! (2.15); DDP's buckets: `torch/csrc/distributed/c10d/reducer.cpp`.
//!
//! A reentrant checkpoint makes a leaf of the layer's input. FSDP's first version waits for the gradients of such leaves, to
//! free a layer without trained parameters of its own, and drops its hooks only after the whole backward pass. The hooks
//! hold the leaves with their gradients: two tensors of the residual stream for each layer that is done. Source:
//! `torch/distributed/fsdp/_runtime_utils.py` (`_register_post_backward_reshard_only_hook`, `_finalize_params`);
//! `torch/utils/checkpoint.py` (`CheckpointFunction`). Evidence: fms-acceleration's runs with adapters on two and four
//! ranks hold 3.0 GiB a sequence of 4096 tokens where one rank holds 2.1; two tensors a layer are 1.0 more each.
//!
//! All layers share the rotary sine and cosine. Under adapters, recomputation requires a gradient of the embedding's
//! output, so this output becomes a leaf. The leaf and its gradient stay from the previous step until Python collects
//! the reference cycle of the checkpoints that holds them.

use super::super::super::plan::{Plan, RankParameters, Stage};
use super::super::super::{schedule, states};
use super::super::layers::head::{HeadRun, head};
use super::super::layers::{LayerRun, Program};
use super::super::zero::{self, Zero};
use super::super::{gradients, optimizer, quantization, streams};
use crate::job::{Recompute, Sharding};
use crate::model::{Block, LayerParameters, Parameters};
use crate::units::Bytes;

/// A group of parameters that FSDP gathers and reduces together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    /// The whole parameters, in the format of the computation.
    pub(super) gathered: Bytes,
    /// The whole copy of the gradients that is reduced.
    pub(super) reduced: Bytes,
    /// The whole gradients, as the backward pass leaves them.
    pub(super) gradients: Bytes,
    /// The gradients that stay between steps.
    pub(super) kept: Bytes,
}

impl Group {
    /// A group of `parameters` and adapters. With quantization, `linear` of the parameters are quantized.
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

impl Group {
    /// The group with copies that are trained whole beside adapters.
    fn with_saved(self, plan: &Plan, saved: u64) -> Self {
        let Some(adapters) = &plan.adapters else { return self };
        let of = |width: f64| Bytes::of(saved, width);
        let widths = adapters.saved.widths;
        let sharded = states::divided(plan.sharding).0 && plan.shard_group() > 1;
        let n = if sharded { plan.shard_group() } else { 1 };
        let kept =
            if sharded && plan.offload_parameters { Bytes::ZERO } else { of(widths.gradient).share(n) };
        Self {
            gathered: self.gathered + of(widths.compute),
            reduced: self.reduced + of(widths.reduction),
            kept: self.kept + kept,
            ..self
        }
    }
}

/// Layers of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    pub(super) run: LayerRun,
    pub(super) group: Group,
}

/// The terms of one stage.
pub(super) struct Timeline<'a> {
    pub(super) plan: &'a Plan,
    pub(super) layers: u64,
    /// Activations of other microbatches: those in the pipeline, and the rest of the previous one.
    pub(super) others: Bytes,
    /// The kinds of layers, and the number of the stage's first layer.
    pub(super) kinds: Vec<Kind>,
    pub(super) from: u64,
    /// The first layer's run, which can differ.
    pub(super) first: LayerRun,
    pub(super) head: HeadRun,
    pub(super) root: Group,
    /// The output layer, if it is a separate group.
    pub(super) output: Option<Group>,
    /// The gradient of the token embedding; that of the positions follows it.
    pub(super) embedding_gradient: Bytes,
    /// One tensor of the residual stream.
    pub(super) stream: Bytes,
    /// Tensors that all layers share.
    pub(super) shared: Bytes,
    pub(super) sharded: bool,
    /// Gradients of earlier microbatches.
    pub(super) accumulated: Bytes,
    /// DDP's buckets.
    pub(super) buckets: Bytes,
    /// `DeepSpeed`'s buffers.
    pub(super) zero: Zero,
    /// The gradients in the backward pass, if they do not stay in their layers.
    pub(super) in_buffers: Option<Bytes>,
    /// The gradient of a tied output layer, which waits for that of the embedding.
    pub(super) waiting: Bytes,
    /// Whether the inputs of recomputed layers, and their gradients, stay to the end of the backward pass.
    pub(super) inputs_stay: bool,
    /// The gradients at the step.
    pub(super) all_gradients: Bytes,
    pub(super) step: Bytes,
}

/// The parameters outside the layers, and their gradients.
struct Outer {
    embedding: u64,
    output: u64,
    /// The output layer's parameters, which may be the embedding's.
    head: u64,
    embedding_gradient: Bytes,
    /// The gradients of all of them in the backward pass.
    gradients: Bytes,
    /// Whether the stage has a tied embedding and its output layer.
    tied: bool,
}

impl Outer {
    fn of(plan: &Plan, counted: &Parameters, stage: Stage, program: &Program<'_>, head: HeadRun) -> Self {
        let t = plan.tensor.max(1);
        let embedding = if stage.embedding { counted.embedding.div_ceil(t) } else { 0 };
        let output =
            if stage.output { counted.output.div_ceil(t).saturating_add(counted.final_norm) } else { 0 };
        let saved = plan.adapters.as_ref().map(|adapters| adapters.saved);
        let width = match saved {
            None => program.gradient_width(),
            Some(saved) if saved.modules.embedding => saved.widths.parameter.max(plan.widths.compute),
            Some(_) => 0.0,
        };
        let matrix = |rows: u64| {
            let rows = if stage.embedding { rows } else { 0 };
            Bytes::of(rows.saturating_mul(plan.shape.hidden), width)
        };
        let embedding_gradient = matrix(plan.shape.vocab.div_ceil(t));
        let position_gradient = matrix(plan.shape.learned_positions);
        let tied = plan.ties_gradients() && stage.embedding && stage.output;
        Self {
            embedding,
            output,
            head: if plan.shape.tied { embedding } else { output },
            embedding_gradient,
            gradients: head.gradients
                + position_gradient
                + if tied { Bytes::ZERO } else { embedding_gradient },
            tied,
        }
    }
}

/// The parameters of a layer on one rank.
fn of_layer(plan: &Plan, layer: LayerParameters) -> u64 {
    let expert_ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
    let dense = layer.tensor_sharded.div_ceil(plan.tensor.max(1)).saturating_add(layer.replicated);
    dense.saturating_add((layer.experts.div_ceil(expert_ranks) as f64 * plan.expert_padding()) as u64)
}

/// What stays of the previous microbatch, which had the typical length.
fn outliving(plan: &Plan, layers: u64, runs: &[LayerRun]) -> Bytes {
    let before = plan.typical_sequence as f64 / plan.sequence.max(1) as f64;
    let of_one = runs.first().map_or(Bytes::ZERO, |run| run.outliving);
    (of_one * layers).scale(before.min(1.0))
}

/// The buckets in which ranks that divide nothing reduce their gradients.
fn buckets(plan: &Plan, rank: RankParameters) -> Bytes {
    if plan.sharding != Sharding::None || plan.data.saturating_mul(plan.context) <= 1 {
        return Bytes::ZERO;
    }
    match &plan.adapters {
        Some(adapters) => {
            Bytes(rank.adapters.saturating_mul(adapters.width))
                + rank.state_beside(plan, adapters, 1, |widths| widths.gradient)
        }
        None => Bytes::of(rank.dense.saturating_add(rank.experts), plan.widths.gradient),
    }
}

impl<'a> Timeline<'a> {
    pub(super) fn of(plan: &'a Plan, counted: &Parameters, rank: RankParameters, stage: Stage) -> Self {
        let blocks = &plan.shape.blocks;
        let first_kind = blocks.kind_of(stage.from);
        let program = Program::of(plan, blocks.kinds().get(first_kind).copied().unwrap_or_default());
        let adapted = plan.adapters.is_some();
        let layers = stage.layers();
        let run = |(block, count): (Block, u64)| {
            if count > 0 { Program::of(plan, block).run(plan.recompute, true) } else { LayerRun::default() }
        };
        let runs: Vec<LayerRun> = stage.kinds(&plan.shape).map(run).collect();
        // Under adapters the first layer's input has no gradient, unless recomputation requires one, or what a trained projection made.
        let asks = plan.recompute == Recompute::Full || rank.whole > 0 || rank.saved > 0;
        let first = if adapted && stage.embedding && !asks {
            program.run(plan.recompute, false)
        } else {
            runs.get(first_kind).copied().unwrap_or_default()
        };
        let last_kind = blocks.kind_of(stage.to.saturating_sub(1));
        let last = Program::of(plan, blocks.kinds().get(last_kind).copied().unwrap_or_default());
        let head = if stage.output { head(&last, plan) } else { HeadRun::default() };
        let outer = Outer::of(plan, counted, stage, &program, head);
        let by_zero = zero::divides(plan);
        let sharded = states::divided(plan.sharding).0 && plan.shard_group() > 1 && !zero::gathers(plan);
        let group = |parameters, root, adapters, gradients| {
            Group::of(plan, if root { 0 } else { parameters }, parameters, adapters, gradients)
        };
        let adapters_per_layer = rank.adapters.checked_div(layers).unwrap_or(0);
        let stream =
            Bytes(plan.tokens().saturating_mul(plan.shape.hidden).saturating_mul(program.formats.parameter));
        let all_gradients =
            if by_zero { zero::gradients(plan, rank) } else { gradients::gradients(plan, rank) };
        let others = schedule::live_layers(plan, stage) - layers as f64;
        let heaviest = runs.iter().map(|run| run.kept).max().unwrap_or(Bytes::ZERO);
        let kind = |(run, parameters): (&LayerRun, &LayerParameters)| Kind {
            run: *run,
            group: group(of_layer(plan, *parameters), false, adapters_per_layer, run.gradients),
        };
        Self {
            plan,
            layers,
            others: heaviest.scale(others.max(0.0)) + outliving(plan, layers, &runs),
            kinds: runs.iter().zip(&counted.kinds).map(kind).collect(),
            from: stage.from,
            first,
            head,
            root: group(outer.embedding.saturating_add(outer.output), true, 0, outer.gradients)
                .with_saved(plan, rank.saved),
            output: plan.profile.fsdp.wraps_output.then(|| group(outer.output, true, 0, head.gradients)),
            embedding_gradient: outer.embedding_gradient,
            stream,
            shared: program.shared()
                + if adapted && plan.recompute == Recompute::Full { stream * 2 } else { Bytes::ZERO },
            sharded,
            accumulated: if by_zero {
                zero::earlier_gradients(plan, rank)
            } else {
                accumulated(plan, rank, all_gradients, sharded)
            },
            buckets: buckets(plan, rank),
            zero: Zero::of(plan, rank.linear, largest_matrix(plan), outer.embedding, outer.head)
                .unwrap_or_default(),
            in_buffers: zero::reduces_at_once(plan).then(|| zero::gradients_in_backward(plan, rank)),
            waiting: if outer.tied { head.gradients } else { Bytes::ZERO },
            inputs_stay: adapted
                && plan.recompute == Recompute::Full
                && streams::divides(plan)
                && plan.is_of(plan.profile.fsdp.reentrant),
            all_gradients,
            step: optimizer::optimizer_step(plan, rank),
        }
    }

    /// The kind of the stage's layer `i`.
    pub(super) fn kind(&self, i: u64) -> Kind {
        let kind = self.plan.shape.blocks.kind_of(self.from.saturating_add(i));
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    /// A sum over the stage's layers `from..to`.
    pub(super) fn sum(&self, from: u64, to: u64, of: impl Fn(Kind) -> Bytes) -> Bytes {
        let (from, to) = (from.min(to), to.min(self.layers));
        let counts =
            self.plan.shape.blocks.within(self.from.saturating_add(from), self.from.saturating_add(to));
        self.kinds.iter().zip(counts).map(|(kind, count)| of(*kind) * count).sum()
    }

    /// The activations that layers `0..count` keep.
    pub(super) fn kept(&self, count: u64) -> Bytes {
        // If activations are offloaded, only the last layers' activations are still on the device.
        let count = if self.plan.offload_activations { count.min(2) } else { count };
        let first = if count > 0 { self.first.kept } else { Bytes::ZERO };
        self.others + self.shared + first + self.sum(1, count, |kind| kind.run.kept)
    }

    /// The inputs and their gradients that stay from the layers after layer `i`.
    pub(super) fn staying(&self, i: u64) -> Bytes {
        let done = self.layers.saturating_sub(i + 1);
        if self.inputs_stay { self.stream * 2 * done } else { Bytes::ZERO }
    }

    /// Gradients of the layers from `from` to the last, which are done, and of the head.
    pub(super) fn done(&self, from: u64) -> Bytes {
        if self.plan.step_in_backward {
            return Bytes::ZERO;
        }
        if let Some(held) = self.in_buffers {
            return held + self.waiting;
        }
        if self.accumulated > Bytes::ZERO {
            return self.accumulated;
        }
        let sharded = self.sharded;
        let kept = |kind: Kind| if sharded { kind.group.kept } else { kind.group.gradients };
        self.sum(from, self.layers, kept) + self.head_kept()
    }

    /// The head's remaining gradients. If the output layer is a separate group, they are already reduced.
    pub(super) fn head_kept(&self) -> Bytes {
        self.output.filter(|_| self.sharded).map_or(self.head.gradients, |output| output.kept)
    }

    /// The part of the root that is reduced at once: half of it, if the output layer is a separate group.
    pub(super) fn reduced_at_once(&self, root: Bytes) -> Bytes {
        if self.output.is_some() { root.share(2) } else { root }
    }

    /// A group's whole gradients, unless the gradients of earlier microbatches already include them.
    pub(super) fn unreduced(&self, gradients: Bytes) -> Bytes {
        if self.plan.accumulates_whole() { Bytes::ZERO } else { gradients }
    }

    /// Parameters gathered while layer `i` is in use, with the root's.
    pub(super) fn gathered(&self, i: u64) -> Bytes {
        if !self.sharded {
            return Bytes::ZERO;
        }
        let from = if self.plan.reshard_after_forward { i } else { 0 };
        self.root_kept() + self.sum(from, i.saturating_add(1), |kind| kind.group.gathered)
    }

    /// The part of the root that stays gathered while layers are in use.
    pub(super) fn root_kept(&self) -> Bytes {
        if self.output.is_some() { Bytes::ZERO } else { self.root.gathered }
    }

    /// The part of the root that is gathered at the loss.
    pub(super) fn root_at_loss(&self) -> Bytes {
        self.output.map_or(self.root.gathered, |output| output.gathered)
    }

    /// The next layer's all-gather while the backward pass of layer `i` runs.
    pub(super) fn in_flight(&self, i: u64) -> Bytes {
        let prefetches = self.sharded && self.plan.reshard_after_forward && i > 0;
        if prefetches { self.kind(i - 1).group.gathered } else { Bytes::ZERO }
    }

    /// The copy of the next layer's gradients that is still being reduced.
    pub(super) fn reducing(&self, i: u64) -> Bytes {
        if self.sharded && i + 1 < self.layers { self.kind(i + 1).group.reduced } else { Bytes::ZERO }
    }
}

/// The numbers of a layer's largest matrix. A layer's experts are joined into one.
fn largest_matrix(plan: &Plan) -> u64 {
    let shape = &plan.shape;
    let ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
    let experts = shape
        .experts
        .as_ref()
        .map_or(0, |experts| experts.ffn.saturating_mul(2).saturating_mul(experts.count).div_ceil(ranks));
    shape.ffn.div_ceil(plan.tensor.max(1)).max(experts).saturating_mul(shape.hidden)
}

/// Gradients of earlier microbatches. If their reduction is delayed, they are whole and in the format of the reduction.
fn accumulated(plan: &Plan, rank: RankParameters, kept: Bytes, sharded: bool) -> Bytes {
    if plan.micro_batches <= 1 || plan.step_in_backward {
        return Bytes::ZERO;
    }
    if !sharded || !plan.accumulates_whole() {
        return kept;
    }
    match &plan.adapters {
        Some(adapters) if !plan.profile.fsdp.flattens_frozen => {
            Bytes(rank.adapters.saturating_mul(adapters.width))
                + rank.state_beside(plan, adapters, 1, |widths| widths.compute.max(widths.reduction))
        }
        _ => {
            let width = plan.widths.compute.max(plan.widths.reduction);
            Bytes::of(rank.dense.saturating_add(rank.experts), width)
        }
    }
}
