//! A complete plan of a training job: the user or an assumption has made every choice.
//!
//! The formulas of [`super::memory`] and [`super::time`] read only plans, so they never meet an unknown field.

use super::objective::{Head, ObjectiveProfile, Role};
use crate::frameworks::Profile;
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths::Widths;
use crate::job::{
    Attention, Dispatcher, LayerKernels, Loss, Objective, Optimizer, OptimizerImplementation, OuterModules,
    Placement, Precision, Recompute, Schedule, Sharding,
};
use crate::model::{Block, LayerParameters, Mixer, Parameters, Shape};
use crate::units::Bytes;

/// A complete plan of a training job.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The transformer.
    pub shape: Shape,
    /// Tensor parallel degree, `t`.
    pub tensor: u64,
    /// Whether `t` also divides the activations between matrix products.
    pub sequence_parallel: bool,
    /// Pipeline parallel degree, `p`.
    pub pipeline: u64,
    /// Model chunks per stage, `v`.
    pub virtual_pipeline: u64,
    /// Order of microbatches.
    pub schedule: Schedule,
    /// Layers of the first stage, if not an even share.
    pub first_stage_layers: Option<u64>,
    /// Layers of the last stage, if not an even share.
    pub last_stage_layers: Option<u64>,
    /// Whether the embedding counts as a layer when the layers are divided into stages.
    pub embedding_as_layer: bool,
    /// Whether the loss counts as a layer when the layers are divided into stages.
    pub loss_as_layer: bool,
    /// Context parallel degree, `c`.
    pub context: u64,
    /// Expert parallel degree, `e`.
    pub expert: u64,
    /// Tensor parallel degree of the experts.
    pub expert_tensor: u64,
    /// How tokens reach their experts.
    pub dispatcher: Dispatcher,
    /// The most tokens of an expert, as a multiple of an even share.
    pub capacity_factor: Option<f64>,
    /// Data parallel degree.
    pub data: u64,
    /// The states that the data-parallel ranks divide.
    pub sharding: Sharding,
    /// How many ranks divide them, if fewer than data × context.
    pub sharding_degree: Option<u64>,
    /// Whether gathered parameters are freed after the forward pass.
    pub reshard_after_forward: bool,
    /// Whether FSDP reduces gradients at the last microbatch of a step alone.
    pub delays_reduction: bool,
    /// Samples per microbatch, `b`. A sample may have several sequences.
    pub micro_batch: u64,
    /// Tokens per sequence, `s`.
    pub sequence: u64,
    /// Tokens of a sequence that an encoder reads; the sequence is then the decoder's. Zero without an encoder.
    pub source: u64,
    /// Tokens of a typical sequence, or `s` if that is not known.
    pub typical_sequence: u64,
    /// Whether sequences differ in length from step to step.
    pub varying_lengths: bool,
    /// What a step keeps for each sample, if the layers are not listed.
    pub sample_activations: Bytes,
    /// Microbatches per step, `m`.
    pub micro_batches: u64,
    /// The computation's number format.
    pub precision: Precision,
    /// Whether PyTorch's autocast picks the format of each operation, whatever the format of the weights: Hugging
    /// Face's `bf16=True`.
    pub mixed: bool,
    /// Bytes of each state per parameter.
    pub widths: Widths,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The implementation of the optimizer's step.
    pub implementation: OptimizerImplementation,
    /// The recomputation.
    pub recompute: Recompute,
    /// How many layers of a stage are recomputed, if not all.
    pub recompute_layers: Option<u64>,
    /// The modules that selective recomputation covers, by the framework's names.
    pub recompute_modules: Vec<String>,
    /// Whether torch.compile is on.
    pub compile: bool,
    /// Whether per-operation recomputation keeps the outputs of compiled kernels.
    pub keeps_compiled: bool,
    /// Whether CUDA graphs are captured.
    pub cuda_graphs: bool,
    /// The attention kernel.
    pub attention: Attention,
    /// Whether the attention weights have dropout.
    pub attention_dropout: bool,
    /// Whether attention and feed-forward outputs have dropout.
    pub hidden_dropout: bool,
    /// The cross-entropy.
    pub loss: Loss,
    /// What is optimized.
    pub objective: Objective,
    /// Tokens of a sequence that were generated and count in the loss, if not all.
    pub completion: Option<u64>,
    /// The other models of the job.
    pub others: Vec<Other>,
    /// How samples are generated. `None` if no device that trains generates.
    pub rollout: Option<Rollout>,
    /// The kernels inside a layer.
    pub layer_kernels: LayerKernels,
    /// Whether the feed-forward network runs on a part of the tokens at a time.
    pub tiled_layers: bool,
    /// The behaviour of its framework.
    pub profile: &'static Profile,
    /// The framework's version, in the framework's own notation.
    pub framework_version: Option<String>,
    /// The accelerator's key in the catalogue. If it is not there, the name that the job gives.
    pub accelerator: Option<String>,
    /// The memory that a process can address on the accelerator, if it is in the catalogue.
    pub accelerator_memory: Option<Bytes>,
    /// The adapters, if not all weights are trained.
    pub adapters: Option<Adapters>,
    /// Whether each tensor's step runs inside the backward pass, so that all gradients are never alive at once.
    pub step_in_backward: bool,
    /// Whether optimizer states are on the host.
    pub offload_optimizer: bool,
    /// Whether parameters are on the host.
    pub offload_parameters: bool,
    /// Whether saved activations are on the host.
    pub offload_activations: bool,
    /// Transformer layers whose saved activations are on the host. `None` for parts of every layer.
    pub offloaded_layers: Option<u64>,
    /// Whether towers are trained with the model; beside adapters, whole.
    pub train_towers: bool,
    /// Whether the projection of frozen towers is trained.
    pub train_projection: bool,
    /// Whether every device holds the whole model before the ranks divide it.
    pub loads_whole: bool,
    /// Bytes of each parameter while the whole model is on every device, if a program casts it there.
    pub loaded_width: Option<f64>,
}

/// Another model of the job.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// What it is for.
    pub role: Role,
    /// Where its weights are while the model trains.
    pub placement: Placement,
    /// Its shape, if not the trained model's.
    pub shape: Option<Shape>,
}

impl Other {
    /// Whether its size is known: it is a copy of the trained model, or a known one. A critic is trained, and may be divided in
    /// its own way.
    pub fn is_sized(&self) -> bool {
        self.role == Role::Reference || self.shape.is_some() && self.role != Role::Critic
    }
}

/// How samples are generated on the devices that train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rollout {
    /// By the trained model itself.
    Trained,
    /// By an engine beside it.
    Engine {
        /// The share of an accelerator's memory that it reserves while it is awake.
        share: f64,
        /// Whether it is awake while the model trains.
        awake: bool,
        /// Whether the trained model and its states are on the host while it generates.
        alone: bool,
    },
}

/// Adapters beside frozen weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapters {
    /// Their rank, `r`.
    pub rank: u64,
    /// The linear layers that have an adapter.
    pub targets: Targets,
    /// The format of the frozen linear layers, if they are quantized.
    pub quantized: Option<Quantized>,
    /// Bytes per adapter parameter; gradients and moments have the same format.
    pub width: u64,
    /// Whether the adapters' inputs pass a dropout.
    pub dropout: bool,
    /// The modules of which a copy is trained whole.
    pub saved: Saved,
}

/// The embedding and the output layer, as modules that are trained whole beside adapters: PEFT's `modules_to_save`.
///
/// The copy has the module's format, and the frozen original stays beside it. A tied matrix has two copies. Source: PEFT
/// 0.21.2, `utils/other.py` (`ModulesToSaveWrapper.update`: a deep copy; `cast_adapter_dtype` passes it over).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saved {
    /// The modules that have a copy.
    pub modules: OuterModules,
    /// Bytes of each state of a copy's parameter.
    pub widths: Widths,
}

/// The format of quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantized {
    /// Bits per parameter.
    pub bits: u64,
    /// Whether the scales are quantized again.
    pub double: bool,
    /// Whether experts are quantized, if a layer's experts are one tensor.
    pub joined_experts: bool,
}

/// The linear layers of a transformer layer that have an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// The query projection.
    pub query: bool,
    /// The key projection.
    pub key: bool,
    /// The value projection.
    pub value: bool,
    /// The attention's output projection.
    pub output: bool,
    /// The gate of a gated feed-forward network.
    pub gate: bool,
    /// The feed-forward network's input.
    pub up: bool,
    /// The feed-forward network's output.
    pub down: bool,
    /// Gate and up of all experts of a layer, joined into one tensor.
    pub joined_inputs: bool,
    /// The outputs of all experts of a layer, joined into one tensor.
    pub joined_outputs: bool,
}

impl Targets {
    /// Queries and values: PEFT's default for Llama-like models.
    pub const QUERY_VALUE: Self = Self { query: true, value: true, ..Self::NONE };
    /// No linear layer.
    pub const NONE: Self = Self {
        query: false,
        key: false,
        value: false,
        output: false,
        gate: false,
        up: false,
        down: false,
        joined_inputs: false,
        joined_outputs: false,
    };
    /// Every linear layer.
    pub const ALL: Self = Self {
        query: true,
        key: true,
        value: true,
        output: true,
        gate: true,
        up: true,
        down: true,
        ..Self::NONE
    };

    /// How many linear layers have an adapter.
    pub fn count(self) -> u64 {
        [self.query, self.key, self.value, self.output, self.gate, self.up, self.down]
            .map(u64::from)
            .iter()
            .sum()
    }

    /// Reads the target names of PEFT and others, with or without the module that has the layer. An unknown name means
    /// all layers, the heaviest case. PEFT's `target_parameters` also name tensors of a module, as in
    /// `mlp.experts.down_proj`. A router's adapter counts as nothing.
    pub fn named(names: &[String]) -> Self {
        names.iter().fold(Self::NONE, |mut targets, name| {
            let (module, layer) = name.trim().rsplit_once('.').unwrap_or(("", name.trim()));
            match layer {
                "gate_up_proj" | "gate_proj" | "up_proj" if module.ends_with("experts") => {
                    targets.joined_inputs = true;
                }
                "down_proj" if module.ends_with("experts") => targets.joined_outputs = true,
                "weight" if module.ends_with("gate") || module.ends_with("router") => {}
                "q_proj" | "query" | "q" | "wq" => targets.query = true,
                "k_proj" | "key" | "k" | "wk" => targets.key = true,
                "v_proj" | "value" | "v" | "wv" => targets.value = true,
                "qkv_proj" | "query_key_value" | "linear_qkv" | "c_attn" => {
                    (targets.query, targets.key, targets.value) = (true, true, true);
                }
                "o_proj" | "out_proj" | "linear_proj" | "o" | "wo" | "dense" => targets.output = true,
                "gate_proj" | "w1" | "wi_0" => targets.gate = true,
                "up_proj" | "w3" | "fc1" | "c_fc" | "wi" | "wi_1" => targets.up = true,
                "gate_up_proj" | "linear_fc1" => (targets.gate, targets.up) = (true, true),
                "down_proj" | "w2" | "fc2" | "linear_fc2" => targets.down = true,
                _ => return Self::ALL,
            }
            targets
        })
    }
}

/// The contents of one pipeline stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The index, from zero.
    pub index: u64,
    /// Its first layer.
    pub from: u64,
    /// The layer after its last.
    pub to: u64,
    /// Whether it holds the embedding.
    pub embedding: bool,
    /// Whether it holds the output layer and computes the loss.
    pub output: bool,
}

impl Stage {
    /// How many layers it has.
    pub fn layers(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// The kinds of layers of a shape, each with the number of them on the stage.
    pub fn kinds(self, shape: &Shape) -> impl Iterator<Item = (Block, u64)> + '_ {
        shape.blocks.kinds().iter().copied().zip(shape.blocks.within(self.from, self.to))
    }

    /// Whether a layer on it has experts.
    pub fn has_experts(self, shape: &Shape) -> bool {
        self.kinds(shape).any(|(block, count)| block.has_experts() && count > 0)
    }
}

impl Plan {
    /// Tokens of one microbatch on one rank, `T = s·b/c`, over all sequences of its samples.
    pub fn tokens(&self) -> u64 {
        self.sequence.saturating_mul(self.sequences()).div_ceil(self.context.max(1))
    }

    /// Tokens that an encoder reads of one microbatch on one rank.
    pub fn source_tokens(&self) -> u64 {
        self.source.saturating_mul(self.sequences()).div_ceil(self.context.max(1))
    }

    /// Sequences of one microbatch.
    pub fn sequences(&self) -> u64 {
        self.micro_batch.saturating_mul(ObjectiveProfile::of(self.objective).sequences)
    }

    /// How many ranks divide the sharded states of dense parameters, `N`.
    pub fn shard_group(&self) -> u64 {
        let all = self.data.saturating_mul(self.context).max(1);
        self.sharding_degree.map_or(all, |degree| degree.clamp(1, all))
    }

    /// How many ranks divide the sharded states of experts: the ranks that hold the same experts.
    pub fn expert_shard_group(&self) -> u64 {
        let ranks = self.data.saturating_mul(self.context).saturating_mul(self.tensor);
        let all = ranks / self.expert.saturating_mul(self.expert_tensor).max(1);
        // If groups smaller than all ranks shard, the experts have as many groups of ranks.
        let groups = (self.data.saturating_mul(self.context) / self.shard_group()).max(1);
        (all / groups).max(1)
    }

    /// Whether matrix products run in a narrower format than the parameters of the modules: PyTorch's autocast. FSDP
    /// and `DeepSpeed` cast the parameters themselves.
    pub fn autocast(&self) -> bool {
        self.widths.compute < self.widths.parameter
            && !super::states::divided(self.sharding).0
            && self.widths.main == 0.0
    }

    /// Whether the output layer's gradient is added to the embedding's. Copies that are trained beside adapters are two.
    pub fn ties_gradients(&self) -> bool {
        self.shape.tied && self.adapters.is_none()
    }

    /// Whether autocast is on, even if it has nothing to narrow.
    pub fn picks_formats(&self) -> bool {
        self.mixed || self.autocast()
    }

    /// Whether the backward pass adds to the whole gradients of earlier microbatches. If the framework delays FSDP's
    /// reduction to the last microbatch, every rank holds all gradients until then. ZeRO 2 and 3 reduce after each
    /// microbatch. Source: `Trainer.training_step` in Transformers enters `no_sync` with every strategy but DeepSpeed.
    pub fn accumulates_whole(&self) -> bool {
        let divided = super::states::divided(self.sharding).1;
        let delayed = matches!(self.sharding, Sharding::FSDP | Sharding::HSDP) && self.delays_reduction;
        self.micro_batches > 1 && (!divided || delayed)
    }

    /// The factor by which FSDP2 pads the experts that a rank holds. It distributes whole experts, so with fewer
    /// experts than ranks some ranks hold only padding.
    pub fn expert_padding(&self) -> f64 {
        let joined = self.profile.experts.joined.is_some_and(|joined| self.is_of(joined.versions));
        let padded = joined && matches!(self.sharding, Sharding::FSDP | Sharding::HSDP);
        match &self.shape.experts {
            Some(experts) if padded => {
                let held = (experts.count / self.expert.saturating_mul(self.expert_tensor).max(1)).max(1);
                let n = self.expert_shard_group();
                held.div_ceil(n).saturating_mul(n) as f64 / held as f64
            }
            _ => 1.0,
        }
    }

    /// The number of accelerators.
    pub fn world(&self) -> u64 {
        self.tensor.saturating_mul(self.pipeline).saturating_mul(self.context).saturating_mul(self.data)
    }

    /// Parallel dimensions that need their own communicator.
    pub fn dimensions(&self) -> u64 {
        [self.tensor, self.pipeline, self.context, self.data, self.expert].iter().filter(|d| **d > 1).count()
            as u64
    }

    /// The divisor of activations between matrix products: `t` under sequence parallelism, else 1.
    pub fn sequence_divisor(&self) -> u64 {
        if self.sequence_parallel { self.tensor } else { 1 }
    }

    /// Whether the framework's version is in this range.
    pub fn is_of(&self, versions: Versions) -> bool {
        versions.hold(self.framework_version.as_deref())
    }

    /// Whether selective recomputation covers a module.
    pub fn recomputes(&self, module: &str) -> bool {
        self.recompute == Recompute::Selective && self.recompute_modules.iter().any(|m| m == module)
    }

    /// The contents of a stage. Layers are divided evenly; the first stages take one more each for the remainder.
    pub fn stage(&self, index: u64) -> Stage {
        let from = self.layers_before(index);
        Stage {
            index,
            from,
            to: self.layers_before(index + 1).max(from),
            embedding: index == 0,
            output: index + 1 == self.pipeline,
        }
    }

    /// Layers of the stages before `index`: the first stage's own number, then an even share for each stage, with the
    /// remainder on the first of them. The formula is closed, so an absurd number of stages costs no time.
    fn layers_before(&self, index: u64) -> u64 {
        let all = self.shape.layers;
        if index == 0 {
            return 0;
        }
        if index >= self.pipeline {
            return all;
        }
        let first = self.first_stage_layers.map(|layers| layers.min(all));
        let last = self.last_stage_layers.map(|layers| layers.min(all - first.unwrap_or(0)));
        let own = u64::from(first.is_some());
        let stages = self.pipeline.saturating_sub(own + u64::from(last.is_some())).max(1);
        let ends = u64::from(self.embedding_as_layer) + u64::from(self.loss_as_layer);
        let rest = all - first.unwrap_or(0) - last.unwrap_or(0) + ends;
        let dealt = (index - own).min(stages);
        let before = first.unwrap_or(0) + (rest / stages).saturating_mul(dealt) + dealt.min(rest % stages);
        before.saturating_sub(u64::from(self.embedding_as_layer)).min(all)
    }
}

/// The parameters on one rank of a stage, by how their states are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RankParameters {
    /// All parameters except routed experts, frozen towers, and what is trained whole beside adapters.
    pub dense: u64,
    /// Routed experts.
    pub experts: u64,
    /// Towers that are not trained. Every rank of the first stage holds towers whole.
    pub frozen_towers: u64,
    /// Matrices of linear layers inside transformer layers, a part of `dense` and `experts`.
    pub linear: u64,
    /// Adapters.
    pub adapters: u64,
    /// Towers or projections that are trained whole beside adapters.
    pub whole: u64,
    /// Copies of embedding and output layer that are trained whole beside adapters.
    pub saved: u64,
}

impl RankParameters {
    /// The trained parameters of a plan with adapters.
    pub fn beside(self) -> u64 {
        self.adapters.saturating_add(self.whole).saturating_add(self.saved)
    }

    /// One state of them, of which `n` ranks have a share. `of` is its bytes by the widths of the parameters.
    pub fn state_beside(self, plan: &Plan, adapters: &Adapters, n: u64, of: impl Fn(Widths) -> f64) -> Bytes {
        Bytes::of(self.whole.div_ceil(n), of(plan.widths))
            + Bytes::of(self.saved.div_ceil(n), of(adapters.saved.widths))
    }

    /// Counts the parameters on a rank of `stage`.
    pub fn of(plan: &Plan, counted: &Parameters, stage: Stage) -> Self {
        let t = plan.tensor.max(1);
        let layer = |l: LayerParameters| l.tensor_sharded.div_ceil(t).saturating_add(l.replicated);
        let counts = plan.shape.blocks.within(stage.from, stage.to);
        let expert_ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
        let (mut layers, mut experts) = (0u64, 0u64);
        for (kind, count) in counted.kinds.iter().zip(counts) {
            layers = layers.saturating_add(layer(*kind).saturating_mul(count));
            experts = experts.saturating_add(kind.experts.div_ceil(expert_ranks).saturating_mul(count));
        }
        // The first and the last stage each store a tied embedding.
        let copied = plan.shape.tied
            && plan.pipeline > 1
            && ObjectiveProfile::of(plan.objective).head != Head::Numbers;
        let output = if copied { counted.embedding } else { counted.output };
        let outer = if stage.embedding { counted.embedding.saturating_add(counted.further) } else { 0 }
            + if stage.output { output + counted.final_norm } else { 0 };
        // A prediction layer is on the last stage: one more layer, and a projection from two hidden states to one. It reads
        // the next tokens, so that a last stage without the embedding holds a copy. Source: Megatron-LM core 0.14,
        // `gpt_model.py`: `if self.pre_process or self.mtp_process`.
        let prediction_layers = if stage.output { plan.shape.prediction_layers } else { 0 };
        let read = prediction_layers > 0 && !stage.embedding && !plan.shape.tied;
        let outer = outer.saturating_add(if read { counted.embedding } else { 0 });
        let projection = plan.shape.hidden.saturating_mul(2 * plan.shape.hidden).div_ceil(t);
        let last = counted.prediction_layer;
        let towers = if stage.embedding { counted.towers } else { 0 };
        let trained = match (plan.train_towers, plan.train_projection) {
            (true, _) => towers,
            (false, true) => towers.min(plan.shape.projection),
            (false, false) => 0,
        };
        let beside = plan.adapters.is_some();
        let sum = |parts: &[u64]| parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part));
        let prediction = layer(last).saturating_add(projection).saturating_mul(prediction_layers);
        let prediction_experts = last.experts.div_ceil(expert_ranks).saturating_mul(prediction_layers);
        Self {
            dense: sum(&[layers, outer.div_ceil(t), prediction, if beside { 0 } else { trained }]),
            experts: experts.saturating_add(prediction_experts),
            frozen_towers: towers.saturating_sub(trained),
            whole: if beside { trained } else { 0 },
            saved: plan.adapters.as_ref().map_or(0, |adapters| saved(plan, counted, stage, &adapters.saved)),
            // Layers that are not listed are linear, too.
            linear: sum(&[layers, experts, if plan.shape.is_unlisted() { counted.further } else { 0 }]),
            adapters: plan.adapters.as_ref().map_or(0, |adapters| {
                let of_kind = |(block, count): (Block, u64)| {
                    adapters_of_layer(&plan.shape, block, adapters, t).saturating_mul(count)
                };
                stage.kinds(&plan.shape).map(of_kind).fold(0, u64::saturating_add)
            }),
        }
    }
}

/// The copies of embedding and output layer on one rank.
fn saved(plan: &Plan, counted: &Parameters, stage: Stage, saved: &Saved) -> u64 {
    let output = if plan.shape.tied { counted.embedding } else { counted.output };
    let parts = [
        (saved.modules.embedding && stage.embedding, counted.embedding),
        (saved.modules.output && stage.output, output),
    ];
    parts.iter().filter(|(on, _)| *on).map(|(_, numbers)| numbers.div_ceil(plan.tensor.max(1))).sum()
}

/// Adapter parameters of one layer on one rank: `Σ r·(d_in + d_out)`. `t` divides one side of each matrix.
fn adapters_of_layer(shape: &Shape, block: Block, adapters: &Adapters, t: u64) -> u64 {
    if block.is_unlisted() {
        return adapters.rank.saturating_mul(shape.adapter_width.unwrap_or(0));
    }
    let (h, q, k) = (shape.hidden, shape.query_width(), shape.key_width());
    let f = shape.experts.as_ref().map_or(shape.ffn, |e| e.ffn.saturating_mul(e.count));
    let targets = adapters.targets;
    // One adapter has the rank once for every expert.
    let joined = shape.experts.as_ref().map_or(0, |experts| {
        let inputs = h.saturating_add(experts.ffn.saturating_mul(if shape.gated { 2 } else { 1 }));
        let outputs = experts.ffn.saturating_add(h);
        let width = [(targets.joined_inputs, inputs), (targets.joined_outputs, outputs)];
        experts.count.saturating_mul(width.iter().filter(|(on, _)| *on).map(|(_, width)| *width).sum())
    });
    let column = |on: bool, out: u64| if on { h.saturating_add(out.div_ceil(t)) } else { 0 };
    let row = |on: bool, input: u64| if on { input.div_ceil(t).saturating_add(h) } else { 0 };
    // A decoder's layer beside an encoder has attention twice.
    let attentions = if block.mixer == Some(Mixer::Decoder) { 2 } else { 1 };
    let attention =
        [column(targets.query, q), column(targets.key, k), column(targets.value, k), row(targets.output, q)];
    let attention = attention.iter().fold(0u64, |sum, width| sum.saturating_add(*width));
    let widths = [
        attention.saturating_mul(attentions),
        column(targets.gate && shape.gated, f),
        column(targets.up, f),
        row(targets.down, f),
        joined.div_ceil(t),
    ];
    let widths = widths.iter().fold(0u64, |sum, width| sum.saturating_add(*width));
    adapters.rank.saturating_mul(widths)
}
