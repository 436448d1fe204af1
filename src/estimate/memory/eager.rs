//! The instants of eager PyTorch: Hugging Face and plain PyTorch models, alone, under DDP, or sharded by FSDP2.
//!
//! What is alive besides weights and optimizer states; `i` counts layers from the first, `L` is the last:
//!
//! ```text
//! root, gathered        root, flat and copied, + the first layer's all-gather
//! last layer, forward   kept(0..L) + layer forward + casts of weights + root + the layer's parameters twice
//! loss, forward         kept(all) + head forward + casts of weights (autocast) + root + the last all-gather's buffer
//! loss, backward        kept(all) + head backward + root + the last layer's all-gather
//! layer i, gathered     kept(0..=i) + gradients(i+1..L) + the layer's parameters twice: flat and copied
//! layer i, backward     kept(0..i) + layer backward + gradients(i+1..L) + gathered(i), in flight + reducing(i+1)
//! layer i, reduction    kept(0..i) + its gradients, unsharded, + the copy that is reduced + gathered
//! embedding, backward   all gradients + the embedding's, and with a tied output layer their sum
//! root, reduction       all gradients + those of embedding, head and final norm, unsharded, + the copy
//! optimizer step        all gradients + the step's own workspace
//! ```
//!
//! All layers share the rotary sine and cosine. Under adapters recomputation asks for a gradient of the embedding's
//! output, which so becomes a leaf: it and its gradient stay from the step before, in a reference cycle of the
//! checkpoints. In between memory changes by the same amount from layer to layer, so that the two layers at each end suffice.
//! FSDP2's groups are the layers and the root, which owns embedding, final norm and output layer. A group is gathered
//! into one flat buffer and copied out of it; in the forward pass the flat buffer lives until the next group's copy, in
//! the backward pass the next group's flat buffer is filled while a layer runs. Gradients stay unsharded until their
//! group is done, are copied into one buffer of the reduction's format, which lives until the next group is done, and
//! become a shard. Source: `torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py` (2.15); DDP's buckets:
//! `torch/csrc/distributed/c10d/reducer.cpp`.

use super::super::plan::{Plan, RankParameters, Stage};
use super::super::{schedule, states};
use super::instants::Instant;
use super::layers::head::{HeadRun, head};
use super::layers::{LayerRun, Program};
use super::{communication, gradients, optimizer, quantization};
use crate::model::{LayerParameters, Parameters};
use crate::units::Bytes;
use crate::workload::{Framework, Recompute, Sharding};

/// Whether the plan's layers run as PyTorch's eager modules.
pub(super) fn is_eager(plan: &Plan) -> bool {
    matches!(
        plan.framework,
        Framework::HuggingFace | Framework::FSDP | Framework::LitGPT | Framework::Torchtune
    ) && plan.shape.latent.is_none()
        && !plan.offload_activations
}

/// A group of parameters that FSDP gathers and reduces together.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// The parameters as they are computed with, whole.
    gathered: Bytes,
    /// The copy of the gradients that is reduced, whole.
    reduced: Bytes,
    /// Gradients as the backward pass leaves them, whole.
    gradients: Bytes,
    /// Gradients as they are kept between steps.
    kept: Bytes,
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
struct Kind {
    run: LayerRun,
    group: Group,
}

/// What the instants of one stage are made of.
struct Timeline<'a> {
    plan: &'a Plan,
    layers: u64,
    /// What other microbatches keep: those under way in a pipeline, and what outlives the one before.
    others: Bytes,
    dense: Kind,
    mixture: Kind,
    dense_layers: u64,
    /// The first layer's run, where it differs.
    first: LayerRun,
    head: HeadRun,
    root: Group,
    /// The output layer, where it is a group of its own.
    output: Option<Group>,
    /// The gradient of the tokens' embedding; positions follow it.
    embedding_gradient: Bytes,
    stream: Bytes,
    /// What all layers share.
    shared: Bytes,
    sharded: bool,
    /// Gradients that are there from earlier microbatches, and DDP's buckets.
    standing: Bytes,
    buckets: Bytes,
    all_gradients: Bytes,
    step: Bytes,
}

/// The instants of one stage.
pub(super) fn instants(
    plan: &Plan,
    counted: &Parameters,
    rank: RankParameters,
    stage: Stage,
) -> [Instant; 18] {
    let timeline = Timeline::of(plan, counted, rank, stage);
    let last = timeline.layers.saturating_sub(1);
    let near_last = last.saturating_sub(1);
    let second = last.min(1);
    [
        timeline.root_gathered_first(),
        timeline.last_layer_forward(last),
        timeline.loss_forward(),
        timeline.root_gathered(),
        timeline.loss_backward(),
        timeline.layer_gathered(near_last),
        timeline.layer_gathered(0),
        timeline.layer_backward("last layer's backward", last),
        timeline.layer_backward("layers' backward", near_last),
        timeline.layer_backward("layers' backward", second),
        timeline.layer_backward("first layer's backward", 0),
        timeline.layer_reduction("last layer's gradient reduction", last),
        timeline.layer_reduction("layers' gradient reduction", near_last),
        timeline.layer_reduction("layers' gradient reduction", second),
        timeline.layer_reduction("first layer's gradient reduction", 0),
        timeline.embedding_backward(),
        timeline.root_reduction(),
        timeline.optimizer_step(),
    ]
}

impl<'a> Timeline<'a> {
    fn of(plan: &'a Plan, counted: &Parameters, rank: RankParameters, stage: Stage) -> Self {
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
            Bytes::of(rank.dense, widths.gradient)
        };
        let ranks = plan.data.saturating_mul(plan.context);
        let standing = if plan.micro_batches <= 1 || plan.step_in_backward {
            Bytes::ZERO
        } else if sharded && plan.accumulates_whole() {
            let width = widths.compute.max(widths.reduction);
            // LitGPT's FSDP flattens a layer's frozen and trained parameters together, and so their gradients.
            let flat = plan.framework == Framework::LitGPT;
            if adapted && !flat { trained } else { Bytes::of(rank.dense, width) }
        } else {
            all_gradients
        };
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
            // torchtune wraps embedding and output layer apart (`custom_sharded_layers`).
            output: (plan.framework == Framework::Torchtune).then(|| group(output, true, 0, head.gradients)),
            embedding_gradient,
            stream,
            shared: program.shared()
                + if adapted && plan.recompute == Recompute::Full { stream * 2 } else { Bytes::ZERO },
            sharded,
            standing,
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
    fn kind(&self, i: u64) -> Kind {
        if i < self.dense_layers { self.dense } else { self.mixture }
    }

    /// A sum over the layers `from..to`.
    fn sum(&self, from: u64, to: u64, of: impl Fn(Kind) -> Bytes) -> Bytes {
        let (from, to) = (from.min(to), to.min(self.layers));
        let dense = to.min(self.dense_layers).saturating_sub(from);
        let mixture = to.saturating_sub(from.max(self.dense_layers));
        of(self.dense) * dense + of(self.mixture) * mixture
    }

    /// What layers `0..count` keep.
    fn kept(&self, count: u64) -> Bytes {
        // Only the last layers' activations are still on the device when all are on their way to the host.
        let count = if self.plan.offload_activations { count.min(2) } else { count };
        let first = if count > 0 { self.first.kept } else { Bytes::ZERO };
        self.others + self.shared + first + self.sum(1, count, |kind| kind.run.kept)
    }

    /// Gradients of the layers from `from` to the last, which are done, and of the head.
    fn done(&self, from: u64) -> Bytes {
        if self.plan.step_in_backward {
            return Bytes::ZERO;
        }
        if self.standing > Bytes::ZERO {
            return self.standing;
        }
        let sharded = self.sharded;
        let kept = |kind: Kind| if sharded { kind.group.kept } else { kind.group.gradients };
        self.sum(from, self.layers, kept) + self.head.gradients
    }

    /// Of the root what is reduced at once: half of it, where the output layer is a group of its own.
    fn apart(&self, root: Bytes) -> Bytes {
        if self.output.is_some() { root.share(2) } else { root }
    }

    /// A group's whole gradients, unless they are among those of earlier microbatches.
    fn unreduced(&self, gradients: Bytes) -> Bytes {
        if self.plan.accumulates_whole() { Bytes::ZERO } else { gradients }
    }

    /// Parameters that are gathered while layer `i` is in use, the root's included.
    fn gathered(&self, i: u64) -> Bytes {
        if !self.sharded {
            return Bytes::ZERO;
        }
        let from = if self.plan.reshard_after_forward { i } else { 0 };
        self.root_kept() + self.sum(from, i.saturating_add(1), |kind| kind.group.gathered)
    }

    /// What stays gathered of the root while layers are in use.
    fn root_kept(&self) -> Bytes {
        if self.output.is_some() { Bytes::ZERO } else { self.root.gathered }
    }

    /// What is gathered of the root at the loss.
    fn root_at_loss(&self) -> Bytes {
        self.output.map_or(self.root.gathered, |output| output.gathered)
    }

    /// The next layer's all-gather, while layer `i` runs backwards.
    fn in_flight(&self, i: u64) -> Bytes {
        let flies = self.sharded && self.plan.reshard_after_forward && i > 0;
        if flies { self.kind(i - 1).group.gathered } else { Bytes::ZERO }
    }

    /// The copy of the gradients of the layer after `i` that is still being reduced.
    fn reducing(&self, i: u64) -> Bytes {
        if self.sharded && i + 1 < self.layers { self.kind(i + 1).group.reduced } else { Bytes::ZERO }
    }

    fn last(&self) -> Kind {
        self.kind(self.layers.saturating_sub(1))
    }

    fn root_gathered_first(&self) -> Instant {
        let gathered = self.root.gathered * 2 + self.kind(0).group.gathered;
        Instant {
            name: "root gathered",
            gradients: self.standing,
            activations: self.kept(0),
            working_set: self.stream,
            communication: self.buckets + if self.sharded { gathered } else { Bytes::ZERO },
            ..Instant::default()
        }
    }

    fn last_layer_forward(&self, last: u64) -> Instant {
        let run = if last == 0 { self.first } else { self.kind(last).run };
        let flat = if self.sharded { self.last().group.gathered } else { Bytes::ZERO };
        Instant {
            name: "last layer's forward",
            gradients: self.standing,
            activations: self.kept(last),
            working_set: run.forward + self.sum(0, last, |kind| kind.run.cached),
            communication: self.gathered(last) + flat + self.buckets,
            ..Instant::default()
        }
    }

    fn loss_forward(&self) -> Instant {
        let casts = self.sum(0, self.layers, |kind| kind.run.cached);
        let flat = if self.sharded { self.last().group.gathered } else { Bytes::ZERO };
        let gathered = if !self.sharded {
            Bytes::ZERO
        } else if self.plan.reshard_after_forward {
            self.root_at_loss()
        } else {
            self.gathered(self.layers)
        };
        Instant {
            name: "loss",
            gradients: self.standing,
            activations: self.kept(self.layers),
            logits: self.head.forward,
            // The head's own casts are counted in its forward pass.
            working_set: casts,
            communication: gathered + flat + self.buckets,
            ..Instant::default()
        }
    }

    fn root_gathered(&self) -> Instant {
        let again = self.sharded && self.plan.reshard_after_forward;
        Instant {
            name: "root gathered for the backward pass",
            gradients: self.standing,
            activations: self.kept(self.layers),
            logits: self.head.kept,
            communication: self.buckets + if again { self.root_kept() * 2 } else { Bytes::ZERO },
            ..Instant::default()
        }
    }

    fn loss_backward(&self) -> Instant {
        let gathered = if !self.sharded {
            Bytes::ZERO
        } else if self.plan.reshard_after_forward {
            self.root_at_loss() + self.last().group.gathered
        } else {
            self.gathered(self.layers)
        };
        Instant {
            name: "loss's backward",
            gradients: self.standing,
            activations: self.kept(self.layers),
            logits: self.head.backward,
            communication: gathered + self.buckets,
            ..Instant::default()
        }
    }

    fn layer_gathered(&self, i: u64) -> Instant {
        let again = self.sharded && self.plan.reshard_after_forward;
        let flat = if again { self.kind(i).group.gathered } else { Bytes::ZERO };
        Instant {
            name: "layer gathered for the backward pass",
            gradients: self.done(i + 1),
            activations: self.kept(i + 1),
            working_set: self.stream,
            communication: self.gathered(i) + flat + self.reducing(i) + self.buckets,
            ..Instant::default()
        }
    }

    fn layer_backward(&self, name: &'static str, i: u64) -> Instant {
        let run = if i == 0 { self.first } else { self.kind(i).run };
        Instant {
            name,
            gradients: self.done(i + 1),
            activations: self.kept(i),
            logits: self.head.lingering,
            working_set: run.backward,
            communication: self.gathered(i) + self.in_flight(i) + self.reducing(i) + self.buckets,
            ..Instant::default()
        }
    }

    fn layer_reduction(&self, name: &'static str, i: u64) -> Instant {
        if !self.sharded {
            return Instant { name, ..Instant::default() };
        }
        Instant {
            name,
            gradients: self.done(i + 1) + self.unreduced(self.kind(i).group.gradients),
            activations: self.kept(i),
            working_set: self.stream,
            communication: self.gathered(i) - self.kind(i).group.gathered
                + self.in_flight(i)
                + self.kind(i).group.reduced,
            ..Instant::default()
        }
    }

    fn embedding_backward(&self) -> Instant {
        let tied = self.plan.shape.tied && self.head.gradients > Bytes::ZERO;
        let sums = if tied { 2 } else { 1 };
        let root = if self.sharded { self.root_kept() + self.kind(0).group.reduced } else { Bytes::ZERO };
        // The embedding's gradient has been used when the two are added; the positions still wait for it.
        let waits = !tied || self.plan.shape.learned_positions > 0;
        Instant {
            name: "embedding's backward",
            gradients: self.done(0) + self.embedding_gradient * sums,
            working_set: if waits { self.stream } else { Bytes::ZERO },
            communication: root + self.buckets,
            ..Instant::default()
        }
    }

    fn root_reduction(&self) -> Instant {
        if !self.sharded {
            return Instant { name: "root's gradient reduction", ..Instant::default() };
        }
        Instant {
            name: "root's gradient reduction",
            gradients: self.done(0) - self.head.gradients + self.unreduced(self.apart(self.root.gradients)),
            communication: self.apart(self.root.reduced),
            ..Instant::default()
        }
    }

    fn optimizer_step(&self) -> Instant {
        Instant {
            name: "optimizer step",
            gradients: if self.plan.step_in_backward {
                self.last().group.gradients
            } else {
                self.all_gradients
            },
            communication: self.buckets,
            step: self.step,
            ..Instant::default()
        }
    }
}
