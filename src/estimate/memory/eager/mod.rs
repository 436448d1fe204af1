//! The instants of eager PyTorch: Hugging Face and plain PyTorch models, alone, under DDP, or sharded by FSDP2.
//!
//! The memory alive at each, besides weights and optimizer states. `i` counts layers from the first, `L` is the last,
//! `kept` are the activations that layers keep:
//!
//! ```text
//! root, gathered        root, flat and copied, + the first layer's all-gather
//! last layer, forward   kept(0..L) + layer forward + casts of weights + root + the layer's parameters twice
//! loss, forward         kept(all) + head forward + casts of weights (autocast) + root + the last all-gather's buffer
//! reference, forward    kept(all) + the trained model's logits and the reference's
//! loss, backward        kept(all) + head backward + root + the last layer's all-gather
//! layer i, gathered     kept(0..=i) + gradients(i+1..L) + the layer's parameters twice: flat and copied
//! layer i, backward     kept(0..i) + layer backward + gradients(i+1..L) + gathered(i), in flight + reducing(i+1)
//! layer i, reduction    kept(0..i) + its gradients, unsharded, + the copy that is reduced + gathered
//! embedding, backward   all gradients + the embedding's, and with a tied output layer their sum
//! root, reduction       all gradients + those of embedding, head and final norm, unsharded, + the copy; with a tied
//!                       output layer also the two gradients that were added
//! optimizer step        all gradients + the step's own workspace
//! ```
//!
//! Between these instants, memory changes by the same amount from layer to layer. So the two layers at each end are
//! enough. The terms under FSDP2 and DDP: [`timeline`]; those of DeepSpeed's ZeRO, whose buckets and gathered parameters are
//! added at each instant: [`super::zero`].

mod timeline;

use self::timeline::{Kind, Timeline};
use super::super::plan::{Plan, RankParameters, Stage};
use super::instants::Instant;
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::model::Parameters;
use crate::units::Bytes;

/// The instant at which the reference runs.
const COMPARED: &str = "reference's forward";

/// Whether the plan's layers run as PyTorch's eager modules.
pub(super) fn is_eager(plan: &Plan) -> bool {
    matches!(
        plan.profile.layers,
        Layers::Transformers { run_by: Loop::Trainer | Loop::Own, .. }
            | Layers::JointProjection
            | Layers::LossInRecipe
    ) && plan.shape.latent.is_none()
        && !plan.offload_activations
}

/// The instants of one stage.
pub(super) fn instants(
    plan: &Plan,
    counted: &Parameters,
    rank: RankParameters,
    stage: Stage,
) -> [Instant; 19] {
    let timeline = Timeline::of(plan, counted, rank, stage);
    let last = timeline.layers.saturating_sub(1);
    let near_last = last.saturating_sub(1);
    let second = last.min(1);
    [
        timeline.root_gathered_first(),
        timeline.last_layer_forward(last),
        timeline.loss_forward(),
        timeline.compared(),
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

impl Timeline<'_> {
    fn last(&self) -> Kind {
        self.kind(self.layers.saturating_sub(1))
    }

    fn root_gathered_first(&self) -> Instant {
        if !self.sharded && !self.zero.divides_parameters {
            return Instant { name: "root gathered", ..Instant::default() };
        }
        let gathered = self.root.gathered * 2 + self.kind(0).group.gathered;
        Instant {
            name: "root gathered",
            gradients: self.accumulated,
            activations: self.kept(0),
            working_set: self.stream,
            communication: self.buckets
                + self.zero.resident
                + self.zero.embedding
                + if self.sharded { gathered } else { Bytes::ZERO },
            ..Instant::default()
        }
    }

    fn last_layer_forward(&self, last: u64) -> Instant {
        let run = if last == 0 { self.first } else { self.kind(last).run };
        let flat = if self.sharded { self.last().group.gathered } else { Bytes::ZERO };
        Instant {
            name: "last layer's forward",
            gradients: self.accumulated,
            activations: self.kept(last),
            working_set: run.forward + self.sum(0, last, |kind| kind.run.cached),
            communication: self.gathered(last) + flat + self.buckets + self.zero_forward(last),
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
            gradients: self.accumulated,
            activations: self.kept(self.layers),
            logits: self.head.forward,
            // The head's own casts are counted in its forward pass.
            working_set: casts,
            communication: gathered + flat + self.buckets + self.zero.resident + self.zero.at_loss,
            ..Instant::default()
        }
    }

    fn compared(&self) -> Instant {
        if self.head.compared == Bytes::ZERO {
            return Instant { name: COMPARED, ..Instant::default() };
        }
        Instant {
            name: COMPARED,
            gradients: self.accumulated,
            activations: self.kept(self.layers),
            logits: self.head.compared,
            communication: self.buckets + if self.sharded { self.root_at_loss() } else { Bytes::ZERO },
            ..Instant::default()
        }
    }

    fn root_gathered(&self) -> Instant {
        if !self.sharded {
            return Instant { name: "root gathered for the backward pass", ..Instant::default() };
        }
        let reshards = self.plan.reshard_after_forward;
        Instant {
            name: "root gathered for the backward pass",
            gradients: self.accumulated,
            activations: self.kept(self.layers),
            logits: self.head.kept,
            communication: self.buckets + if reshards { self.root_kept() * 2 } else { Bytes::ZERO },
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
            name: "backward pass of the loss",
            gradients: self.in_buffers_at_loss(),
            activations: self.kept(self.layers),
            logits: self.head.backward,
            communication: gathered + self.buckets + self.zero.bucket + self.zero.at_loss,
            ..Instant::default()
        }
    }

    fn layer_gathered(&self, i: u64) -> Instant {
        if !self.sharded {
            return Instant { name: "layer gathered for the backward pass", ..Instant::default() };
        }
        let flat = if self.plan.reshard_after_forward { self.kind(i).group.gathered } else { Bytes::ZERO };
        Instant {
            name: "layer gathered for the backward pass",
            gradients: self.done(i + 1),
            activations: self.kept(i + 1) + self.staying(i),
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
            activations: self.kept(i) + self.staying(i),
            logits: self.head.held_logits,
            working_set: run.backward,
            communication: self.gathered(i)
                + self.in_flight(i)
                + self.reducing(i)
                + self.buckets
                + self.zero_backward(i),
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
            activations: self.kept(i) + self.staying(i),
            working_set: self.stream,
            communication: self.gathered(i) - self.kind(i).group.gathered
                + self.in_flight(i)
                + self.kind(i).group.reduced,
            ..Instant::default()
        }
    }

    fn embedding_backward(&self) -> Instant {
        let tied = self.plan.ties_gradients() && self.head.gradients > Bytes::ZERO;
        let sums = if tied { 2 } else { 1 };
        let root = if self.sharded { self.root_kept() + self.kind(0).group.reduced } else { Bytes::ZERO };
        // At the sum, the gradient of the embedding's output is freed, unless learned positions still need it.
        let needed = !tied || self.plan.shape.learned_positions > 0;
        Instant {
            name: "embedding's backward",
            gradients: self.done(0) + self.embedding_gradient * sums,
            working_set: if needed { self.stream } else { Bytes::ZERO },
            communication: root
                + self.buckets
                + self.zero.bucket
                + self.zero.embedding
                + self.zero_copy(self.embedding_gradient),
            ..Instant::default()
        }
    }

    fn root_reduction(&self) -> Instant {
        if self.zero.divides_parameters {
            return self.head_reduction();
        }
        if !self.sharded {
            return Instant { name: "root's gradient reduction", ..Instant::default() };
        }
        // The two gradients of a tied matrix are still alive besides their sum.
        let tied = self.plan.ties_gradients() && self.head.gradients > Bytes::ZERO;
        let parts = if tied { self.embedding_gradient * 2 } else { Bytes::ZERO };
        // The head's gradients belong to the root, unless the output layer is a separate group.
        let head = if self.output.is_some() { Bytes::ZERO } else { self.head.gradients };
        Instant {
            name: "root's gradient reduction",
            gradients: self.done(0) - head
                + self.unreduced(self.reduced_at_once(self.root.gradients) + parts),
            communication: self.reduced_at_once(self.root.reduced),
            ..Instant::default()
        }
    }

    /// The reduction of the output layer's gradient under ZeRO 3, before the backward pass of the layers.
    fn head_reduction(&self) -> Instant {
        let gradients = if self.plan.ties_gradients() { Bytes::ZERO } else { self.head.gradients };
        Instant {
            name: "output layer's gradient reduction",
            gradients: self.in_buffers_at_loss() + gradients,
            activations: self.kept(self.layers),
            working_set: self.stream,
            communication: self.zero.bucket + self.zero.at_loss + self.zero_copy(gradients),
            ..Instant::default()
        }
    }

    /// The gradients before the output layer's is made.
    fn in_buffers_at_loss(&self) -> Bytes {
        self.in_buffers.unwrap_or(self.accumulated)
    }

    /// `DeepSpeed`'s buffers and gathered parameters in the forward pass of layer `i`.
    fn zero_forward(&self, i: u64) -> Bytes {
        self.zero.resident + self.zero.gathered(self.kind(i).group.gathered)
    }

    /// The same in its backward pass.
    fn zero_backward(&self, i: u64) -> Bytes {
        let gathered = self.kind(i).group.gathered + self.zero.next;
        let parameters = if self.zero.next == Bytes::ZERO { Bytes::ZERO } else { gathered };
        self.zero.bucket + self.zero.copy + parameters
    }

    /// The copy of a gradient that ZeRO 3 reduces.
    fn zero_copy(&self, gradient: Bytes) -> Bytes {
        if self.zero.divides_parameters { gradient } else { Bytes::ZERO }
    }

    fn optimizer_step(&self) -> Instant {
        Instant {
            name: "optimizer step",
            gradients: if self.plan.step_in_backward {
                self.last().group.gradients
            } else {
                self.all_gradients
            },
            communication: self.buckets + self.zero.resident,
            step: self.step,
            ..Instant::default()
        }
    }
}
