//! The fields of the spec, each with one declaration: name, type, range, and a line of description.
//!
//! A declaration makes three things: the field of the struct, its range (in the CRD's schema and in
//! [`ranges`](super::ranges)), and its handle. The handle `field::batch::MICRO_BATCH_SIZE` is a [`Field<u32>`], and
//! knows the path `batch.microBatchSize`. Code names a field only by its handle. [`find`] finds the field that a person
//! writes.
//!
//! A [`TrainingJob`] has three uses: the values read from a workload, the YAML block of the `training` annotation, and
//! the spec of a `TrainingEstimate`. Every field is optional, because no person writes all of them. A missing field
//! becomes an assumption in [`crate::estimate`], never here.
//!
//! Kubernetes objects hold no floats and no unsigned numbers: counts are [`Count`], prices and percentages are quoted
//! [`Decimal`]s, enumerations are CamelCase strings.
//!
//! | in a declaration | |
//! | --- | --- |
//! | `layers: u32 where 1..=10_000` | a whole number in this range |
//! | `mfu_percent: Decimal as percent` | a percentage over 0, up to 100; `percent_or_zero` takes 0 too |
//! | `memory: String as quantity` | an amount of memory |
//! | `targets: Vec<String> as names up to 32` | a list of names |
//! | `model: Model as group` | the fields of a group, which is declared below |
//! | `LatentAttention in Model` | a group within a group |
//! | `kind ("type"): String` | the spec's name is another than the struct's |

use pastey::paste;
use serde::{Deserialize, Serialize};

use super::handle::{Declared, Field, Group, Member, Range};
use super::{
    Activation, Attention, DenseLayers, Dispatcher, Framework, LayerKernels, LayerPattern, Loading, Loss,
    Method, Normalization, Objective, Optimizer, OptimizerImplementation, Placement, Positions, Precision,
    Recompute, SavedStates, Schedule, Sharding,
};
use crate::units::{Count, Decimal};

/// The field, or the group of fields, that a path of the spec names: `parallelism.tensor`.
pub fn find(path: &str) -> Option<Member> {
    let step = |at: Member, name: &str| match at {
        Member::Group(group) => group.members().iter().copied().find(|member| member.name() == name),
        Member::Field(_) => None,
    };
    path.split('.').try_fold(Member::Group(SPEC), step)
}

/// Declares a group of optional fields of the spec, and the handles of its fields.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident $(in $parent:ident)? { $(
        $(#[$meta:meta])*
        $field:ident $(($key:literal))?: $type:ty
            $(as $form:ident $(up to $names:literal)?)? $(where $least:literal..=$most:literal)?
    ),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$meta])*
            $(#[serde(rename = $key)])?
            $(#[cfg_attr(feature = "schema", schemars(range(min = $least, max = $most)))])?
            $($(#[cfg_attr(feature = "schema", schemars(length(max = $names), inner(length(max = crate::job::grammar::LONGEST_LISTED))))])?)?
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>),+
        }

        handles! { $name [$($parent)? $name] $({ $field [$($key)?] $type, [$($form $(up to $names)?)? $($least..=$most)?] })+ }
    };
}

/// Declares the handles of a group: those of the spec's own fields in this module, those of a group in one of its own.
macro_rules! handles {
    (TrainingJob [TrainingJob] $({ $field:ident $key:tt $type:ty, $form:tt })+) => {
        $(member! { [] $field $key $type, $form })+
        whole! { [] SPEC TrainingJob $($field)+ }
    };
    ($name:ident $within:tt $({ $field:ident $key:tt $type:ty, $form:tt })+) => {
        paste! {
            #[doc = concat!("The handles of the fields of [`", stringify!($name), "`](super::", stringify!($name), ").")]
            pub mod [<$name:snake>] {
                use super::*;

                $(member! { $within $field $key $type, $form })+
                whole! { $within GROUP $name $($field)+ }
            }
        }
    };
}

/// Declares the handle of a group as a whole.
macro_rules! whole {
    ([$($group:ident $($within:ident)?)?] $handle:ident $type:ident $($field:ident)+) => {
        paste! {
            #[doc = concat!("All fields of [`", stringify!($type), "`].")]
            pub const $handle: Group = Group::declare(&Declared::of_group::<$type>(
                concat!("", $(
                    stringify!([<$group:lower_camel>]) $(, ".", stringify!([<$within:lower_camel>]))?
                )?),
                &[$([<$field:upper>].member()),+],
            ));
        }
    };
}

/// Declares the handle of a field, or of a group of fields.
macro_rules! member {
    ([$($within:ident)*] $field:ident [] $type:ty, [group]) => {
        paste! {
            #[doc = concat!("The fields of [`", stringify!($type), "`].")]
            pub const [<$field:upper>]: Group = $field::GROUP;
        }
    };
    ([$($within:ident)*] $field:ident [] $type:ty, $range:tt) => {
        paste! {
            member! {
                [<$field:upper>] $type, $range,
                concat!($(stringify!([<$within:lower_camel>]), ".",)* stringify!([<$field:lower_camel>]))
            }
        }
    };
    ([$($within:ident)*] $field:ident [$key:literal] $type:ty, $range:tt) => {
        paste! {
            member! {
                [<$field:upper>] $type, $range, concat!($(stringify!([<$within:lower_camel>]), ".",)* $key)
            }
        }
    };
    ($handle:ident $type:ty, $range:tt, $path:expr) => {
        #[doc = concat!("`", $path, "`.")]
        pub const $handle: Field<$type> = Field::declare(&Declared::of::<$type>($path, range!($range)));
    };
}

/// The range that a declaration gives.
macro_rules! range {
    ([]) => {
        Range::Any
    };
    ([percent]) => {
        Range::Percent { zero: false }
    };
    ([percent_or_zero]) => {
        Range::Percent { zero: true }
    };
    ([quantity]) => {
        Range::Quantity
    };
    ([names up to $most:literal]) => {
        Range::Names { most: $most }
    };
    ([$least:literal..=$most:literal]) => {
        Range::Whole { least: $least, most: $most }
    };
}

group! {
    /// A training job: model, parallelism, batch, precision, accelerator.
    TrainingJob {
        /// The trained transformer.
        model: Model as group,
        /// The division of the work among the accelerators.
        parallelism: Parallelism as group,
        /// The batch.
        batch: Batch as group,
        /// The number format of the computation.
        precision: Precision,
        /// The format of the stored parameters, if it is not the framework's default.
        parameter_precision: Precision,
        /// The format of the stored gradients.
        gradient_precision: Precision,
        /// The format of the gradient reduction between ranks.
        gradient_reduction_precision: Precision,
        /// The format of the optimizer's own copy of the parameters.
        main_parameter_precision: Precision,
        /// The format of the optimizer's moments.
        optimizer_precision: Precision,
        /// The optimizer.
        optimizer: Optimizer,
        /// How the optimizer's step runs.
        optimizer_implementation: OptimizerImplementation,
        /// Whether the optimizer steps each tensor during the backward pass, as soon as it has its gradient.
        optimizer_in_backward: bool,
        /// Activation recomputation, also called gradient checkpointing.
        recompute: Recompute,
        /// The number of recomputed layers of a stage, if it is not all.
        recompute_layers: u32 where 0..=10_000,
        /// Transformer layers whose saved activations are on the host, if not parts of all layers.
        offloaded_layers: u32 where 0..=10_000,
        /// The modules that selective recomputation covers, as the framework names them.
        recompute_modules: Vec<String> as names up to 32,
        /// The attention kernel.
        attention: Attention,
        /// The implementation of the cross-entropy.
        loss: Loss,
        /// The kernels of norms, activations and rotary positions inside a layer.
        layer_kernels: LayerKernels,
        /// Whether the feed-forward network runs on a part of the tokens at a time, and computes them again.
        tiled_layers: bool,
        /// Whether torch.compile is on.
        compile: bool,
        /// Whether CUDA graphs are captured.
        cuda_graphs: bool,
        /// The states that are offloaded to host memory.
        offload: Offload as group,
        /// The use of the host's memory.
        host: Host as group,
        /// The saved states.
        checkpoint: Checkpoint as group,
        /// The trained weights.
        finetuning: Finetuning as group,
        /// What is optimized: the next token, preferences, rewards, classes.
        objective: Objective,
        /// The other models of the job.
        roles: Roles as group,
        /// The training framework.
        framework: Framework,
        /// The framework's version.
        #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
        framework_version: String,
        /// The accelerators.
        accelerator: Accelerator as group,
        /// The amount of training data.
        dataset: Dataset as group,
        /// The efficiency of the hardware's use.
        efficiency: Efficiency as group,
        /// The price of an accelerator.
        price: Price as group,
        /// The target.
        target: Target as group,
    }
}

group! {
    /// A transformer's shape. Explicit dimensions beat those of a known name.
    Model {
        /// A known model or a Hugging Face id.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        name: String,
        /// All parameters, experts included.
        parameters: Count,
        /// The parameters that one token passes through, if these are fewer.
        active_parameters: Count,
        /// Transformer layers.
        layers: u32 where 1..=10_000,
        /// The residual stream's width.
        hidden_size: u32 where 1..=1_048_576,
        /// Query heads.
        attention_heads: u32 where 1..=65_536,
        /// Key and value heads: fewer than query heads under grouped-query attention.
        key_value_heads: u32 where 1..=65_536,
        /// A head's width, if it is not hidden size / heads.
        head_size: u32 where 1..=65_536,
        /// The feed-forward network's width.
        ffn_hidden_size: u32 where 1..=4_194_304,
        /// The vocabulary's size.
        vocab_size: u32 where 1..=16_777_216,
        /// The vocabulary's size in the stored embedding, if it is padded.
        padded_vocab_size: u32 where 1..=16_777_216,
        /// The feed-forward network's activation.
        activation: Activation,
        /// Whether the output layer shares the embedding's weights.
        tied_embeddings: bool,
        /// The position embedding.
        positions: Positions,
        /// Whether linear layers have biases.
        biases: bool,
        /// Whether the query, key and value projections alone have biases.
        qkv_biases: bool,
        /// Whether queries and keys are normalized, head by head.
        query_key_normalization: bool,
        /// Whether the outputs of attention and feed-forward are normalized, too, before they are added.
        output_normalization: bool,
        /// Whether a tanh caps the logits: the output layer's, and those of unfused attention.
        capped_logits: bool,
        /// The length of the learned position table, if it is not the sequence length.
        max_positions: u32 where 1..=134_217_728,
        /// The normalization layer.
        normalization: Normalization,
        /// Experts in a mixture-of-experts layer.
        experts: u32 where 1..=65_536,
        /// Experts of each token.
        experts_per_token: u32 where 1..=65_536,
        /// An expert's width.
        expert_ffn_hidden_size: u32 where 1..=4_194_304,
        /// Experts that every token passes through.
        shared_experts: u32 where 0..=65_536,
        /// The layers without experts: their number at the front, or their indices.
        dense_layers: DenseLayers where 0..=10_000,
        /// Additional layers that predict further tokens.
        multi_token_prediction_layers: u32 where 0..=100,
        /// Dropout after attention and feed-forward, in percent.
        hidden_dropout: Decimal as percent_or_zero,
        /// Dropout on the attention's weights, in percent.
        attention_dropout: Decimal as percent_or_zero,
        /// The kinds of layers, one letter a layer, repeated: * attention, S attention over a window, X attention to a
        /// tower's tokens, G Gated DeltaNet, K Kimi Delta Attention, L lightning attention, M a state space, H attention
        /// and a state space, C a short convolution, B an encoder's layer, D a decoder's with attention to the encoder's
        /// tokens, N a network whose layers are not listed, - a feed-forward network alone, E experts alone.
        layer_pattern: LayerPattern,
        /// The tokens that an encoder reads of every sample, where the model fixes them: 1500 in Whisper.
        encoder_length: u32 where 1..=134_217_728,
        /// The tokens that attention over a window sees.
        sliding_window: u32 where 1..=134_217_728,
        /// Whether attention's output is gated, by a projection as wide as the queries'.
        gated_attention: bool,
        /// The width of all shared experts, where it is not that of so many experts.
        shared_expert_ffn_hidden_size: u32 where 1..=4_194_304,
        /// The width that routed experts read and write, where it is not the hidden size.
        expert_latent_size: u32 where 1..=1_048_576,
        /// The tokens that a short convolution sees.
        short_convolution: u32 where 1..=1_024,
        /// Parameters of towers for images and audio, with their projections.
        tower_parameters: Count,
        /// Those of the towers' parameters that project what a tower saw to the model's hidden size.
        projection_parameters: Count,
        /// Parameters that none of the dimensions gives, such as embeddings of each layer.
        further_parameters: Count,
        /// Inputs and outputs of all layers that have adapters, added up, where no dimension gives them.
        adapter_width: u32 where 1..=1_000_000_000,
        /// What a step keeps for each sample, where no layers are listed, as a quantity like 8Gi.
        sample_activations: String as quantity,
        /// Attention over all tokens, where its sizes differ from those of attention over a window.
        global_attention: GlobalAttention as group,
        /// Multi-head latent attention's ranks and sizes.
        latent_attention: LatentAttention as group,
        /// Linear attention's heads and sizes: Gated DeltaNet and Kimi Delta Attention.
        linear_attention: LinearAttention as group,
        /// A state space's sizes: Mamba and Mamba-2.
        state_space: StateSpace as group,
    }
}

group! {
    /// Attention over all tokens, in a model whose other layers see a window.
    GlobalAttention in Model {
        /// A head's width.
        head_size: u32 where 1..=65_536,
        /// Key and value heads.
        key_value_heads: u32 where 1..=65_536,
        /// Whether keys serve as values too.
        keys_are_values: bool,
    }
}

group! {
    /// Linear attention: Gated DeltaNet and Kimi Delta Attention.
    LinearAttention in Model {
        /// Heads of queries and keys.
        key_heads: u32 where 1..=65_536,
        /// Heads of values.
        value_heads: u32 where 1..=65_536,
        /// A key head's width.
        key_head_size: u32 where 1..=65_536,
        /// A value head's width.
        value_head_size: u32 where 1..=65_536,
        /// The tokens that its short convolution sees.
        convolution: u32 where 1..=1_024,
    }
}

group! {
    /// A state space: Mamba and Mamba-2.
    StateSpace in Model {
        /// Heads of Mamba-2.
        heads: u32 where 1..=1_048_576,
        /// A head's width; all channels, of Mamba.
        head_size: u32 where 1..=4_194_304,
        /// Numbers of a channel's state.
        state_size: u32 where 1..=65_536,
        /// Groups of heads with the same inputs and outputs of the state.
        groups: u32 where 1..=65_536,
        /// The tokens that its short convolution sees.
        convolution: u32 where 1..=1_024,
        /// The rank of the time step's projection, which Mamba has and Mamba-2 has not.
        time_step_rank: u32 where 1..=65_536,
    }
}

group! {
    /// Multi-head latent attention.
    LatentAttention in Model {
        /// The low rank of the queries. Zero if queries are projected directly.
        query_rank: u32 where 0..=1_048_576,
        /// The low rank of the keys and values.
        key_value_rank: u32 where 1..=1_048_576,
        /// The rotary part of a head.
        rope_head_size: u32 where 0..=65_536,
        /// The part of a head without positions.
        nope_head_size: u32 where 1..=65_536,
        /// A value head's width.
        value_head_size: u32 where 1..=65_536,
    }
}

group! {
    /// The division of the work. The product of the degrees is the number of accelerators.
    Parallelism {
        /// Tensor parallel degree.
        tensor: u32 where 1..=65_536,
        /// Whether the tensor parallel group also divides the sequence between its matrix products.
        sequence: bool,
        /// Pipeline parallel degree.
        pipeline: u32 where 1..=65_536,
        /// Model chunks of a pipeline stage.
        virtual_pipeline: u32 where 1..=1_024,
        /// Context parallel degree.
        context: u32 where 1..=65_536,
        /// Expert parallel degree.
        expert: u32 where 1..=65_536,
        /// Tensor parallel degree of the experts, if it differs.
        expert_tensor: u32 where 1..=65_536,
        /// Data parallel degree.
        data: u32 where 1..=10_000_000,
        /// The schedule of the pipeline.
        schedule: Schedule,
        /// Layers of the first stage, if they are not an even share.
        first_stage_layers: u32 where 0..=10_000,
        /// Layers of the last stage, if they are not an even share.
        last_stage_layers: u32 where 0..=10_000,
        /// Whether the embedding counts as a layer in the division into stages.
        embedding_as_layer: bool,
        /// Whether the loss counts as a layer in the division into stages.
        loss_as_layer: bool,
        /// The dispatcher that sends tokens to their experts.
        dispatcher: Dispatcher,
        /// The most tokens of an expert, as a multiple of an even share; 1 if the router is forced to balance.
        capacity_factor: Decimal,
        /// The states that the data-parallel ranks divide among themselves.
        sharding: Sharding,
        /// The size of the sharding group, if it is smaller than data × context.
        sharding_degree: u32 where 1..=10_000_000,
        /// Whether FSDP frees the gathered parameters after the forward pass.
        reshard_after_forward: bool,
        /// Whether FSDP reduces gradients at the last microbatch of a step alone, and they stay whole until then.
        delayed_reduction: bool,
    }
}

group! {
    /// The batch.
    Batch {
        /// Sequences of one microbatch of a model replica.
        micro_batch_size: u32 where 1..=1_048_576,
        /// Sequences of one optimizer step, over all ranks.
        global_batch_size: u32 where 1..=2_147_483_647,
        /// The most tokens of a sequence.
        sequence_length: u32 where 1..=134_217_728,
        /// The most tokens of a sequence that an encoder reads. The sequence length is then the decoder's.
        source_length: u32 where 1..=134_217_728,
        /// The typical number of tokens of a sequence, if it is smaller.
        typical_sequence_length: u32 where 1..=134_217_728,
        /// Whether short samples are packed into full sequences.
        packing: bool,
        /// Tokens of a generated completion, at most. The sequence length includes them.
        completion_length: u32 where 1..=134_217_728,
    }
}

group! {
    /// The states that are offloaded to host memory.
    Offload {
        /// Optimizer states. The host computes the step.
        optimizer: bool,
        /// Parameters. They are gathered layer by layer.
        parameters: bool,
        /// Saved activations.
        activations: bool,
    }
}

group! {
    /// The use of the host's memory.
    Host {
        /// Worker processes of one rank's data loader.
        dataloader_workers: u32 where 0..=1_024,
        /// Batches that one worker holds ready.
        prefetch: u32 where 0..=1_024,
        /// Memory of one sample of the data loader, if it is more than its tokens: images, audio.
        sample_memory: String as quantity,
        /// Where the weights are while they are loaded.
        loading: Loading,
        /// The format of weights that are whole on every device while they are loaded, if it is wider than the trained one.
        loaded_precision: Precision,
        /// Whether a save gathers all weights in the memory of one process.
        full_state_dict: bool,
        /// Whether offloaded states are page-locked.
        pinned_offload: bool,
        /// Whether offloaded states are on a disk, and not in memory.
        disk_offload: bool,
        /// Whether the pod downloads the weights that it starts from.
        downloads: bool,
        /// The directory of downloaded weights, as the container sees it.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        hub_cache: String,
    }
}

group! {
    /// The saved states.
    Checkpoint {
        /// Optimizer steps between two saves.
        interval: u32 where 1..=1_000_000_000,
        /// Saves of the whole training.
        saves: u32 where 0..=1_000_000_000,
        /// The most saves that are kept.
        kept: u32 where 0..=1_000_000_000,
        /// The states that a save holds.
        states: SavedStates,
        /// The directory of the saves, as the container sees it.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        directory: String,
    }
}

group! {
    /// The trained weights.
    Finetuning {
        /// The method: all weights, or adapters.
        method: Method,
        /// The rank of the adapters.
        rank: u32 where 1..=65_536,
        /// The linear layers with adapters: q_proj, k_proj, …, or all-linear.
        targets: Vec<String> as names up to 32,
        /// Dropout on the inputs of the adapters, in percent.
        dropout: Decimal as percent_or_zero,
        /// Whether towers for images and audio are trained with the model.
        train_towers: bool,
        /// Whether the projection of frozen towers to the model's hidden size is trained.
        train_projection: bool,
        /// Whether the language model is frozen, and adapters, towers or their projection alone are trained.
        freeze_language_model: bool,
        /// Whether towers are trained whole beside a language model that is frozen or has adapters.
        whole_towers: bool,
        /// How QLoRA stores the frozen linear layers.
        quantization: Quantization as group,
        /// The stored format of embedding, norms and output layer under QLoRA, where it is not the framework's default.
        embedding_precision: Precision,
        /// The modules of which a copy is trained whole beside adapters: `embed_tokens`, `lm_head`.
        modules_to_save: Vec<String> as names up to 32,
        /// The stored format of these copies, where it is not that of the modules.
        saved_precision: Precision,
    }
}

group! {
    /// How QLoRA stores the frozen linear layers.
    Quantization in Finetuning {
        /// Bits of a stored number: 4, or 8.
        bits: u32 where 4..=8,
        /// Whether the scales of four-bit numbers are quantized again.
        double: bool,
        /// Whether a layer's experts are quantized, where they are one tensor and no linear layers.
        experts: bool,
    }
}

group! {
    /// The other models of the job, and where each one's weights are while the model trains.
    Roles {
        /// The frozen copy that the trained model is compared with.
        reference_model: Placement,
        /// The frozen model that scores samples.
        reward_model: Placement,
        /// The reward model's name: a known model or a Hugging Face id.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        reward_model_name: String,
        /// The frozen model whose outputs are learned.
        teacher_model: Placement,
        /// The teacher's name: a known model or a Hugging Face id.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        teacher_model_name: String,
        /// The second trained model, which predicts rewards.
        critic_model: Placement,
        /// The critic's name: a known model or a Hugging Face id.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        critic_model_name: String,
        /// The trained model and its optimizer's states, while samples are generated.
        trained_model: Placement,
        /// The engine that generates samples.
        rollout_engine: Placement,
        /// The share of an accelerator's memory that the engine reserves while it is awake, in percent.
        rollout_memory_percent: Decimal as percent,
    }
}

group! {
    /// The accelerators.
    Accelerator {
        /// A name from the catalogue: A100-80GB, H100, Ascend-910B3.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        kind ("type"): String,
        /// The number of all accelerators.
        count: u32 where 1..=10_000_000,
        /// The number of accelerators of a node.
        per_node: u32 where 1..=1_024,
        /// The memory of an accelerator, as a quantity like 80Gi. It beats the catalogue.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$")))]
        memory: String as quantity,
    }
}

group! {
    /// The amount of training data. Without tokens, it is steps × global batch × sequence length.
    Dataset {
        /// Tokens of one epoch.
        tokens: Count,
        /// Passes over the tokens.
        epochs: u32 where 1..=1_000_000,
        /// Optimizer steps.
        steps: u64 where 1..=1_000_000_000_000_u64,
    }
}

group! {
    /// The efficiency of the hardware's use.
    Efficiency {
        /// Model FLOPs utilization, in percent of the peak.
        mfu_percent: Decimal as percent,
        /// The share of the time that is spent in training, not in failures, restarts or checkpoints, in percent.
        goodput_percent: Decimal as percent,
    }
}

group! {
    /// The price of an accelerator.
    Price {
        /// The price of one accelerator for one hour.
        per_gpu_hour: Decimal,
        /// ISO 4217: USD, EUR, CNY.
        #[cfg_attr(feature = "schema", schemars(length(min = 3, max = 3)))]
        currency: String,
    }
}

group! {
    /// The target.
    Target {
        /// Days until the training should end.
        days: Decimal,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_path_of_every_handle_is_the_specs() {
        let fields = SPEC.fields();
        assert!(fields.len() > 90, "{fields:?}");
        for field in fields {
            assert_eq!(find(field.path()), Some(Member::Field(field)));
            let mut unknown = false;
            let spec =
                field.path().rsplit('.').fold(Value::Null, |value, name| serde_json::json!({name: value}));
            let _: TrainingJob = serde_ignored::deserialize(spec, |_| unknown = true).unwrap();
            assert!(!unknown, "{field}");
        }
    }

    #[test]
    fn a_path_is_found_where_the_spec_has_it() {
        assert_eq!(find("accelerator.type"), Some(Member::Field(accelerator::KIND.erased())));
        assert_eq!(find("model.latentAttention"), Some(Member::Group(model::LATENT_ATTENTION)));
        for unknown in ["", "model.", "Model", "model.name.x", "parallelism.tenser"] {
            assert_eq!(find(unknown), None, "{unknown}");
        }
    }
}
