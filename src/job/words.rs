//! The words of the spec: the values of fields that are not numbers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grammar::Grammar;
use super::handle::{Assignment, Constant, Field, FieldType, ValueOf};

/// Declares an enumeration whose values are CamelCase strings in Kubernetes objects, and dashed words, upper or lower
/// case, in annotations.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$value_doc:meta])* $value:ident = [$own:literal $(, $word:literal)*]),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[expect(missing_docs, reason = "the values are the field's own words")]
        pub enum $name { $($(#[$value_doc])* $value),+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// The words that people may write, each value's own first.
            pub const WORDS: &'static [&'static str] = &[$($own $(, $word)*),+];

            /// The value as Kubernetes objects hold it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => stringify!($value)),+ }
            }

            /// The value's own word, as annotations hold it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$value => $own),+ }
            }

            /// The value of a person's word, in upper or lower case. `None` for an unknown word.
            pub fn from_word(word: &str) -> Option<Self> {
                let word = word.trim();
                $(if word.eq_ignore_ascii_case(stringify!($value))
                    || word.eq_ignore_ascii_case($own)
                    $(|| word.eq_ignore_ascii_case($word))* { return Some(Self::$value); })+
                None
            }
        }

        impl FieldType for $name {
            type Constant = Self;
            const GRAMMAR: Grammar = Grammar::Word {
                read: |word| Self::from_word(word).map(Self::name),
                words: &[$($own),+],
            };
        }

        impl ValueOf<Field<Self>> for $name {
            fn json(self) -> Value {
                self.name().into()
            }
        }

        impl Field<$name> {
            /// The field with this value.
            #[allow(dead_code, reason = "not every field stands in a table, and to expect it fails for those that do")]
            pub(crate) const fn is(self, value: $name) -> Assignment {
                Assignment { field: self.erased(), value: Constant::Word(value.name()) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words! {
    /// The feed-forward network's activation: SwiGLU has two input matrices, GELU one.
    Activation { SwiGLU = ["swiglu", "silu", "geglu"], GELU = ["gelu", "relu"] }
}
words! {
    /// How positions enter: computed, a learned table of sequence length × hidden size, or a learned number for each
    /// distance, which attention adds to its scores.
    Positions { Rotary = ["rotary", "rope"], Learned = ["learned", "absolute"], Relative = ["relative"] }
}
words! {
    /// The normalization layer: one vector of weights, or weights and biases.
    Normalization { RMSNorm = ["rmsnorm"], LayerNorm = ["layernorm"] }
}
words! {
    /// The order in which microbatches pass the pipeline.
    Schedule {
        OneForwardOneBackward = ["1f1b", "one-forward-one-backward"], Interleaved = ["interleaved"],
        GPipe = ["gpipe", "afab"], ZeroBubble = ["zero-bubble", "zb"], DualPipe = ["dualpipe"],
    }
}
words! {
    /// How tokens reach their experts.
    Dispatcher {
        AllGather = ["allgather"], AllToAll = ["alltoall"], DeepEP = ["deepep"], HybridEP = ["hybridep"],
    }
}
words! {
    /// What the data-parallel ranks divide among themselves.
    Sharding {
        None = ["ddp", "none", "no-shard"], ZeRO1 = ["zero1", "zero-1"], ZeRO2 = ["zero2", "zero-2"],
        ZeRO3 = ["zero3", "zero-3"], FSDP = ["fsdp", "full-shard", "fsdp2"], HSDP = ["hsdp", "hybrid-shard"],
        DistributedOptimizer = ["distributed-optimizer"],
    }
}
words! {
    /// A number format.
    Precision {
        FP32 = ["fp32", "float32", "32"], TF32 = ["tf32"], FP16 = ["fp16", "float16", "16"],
        BF16 = ["bf16", "bfloat16"], FP8 = ["fp8"], FP4 = ["fp4", "nvfp4", "mxfp4"],
    }
}
words! {
    /// The optimizer, which decides how many states each parameter has.
    Optimizer {
        AdamW = ["adamw", "adam"], AdamW8bit = ["adamw-8bit", "adamw8bit", "paged-adamw-8bit"],
        AdamW4bit = ["adamw-4bit", "adamw4bit"], Adafactor = ["adafactor"], SGD = ["sgd"], Lion = ["lion"],
        Muon = ["muon"],
    }
}
words! {
    /// How the optimizer's step runs over the tensors.
    OptimizerImplementation { Foreach = ["foreach"], Fused = ["fused"], ForLoop = ["for-loop", "forloop"] }
}
words! {
    /// Which activations the backward pass computes again instead of keeping.
    Recompute {
        None = ["none", "off", "false", "no"], Selective = ["selective"],
        Full = ["full", "on", "true", "yes"],
    }
}
words! {
    /// The attention kernel: fused ones keep no sequence × sequence matrix.
    Attention {
        Flash = ["flash", "flash-attention", "flash_attention_2", "sdpa"], Fused = ["fused"],
        Unfused = ["unfused", "eager"], Masked = ["masked"],
    }
}
words! {
    /// The cross-entropy's implementation, which decides how often the logits are held.
    Loss {
        Eager = ["eager"], VocabParallel = ["vocab-parallel"],
        // Compiled: one more copy of the logits.
        CompiledVocabParallel = ["compiled-vocab-parallel"],
        // The gradient replaces the logits.
        InPlace = ["in-place"],
        Chunked = ["chunked"], Fused = ["fused"],
    }
}
words! {
    /// The kernels inside a layer, which decide what its norms, activations and rotary positions keep.
    LayerKernels { Eager = ["eager"], Liger = ["liger"] }
}
words! {
    /// What is trained: every weight, or adapters beside frozen weights.
    Method { Full = ["full"], LoRA = ["lora"], QLoRA = ["qlora"] }
}
words! {
    /// What is optimized. It decides how many sequences a sample has, which other models are held, and what the last
    /// layer puts out.
    Objective {
        Pretraining = ["pretraining", "pretrain", "pt"], Supervised = ["sft", "supervised"],
        DPO = ["dpo", "ipo"], KTO = ["kto"], ORPO = ["orpo"], SimPO = ["simpo"], CPO = ["cpo"],
        Reward = ["reward", "rm"], PPO = ["ppo"], GRPO = ["grpo", "dapo", "gspo"], RLOO = ["rloo", "reinforce"],
        Distillation = ["distillation", "gkd", "kd"], Classification = ["classification", "seq-cls", "token-cls"],
        Embedding = ["embedding", "contrastive"],
    }
}
words! {
    /// Where another model's weights are during training: whole on every device; divided among the data-parallel ranks;
    /// on the host; the trained model without its adapters; on the device between training steps only; the trained model
    /// itself; on other devices, or nowhere.
    Placement {
        Resident = ["resident"], Sharded = ["sharded"], Offloaded = ["offloaded"], AdaptersOff = ["adapters-off"],
        Asleep = ["asleep"], Trained = ["trained"], Elsewhere = ["elsewhere", "none"],
    }
}
words! {
    /// Where weights are while they are loaded: whole in the memory of every rank; whole on every accelerator before the
    /// ranks divide them; whole in the memory of a node's first rank; each rank reads its share; straight from the file to
    /// the accelerator.
    Loading {
        EveryRank = ["every-rank"], EveryDevice = ["every-device"], FirstRank = ["first-rank", "rank0"], Sharded = ["sharded"],
        Direct = ["direct", "device-map"],
    }
}
words! {
    /// The states that a save holds: weights and optimizer, or weights alone.
    SavedStates { All = ["all"], Weights = ["weights", "weights-only"] }
}
words! {
    /// The training framework. Its defaults fill fields without a value.
    Framework {
        Megatron = ["megatron", "megatron-lm", "nemo"], DeepSpeed = ["deepspeed"],
        MegatronDeepSpeed = ["megatron-deepspeed"], FSDP = ["fsdp", "pytorch-fsdp"], Torchtitan = ["torchtitan"],
        HuggingFace = ["huggingface", "hugging-face", "transformers", "trl"], Torchtune = ["torchtune"],
        LitGPT = ["litgpt"], Nanotron = ["nanotron"], LLMFoundry = ["llm-foundry", "llmfoundry"],
        InternEvo = ["internevo"], ColossalAI = ["colossalai", "colossal-ai"], MaxText = ["maxtext"], Unsloth = ["unsloth"],
    }
}
