//! What a step has to do, as seconds at the data sheets' rates, term by term.
//!
//! For one microbatch of `T = b·s/c` tokens on a rank of the fullest pipeline stage (`⌈L/p⌉` layers, and the output
//! layer), divided by `t` where tensor parallelism divides:
//!
//! ```text
//! products      2·T·(layers' matrices)·passes / (t·peak)           passes: 1 forward, 2 backward (1 of frozen weights),
//! head          2·T·h·V·(1 + d)·passes / (t·half peak)             1 again where all is recomputed
//! attention     core·(1 + 2.5 + recomputed) / (t·half peak·reach)  fused; unfused: both halves of the square, 1 + 2
//! traffic       2·(weights + operands)·passes / memory             experts' weights: all that the rank holds
//! elementwise   2·T·(12·h + (q+2κ)·2 + 3·f·(1.5 gated))·(2.5 + recomputed) / memory
//! softmax       2·b·a·s²/c·(12 + 5 recomputed) / memory            unfused
//! logits        32·T·V / memory
//! permutation   16·T·K·h / memory
//! tensor        (4 + 2 recomputed)·2·(t−1)/t·2·T·h / ring
//! context       (3 + recomputed)·(c−1)·2·T·2κ / ring
//! exchange      (4 + 2 recomputed)·2·(T/t)·h·(to others) / link or network     plain all-to-all between nodes, and
//!               all-gather: every token to every rank elsewhere
//! shards        2·2·N (gathered twice) + 4·N (gradients scattered)   near and far, each microbatch
//! ```
//!
//! and once a step: gradients summed (6·N bytes, near and far), the optimizer's 28 bytes a parameter, what crosses to
//! the host. `N` are the parameters of a rank. Sources: Megatron-LM (Narayanan et al. 2021, Korthikanti et al. 2022) for
//! volumes and schedules, ZeRO (Rajbhandari et al. 2020), PyTorch FSDP (Zhao et al. 2023), `FlashAttention` (Dao 2023: the
//! backward pass has 2.5 times the forward's operations).

use super::eager;
use super::flops::{self, Forward};
use super::generation::Generation;
use super::kernels;
use super::links::Links;
use super::peak;
use super::terms::{COUNT, Term};
use crate::estimate::plan::Plan;
use crate::hardware::Accelerator;
use crate::workload::{Attention, Dispatcher, Framework, Loss, Precision, Sharding, TrainingJob};

/// The work of one step.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Work {
    /// Seconds by term: of one microbatch, or of the step for what is done once.
    pub terms: [f64; COUNT],
    /// Seconds of the layers' matrix products at the peak.
    pub products: f64,
    /// Seconds of the output layer's products at the half-precision peak.
    pub head: f64,
    /// Microbatches.
    pub micro_batches: f64,
    /// The pipeline's bubble as a share of the microbatches' time: `(p − 1) / (v·m)`.
    pub bubble: f64,
    /// Tokens of a step for each accelerator.
    pub tokens: f64,
    /// Model FLOPs of one token.
    pub flops: f64,
    /// The rate that utilization is a share of, in FLOP/s.
    pub peak: f64,
    /// The half-precision rate.
    pub half: f64,
    /// All accelerators.
    pub world: f64,
    /// The format that is computed in.
    pub precision: Precision,
    /// Whether there are experts.
    pub experts: bool,
    /// Whether tokens are sent to experts on other nodes.
    pub far: bool,
    /// Whether parameters are gathered by ZeRO's third stage.
    pub zero_three: bool,
    /// Whether parameters are gathered, or gradients summed, through the host.
    pub through_host: bool,
    /// Whether torchtitan computes it.
    pub native: bool,
    /// Whether parameters are gathered.
    pub sharded: bool,
}

/// Whether attention is computed in several kernels: as the job says, or because its framework or its accelerator
/// comes from before the fused ones.
fn is_unfused(job: &TrainingJob, plan: &Plan, generation: &Generation) -> bool {
    match job.attention {
        Some(attention) => matches!(attention, Attention::Unfused),
        None => plan.framework == Framework::MegatronDeepSpeed || generation.attention.is_none(),
    }
}

/// Whether tokens are sent by a plain all-to-all and not by one that knows of nodes. Between nodes such a one has been
/// measured to grow with the number of ranks, as if each received every token, since the rank with the experts most in
/// demand ends last. Torchtitan knows no other unless a job says so.
fn is_sent_singly(job: &TrainingJob, plan: &Plan) -> bool {
    match job.parallelism.as_ref().and_then(|p| p.dispatcher) {
        Some(dispatcher) => dispatcher == Dispatcher::AllToAll,
        None => plan.framework == Framework::Torchtitan,
    }
}

impl Work {
    /// Counts a plan on an accelerator; nothing where no rate is known.
    #[allow(clippy::too_many_lines, reason = "one term after the other, as the table above has them")]
    pub fn of(
        job: &TrainingJob,
        plan: &Plan,
        accelerator: &Accelerator,
        generation: &Generation,
    ) -> Option<Self> {
        let (precision, rate) = peak(accelerator, plan.precision)?;
        let peak = rate.0 as f64;
        let half = match precision {
            Precision::FP32 | Precision::TF32 => peak,
            _ => peak::half(accelerator)?.0 as f64,
        };
        let memory =
            accelerator.bandwidth.memory.map_or(generation.memory * 1e9, |rate| rate.0 as f64).max(1.0);
        let links = Links::of(job, accelerator, generation);
        let shape = &plan.shape;
        let scale = flops::scale(shape, job.model.as_ref());
        let forward = Forward::of(plan, job.model.as_ref());
        let [t, p, c, e, d] =
            [plan.tensor, plan.pipeline, plan.context, plan.expert, plan.data].map(|n| n.max(1));
        let [tf, cf, ef] = [t, c, e].map(|n| n as f64);
        let (h, vocab) = (shape.hidden as f64, shape.vocab as f64);
        let (q, kappa) = (shape.query_width() as f64, shape.key_width() as f64);
        let matrices = shape.ffn_matrices() as f64;
        let layers = shape.layers.div_ceil(p).max(1) as f64
            * (1.0 + shape.prediction_layers as f64 / shape.layers as f64);
        let sparse = shape.expert_layers() as f64 / shape.layers.max(1) as f64;
        let tokens = plan.micro_batch as f64 * plan.sequence as f64 / cf;
        let adapted = plan.adapters.is_some();
        let flops::Recomputed { products: again, core: core_again } = flops::Recomputed::of(plan);
        let passes = if adapted { 2.0 } else { 3.0 };
        let unfused = is_unfused(job, plan, generation);
        let fused = kernels::is_fused(job, plan);
        let split = if plan.sequence_parallel && !unfused { tf } else { 1.0 };

        let attention = flops::attention(shape) * scale;
        let dense = flops::feed_forward(shape) * scale * (1.0 - sparse);
        let (one, active) = (flops::expert(shape) * scale, flops::active_experts(shape) * scale * sparse);
        let (count, shared, routed, width) = shape.experts.as_ref().map_or((0.0, 0.0, 0.0, 0.0), |experts| {
            let routed = experts.per_token as f64;
            (experts.count as f64, experts.shared as f64, routed, experts.ffn as f64)
        });
        let passed = (routed + shared) * width * sparse;
        let ffn = shape.ffn as f64 * (1.0 - sparse);
        let held = (count / ef + shared) * one * sparse;

        let mut terms = [0.0; COUNT];
        let mut set = |term: Term, seconds: f64| {
            if let Some(slot) = terms.get_mut(term as usize) {
                *slot = seconds;
            }
        };
        let products = 2.0 * tokens * (attention + dense + active) * layers / tf * (passes + again) / peak;
        let head = tokens * forward.head / tf * passes / half;
        let of_layers = layers / shape.layers.max(1) as f64;
        let core = forward.core * tokens * of_layers / tf;
        if unfused {
            set(Term::AttentionUnfused, 2.0 * core * (3.0 + core_again) / half);
            let square =
                plan.micro_batch as f64 * shape.heads as f64 * (plan.sequence as f64).powi(2) / cf / tf;
            // Without a fused softmax, scores are masked, cast to fp32 and back by themselves.
            let each = if fused { 1.0 } else { 2.0 };
            set(Term::Softmax, 2.0 * square * layers * each * (12.0 + 5.0 * core_again) / memory);
        } else {
            let reach = kernels::attention_reach(plan, generation);
            set(kernels::attention_term(plan), core * (3.5 + core_again) / half / reach);
        }
        let weights = (attention + dense + held) / tf;
        let operands =
            tokens * ((2.0 * h + 2.0 * q + 2.0 * kappa + ffn * matrices + passed * matrices) / tf + 6.0 * h);
        set(Term::Traffic, 2.0 * (weights + operands) * layers * (passes + again) / memory);
        if fused {
            let gate = if shape.gated { 1.5 } else { 1.0 };
            let inner = 2.0 * (q + 2.0 * kappa) + 3.0 * (ffn + passed) * gate;
            let bytes = 2.0 * (12.0 * h / split + inner / tf) * (2.5 + again);
            set(Term::Elementwise, tokens * layers * bytes / memory);
        } else {
            let (hidden, inner) = (eager::hidden(shape), eager::inner(shape, ffn, passed));
            let bytes = hidden.passes(again) / split + inner.passes(again) / tf;
            set(Term::ElementwiseEager, tokens * layers * bytes / memory);
        }
        let targets = match &plan.adapters {
            Some(adapters) if kernels::casts_adapters(plan) => {
                let bytes = eager::adapters(plan, adapters).passes(again) / tf;
                set(Term::Adapters, tokens * layers * bytes / memory);
                adapters.targets.count() as f64
            }
            _ => 0.0,
        };
        let of_logits = if fused || plan.loss != Loss::Eager { 32.0 } else { eager::LOGITS };
        set(Term::Logits, of_logits * tokens * vocab / tf / memory);
        set(Term::Permutation, 16.0 * tokens * routed * h * layers * sparse / split / memory);
        if matches!(precision, Precision::FP8 | Precision::FP4) {
            let cast = 3.0 * h + q + (ffn + passed) * matrices / tf;
            set(Term::Quantization, 3.0 * tokens * layers * cast * (passes + again) / memory);
        }
        let exchanges = 4.0 + 2.0 * again;
        if t > 1 {
            let bytes = exchanges * 2.0 * (tf - 1.0) / tf * 2.0 * tokens * h * layers;
            set(Term::Tensor, bytes / links.ring(t, 1));
        }
        if c > 1 {
            let bytes = (3.0 + again) * (cf - 1.0) * tokens * 4.0 * kappa / tf * layers;
            set(Term::Context, bytes / links.ring(c, t));
        }
        if count > 0.0 && e > 1 {
            let gathers = job.parallelism.as_ref().and_then(|p| p.dispatcher) == Some(Dispatcher::AllGather);
            let bytes = 2.0 * tokens * h * exchanges * layers * sparse;
            let seconds = if gathers {
                let (near, far) = links.near_and_far(bytes * (ef - 1.0), e, t);
                near.max(far * ef / (ef - 1.0))
            } else {
                let together = links.together(e, t) as f64;
                let nodes = ef / together;
                let elsewhere = 1.0 - 1.0 / nodes;
                let near = bytes / tf * routed * (ef - 1.0) / ef / links.link;
                let far = if is_sent_singly(job, plan) {
                    bytes * (ef - together)
                } else {
                    // A token is sent to a node once, however many of its experts are there.
                    bytes / tf * (routed * elsewhere).min((nodes - 1.0) * (1.0 - elsewhere.powf(routed)))
                };
                near.max(far / links.network)
            };
            set(Term::Exchange, seconds);
        }
        if p > 1 {
            let bytes = 4.0 * tokens * h * plan.virtual_pipeline.max(1) as f64 / split;
            let rate = if plan.world() <= links.node { links.link } else { links.network };
            set(Term::Pipeline, bytes / rate);
        }
        // An adapter launches about as much as a tenth of a layer.
        let kernels_of_a_layer = (1.0 + 1.5 * sparse) * (1.0 + 0.1 * targets);
        set(kernels::launch_term(plan, generation), layers * (3.0 + again) * kernels_of_a_layer * 1e-4);

        let of_rank =
            shape.layers as f64 * (attention + dense + (count / ef + shared) * one * sparse) / tf / p as f64
                + if p == 1 { 2.0 } else { 1.0 } * h * vocab / tf;
        let quantized = plan.adapters.as_ref().is_some_and(|adapters| adapters.quantized);
        let trained = if adapted { 0.01 } else { 1.0 };
        let width = if quantized { 0.55 } else { 2.0 };
        let ranks = d.saturating_mul(c);
        let group = plan.sharding_degree.map_or(ranks, |degree| degree.min(ranks)).max(1);
        let gathers = matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP | Sharding::ZeRO3);
        let stride = t;
        if gathers && group > 1 {
            let others = (group - 1) as f64 / group as f64;
            let bytes = 2.0 * of_rank * width * others + trained * of_rank * 4.0;
            let (near, far) = links.near_and_far(bytes, group, stride);
            // A pipeline's stage keeps what it gathered for the whole step.
            let (to_near, to_far) = if p > 1 {
                (Term::GradientsNear, Term::GradientsFar)
            } else {
                (Term::ShardsNear, Term::ShardsFar)
            };
            set(to_near, near);
            set(to_far, far);
        } else if ranks > 1 {
            let others = (ranks - 1) as f64 / ranks as f64;
            let (near, far) = links.near_and_far(6.0 * trained * others * of_rank, ranks, stride);
            set(Term::GradientsNear, near);
            set(Term::GradientsFar, far);
        }
        let shards = if plan.sharding == Sharding::None { 1.0 } else { group as f64 };
        set(Term::Optimizer, kernels::optimizer_bytes(plan) * trained * of_rank / shards / memory);
        if plan.micro_batches > 1 {
            // A sharded gradient is summed after it is scattered.
            let of_shard = if gathers { of_rank / group as f64 } else { of_rank };
            let bytes = kernels::accumulation_bytes(plan) * trained * of_shard;
            set(Term::Accumulation, bytes / memory);
        }
        if !gathers && !quantized && plan.widths.parameter > plan.widths.compute {
            let gradient = if adapted { 0.0 } else { 1.0 };
            let each = plan.widths.parameter + plan.widths.compute;
            set(Term::Cast, each * (1.0 + again + gradient) * of_rank / memory);
        }
        if quantized {
            set(Term::Dequantization, 2.5 * of_rank * (passes + again) / memory);
        }
        let parameters = if plan.offload_parameters { 3.0 * width * of_rank / shards } else { 0.0 };
        let states = if plan.offload_optimizer { 12.0 * trained * of_rank / shards } else { 0.0 };
        set(Term::Offload, (parameters + states) / HOST);

        let micro_batches = plan.micro_batches.max(1) as f64;
        let world = plan.world().max(1) as f64;
        Some(Self {
            terms,
            products,
            head,
            micro_batches,
            bubble: (p - 1) as f64 / plan.virtual_pipeline.max(1) as f64 / micro_batches,
            tokens: plan.micro_batch as f64 * plan.sequence as f64 * micro_batches * d as f64 / world,
            flops: forward.model(),
            peak,
            half,
            world,
            precision,
            experts: shape.experts.is_some(),
            far: shape.experts.is_some() && links.together(e, t) < e,
            zero_three: plan.sharding == Sharding::ZeRO3,
            through_host: links.pass_the_host(),
            native: plan.framework == Framework::Torchtitan,
            sharded: gathers && group > 1,
        })
    }
}

/// The rate of a host's link, in bytes a second and direction.
const HOST: f64 = 12e9;
