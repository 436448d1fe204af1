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
//! | `model: Model as group` | the fields of a group, which is declared below |
//! | `LatentAttention in Model` | a group within a group |
//! | `kind ("type"): String` | the spec's name is another than the struct's |

use pastey::paste;
use serde::{Deserialize, Serialize};

use super::handle::{Declared, Field, Group, Member, Range};
use super::{
    Activation, Attention, DenseLayers, Dispatcher, Framework, Loss, Method, Normalization, Optimizer,
    OptimizerImplementation, Positions, Precision, Recompute, Schedule, Sharding,
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
        $field:ident $(($key:literal))?: $type:ty $(as $form:ident)? $(where $least:literal..=$most:literal)?
    ),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$meta])*
            $(#[serde(rename = $key)])?
            $(#[cfg_attr(feature = "schema", schemars(range(min = $least, max = $most)))])?
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>),+
        }

        handles! { $name [$($parent)? $name] $({ $field [$($key)?] $type, [$($form)? $($least..=$most)?] })+ }
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
    ([$least:literal..=$most:literal]) => {
        Range::Whole { least: $least, most: $most }
    };
}

group! {
    /// What a training job asks for: model, parallelism, batch, precision, accelerator.
    TrainingJob {
        /// The transformer that is trained.
        model: Model as group,
        /// How the work is divided among the accelerators.
        parallelism: Parallelism as group,
        /// How many tokens pass at once.
        batch: Batch as group,
        /// The number format of the computation.
        precision: Precision,
        /// The stored parameters' format, where it is not the framework's default.
        parameter_precision: Precision,
        /// The stored gradients' format.
        gradient_precision: Precision,
        /// The format in which gradients are summed between ranks.
        gradient_reduction_precision: Precision,
        /// The format of the optimizer's own copy of the parameters.
        main_parameter_precision: Precision,
        /// The format of the optimizer's moments.
        optimizer_precision: Precision,
        /// The optimizer.
        optimizer: Optimizer,
        /// How the optimizer's step runs.
        optimizer_implementation: OptimizerImplementation,
        /// Activation recomputation, also called gradient checkpointing.
        recompute: Recompute,
        /// How many layers of a stage are recomputed, where not all are.
        recompute_layers: u32 where 0..=10_000,
        /// The modules that selective recomputation covers, as the framework names them.
        #[cfg_attr(feature = "schema", schemars(length(max = 16), inner(length(max = 64))))]
        recompute_modules: Vec<String>,
        /// The attention kernel.
        attention: Attention,
        /// The cross-entropy's implementation.
        loss: Loss,
        /// Whether torch.compile is on.
        compile: bool,
        /// Whether CUDA graphs are captured.
        cuda_graphs: bool,
        /// What is moved to the host's memory.
        offload: Offload as group,
        /// What is trained.
        finetuning: Finetuning as group,
        /// The training framework.
        framework: Framework,
        /// The framework's version, as it calls itself.
        #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
        framework_version: String,
        /// The accelerators.
        accelerator: Accelerator as group,
        /// How much is trained on.
        dataset: Dataset as group,
        /// How well the hardware is used.
        efficiency: Efficiency as group,
        /// What an accelerator's hour costs.
        price: Price as group,
        /// What is wished for.
        target: Target as group,
    }
}

group! {
    /// A transformer's shape. Explicit dimensions win over those of a known name.
    Model {
        /// A known model or a Hugging Face id.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        name: String,
        /// All parameters, experts included.
        parameters: Count,
        /// The parameters that one token passes through, where that is fewer.
        active_parameters: Count,
        /// Transformer layers.
        layers: u32 where 1..=10_000,
        /// The residual stream's width.
        hidden_size: u32 where 1..=1_048_576,
        /// Query heads.
        attention_heads: u32 where 1..=65_536,
        /// Key and value heads: fewer than query heads under grouped-query attention.
        key_value_heads: u32 where 1..=65_536,
        /// A head's width, where it is not hidden size / heads.
        head_size: u32 where 1..=65_536,
        /// The feed-forward network's width.
        ffn_hidden_size: u32 where 1..=4_194_304,
        /// The vocabulary's size.
        vocab_size: u32 where 1..=16_777_216,
        /// The vocabulary's size as the embedding is stored, where it is padded.
        padded_vocab_size: u32 where 1..=16_777_216,
        /// The feed-forward network's activation.
        activation: Activation,
        /// Whether the output layer shares the embedding's weights.
        tied_embeddings: bool,
        /// How positions enter.
        positions: Positions,
        /// Whether linear layers have biases.
        biases: bool,
        /// Whether the query, key and value projections alone have biases.
        qkv_biases: bool,
        /// Whether queries and keys are normalized, head by head.
        query_key_normalization: bool,
        /// Whether what attention and feed-forward put out is normalized too, before it is added.
        output_normalization: bool,
        /// Whether logits are capped by a tanh: the output layer's, and those of unfused attention.
        capped_logits: bool,
        /// The length of the learned position table, where it is not the sequence's.
        max_positions: u32 where 1..=134_217_728,
        /// The normalization layer.
        normalization: Normalization,
        /// Experts in a mixture-of-experts layer.
        experts: u32 where 1..=65_536,
        /// Experts that a token is sent to.
        experts_per_token: u32 where 1..=65_536,
        /// An expert's width.
        expert_ffn_hidden_size: u32 where 1..=4_194_304,
        /// Experts that every token passes.
        shared_experts: u32 where 0..=65_536,
        /// The layers without experts: how many at the front, or which.
        dense_layers: DenseLayers where 0..=10_000,
        /// Extra layers that predict further tokens.
        multi_token_prediction_layers: u32 where 0..=100,
        /// Dropout after attention and feed-forward, in percent.
        hidden_dropout: Decimal as percent_or_zero,
        /// Dropout on the attention's weights, in percent.
        attention_dropout: Decimal as percent_or_zero,
        /// Multi-head latent attention's ranks and sizes.
        latent_attention: LatentAttention as group,
    }
}

group! {
    /// Multi-head latent attention.
    LatentAttention in Model {
        /// The queries' low rank; none where queries are projected directly.
        query_rank: u32 where 0..=1_048_576,
        /// The keys' and values' low rank.
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
    /// How the work is divided. Degrees multiply to the number of accelerators.
    Parallelism {
        /// Tensor parallel degree.
        tensor: u32 where 1..=65_536,
        /// Whether the tensor parallel group also divides the sequence between its matrix products.
        sequence: bool,
        /// Pipeline parallel degree.
        pipeline: u32 where 1..=65_536,
        /// Model chunks a pipeline stage holds.
        virtual_pipeline: u32 where 1..=1_024,
        /// Context parallel degree.
        context: u32 where 1..=65_536,
        /// Expert parallel degree.
        expert: u32 where 1..=65_536,
        /// Tensor parallel degree of the experts, where it differs.
        expert_tensor: u32 where 1..=65_536,
        /// Data parallel degree.
        data: u32 where 1..=10_000_000,
        /// The order in which microbatches pass the pipeline.
        schedule: Schedule,
        /// Layers of the first stage, where they are not an even share.
        first_stage_layers: u32 where 0..=10_000,
        /// Layers of the last stage.
        last_stage_layers: u32 where 0..=10_000,
        /// Whether the embedding counts as a layer when stages are cut.
        embedding_as_layer: bool,
        /// Whether the loss counts as a layer when stages are cut.
        loss_as_layer: bool,
        /// How tokens reach their experts.
        dispatcher: Dispatcher,
        /// The most tokens an expert takes, as a multiple of an even share.
        capacity_factor: Decimal,
        /// What the data-parallel ranks divide among themselves.
        sharding: Sharding,
        /// The group that shards, where it is smaller than all of data × context.
        sharding_degree: u32 where 1..=10_000_000,
        /// Whether FSDP frees the gathered parameters after the forward pass.
        reshard_after_forward: bool,
    }
}

group! {
    /// How many tokens pass at once.
    Batch {
        /// Sequences that one model replica computes at once.
        micro_batch_size: u32 where 1..=1_048_576,
        /// Sequences of one optimizer step, over all ranks.
        global_batch_size: u32 where 1..=2_147_483_647,
        /// Tokens a sequence, at most.
        sequence_length: u32 where 1..=134_217_728,
        /// Tokens a sequence, typically, where that is fewer.
        typical_sequence_length: u32 where 1..=134_217_728,
        /// Whether short samples are packed into full sequences.
        packing: bool,
    }
}

group! {
    /// What is moved to the host's memory.
    Offload {
        /// Optimizer states, and the step with them.
        optimizer: bool,
        /// Parameters, gathered layer by layer.
        parameters: bool,
        /// Saved activations.
        activations: bool,
    }
}

group! {
    /// What is trained.
    Finetuning {
        /// Every weight, or adapters.
        method: Method,
        /// The adapters' rank.
        rank: u32 where 1..=65_536,
        /// The linear layers that have adapters: q_proj, k_proj, …, or all-linear.
        #[cfg_attr(feature = "schema", schemars(length(max = 32), inner(length(max = 64))))]
        targets: Vec<String>,
        /// Dropout on the adapters' inputs, in percent.
        dropout: Decimal as percent_or_zero,
    }
}

group! {
    /// The accelerators.
    Accelerator {
        /// A name from the catalogue: A100-80GB, H100, Ascend-910B3.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        kind ("type"): String,
        /// Accelerators in all.
        count: u32 where 1..=10_000_000,
        /// Accelerators of one node.
        per_node: u32 where 1..=1_024,
        /// One accelerator's memory, as a quantity like 80Gi; overrides the catalogue.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$")))]
        memory: String as quantity,
    }
}

group! {
    /// How much is trained on. Steps × global batch × sequence where tokens are not given.
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
    /// How well the hardware is used.
    Efficiency {
        /// Model FLOPs utilization, in percent of the peak.
        mfu_percent: Decimal as percent,
        /// The share of the time that is spent training, not failing, restarting or saving, in percent.
        goodput_percent: Decimal as percent,
    }
}

group! {
    /// What an accelerator's hour costs.
    Price {
        /// The price of one accelerator for one hour.
        per_gpu_hour: Decimal,
        /// ISO 4217: USD, EUR, CNY.
        #[cfg_attr(feature = "schema", schemars(length(min = 3, max = 3)))]
        currency: String,
    }
}

group! {
    /// What is wished for.
    Target {
        /// Days until it should be done.
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
