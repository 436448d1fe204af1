//! The families of models, and what a family's code fixes that its `config.json` does not say.
//!
//! What is not marked is a Llama's: gated feed-forward network, RMSNorm, rotary positions, no biases, untied embeddings.
//! Source: Transformers 5.24, `models/*/modeling_*.py`; of families that it does not have, their own code.

/// What a family has that a Llama has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The output layer is tied, if the file does not say.
    Tied,
    /// A feed-forward network of two matrices.
    Plain,
    /// Norms with biases, or norms that count so.
    LayerNorm,
    /// A table of learned positions.
    Learned,
    /// Biases in all linear layers.
    Biases,
    /// Biases of queries, keys and values, if the file does not say.
    QkvBiases,
    /// Normalized queries and keys, if the file does not say.
    QueryKeyNorm,
    /// Norms behind attention and feed-forward network too.
    OutputNorm,
    /// A gate on attention's output.
    GatedAttention,
    /// Multi-head latent attention.
    Latent,
    /// A shared expert as wide as the others, which the file does not say.
    SharedExpert,
    /// Layers of one part each; the width of shared experts is that of one.
    Single,
    /// A dense network under the name of a shared one.
    SharedNetwork,
    /// The written width is cut to two thirds.
    TwoThirds,
    /// Every fourth layer, if the file does not say, has attention; the others are Gated `DeltaNet`.
    EveryFourth,
    /// `linear_attention` means Kimi Delta Attention.
    Kimi,
    /// `linear_attention` means lightning attention.
    Lightning,
    /// Attention and a state space in every layer.
    Parallel,
    /// State spaces alone.
    StateSpaces,
    /// Experts in layers of a period, as Jamba writes it.
    Periods,
    /// An encoder with segments and a head for masked words.
    Encoder,
    /// An encoder, and a decoder that attends to it.
    EncoderDecoder,
}

/// Families with the same marks.
pub(super) struct Family {
    types: &'static [&'static str],
    marks: &'static [Mark],
}

impl Family {
    pub(super) fn has(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }
}

/// The family of a `model_type`.
pub(super) fn find(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.types.contains(&model_type))
}

use Mark::{
    Biases, Encoder, EncoderDecoder, EveryFourth, GatedAttention, Kimi, Latent, LayerNorm, Learned,
    Lightning, OutputNorm, Parallel, Periods, Plain, QkvBiases, QueryKeyNorm, SharedExpert, SharedNetwork,
    Single, StateSpaces, Tied, TwoThirds,
};

const FAMILIES: &[Family] = &[
    Family {
        types: &[
            "llama",
            "mistral",
            "mixtral",
            "ministral",
            "ministral3",
            "phi3",
            "granite",
            "granitemoe",
            "smollm3",
            "helium",
            "internlm2",
            "internlm3",
            "minicpm",
            "minicpm3",
            "baichuan",
            "yi",
            "cwm",
            "solar_open",
            "ernie4_5",
            "aquila",
            "xverse",
            "mellum",
            "mistral3",
            "llava",
            "llava_next",
            "voxtral",
            "qwen3_asr_text",
            "idefics3",
            "smolvlm",
            "exaone",
            "pixtral",
            "hunyuan_v1_dense_text",
            "mimo_v2_flash",
            "youtu",
        ],
        marks: &[],
    },
    Family { types: &["seed_oss"], marks: &[QkvBiases] },
    Family {
        types: &[
            "qwen2",
            "qwen2_vl",
            "qwen2_5_vl",
            "qwen2_vl_text",
            "qwen2_5_vl_text",
            "qwen2_5_omni_text",
            "qwen2_audio",
            "mimo",
            "qwen2_5_omni_thinker",
            "qwen2_5_omni",
        ],
        marks: &[QkvBiases],
    },
    Family { types: &["qwen"], marks: &[QkvBiases] },
    Family { types: &["qwen2_moe"], marks: &[QkvBiases] },
    Family { types: &["chatglm"], marks: &[QkvBiases] },
    Family { types: &["glm"], marks: &[QkvBiases] },
    Family {
        types: &["glm4", "glm4v", "glm4v_text", "glm46v", "glm_ocr_text"],
        marks: &[QkvBiases, OutputNorm],
    },
    Family { types: &["glm4_moe", "glm4v_moe", "glm4v_moe_text", "sarvam_moe"], marks: &[] },
    Family {
        types: &[
            "qwen3",
            "qwen3_moe",
            "qwen3_vl",
            "qwen3_vl_text",
            "qwen3_vl_moe",
            "qwen3_vl_moe_text",
            "qwen3_omni_moe_text",
            "qwen3_omni_moe_thinker",
            "hunyuan_v1_dense",
            "hunyuan_v1_moe",
            "minimax_m2",
            "dots1",
            "olmoe",
            "olmo2",
            "olmo3",
            "exaone4",
            "exaone_moe",
            "hy_v3",
            "bailing_moe",
            "bailing_moe_v2",
            "internvl",
            "qwen3_asr",
        ],
        marks: &[QueryKeyNorm],
    },
    Family { types: &["olmo"], marks: &[] },
    Family { types: &["afmoe"], marks: &[QueryKeyNorm, OutputNorm, GatedAttention] },
    Family { types: &["ernie4_5_moe", "ernie4_5_moe_vl", "ernie4_5_vl_moe_text"], marks: &[] },
    Family { types: &["llama4", "llama4_text"], marks: &[SharedExpert] },
    Family { types: &["mllama", "mllama_text_model"], marks: &[] },
    Family {
        types: &[
            "deepseek_v2",
            "deepseek_v3",
            "deepseek_v32",
            "kimi_k2",
            "kimi_k25",
            "glm4_moe_lite",
            "glm_moe_dsa",
            "mistral4",
            "deepseek",
            "longcat_flash",
            "moonshotai",
        ],
        marks: &[Latent],
    },
    Family {
        types: &["qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"],
        marks: &[QueryKeyNorm, GatedAttention, EveryFourth],
    },
    Family { types: &["kimi_linear"], marks: &[Latent, Kimi] },
    Family { types: &["minimax", "minimax_text_01"], marks: &[Lightning] },
    Family { types: &["nemotron_h"], marks: &[Plain, Single] },
    Family { types: &["falcon_h1"], marks: &[Parallel] },
    Family { types: &["jamba"], marks: &[Periods] },
    Family { types: &["granitemoehybrid"], marks: &[SharedNetwork, Tied] },
    Family { types: &["bamba"], marks: &[] },
    Family { types: &["lfm2"], marks: &[QueryKeyNorm, Tied, TwoThirds] },
    Family { types: &["lfm2_moe"], marks: &[QueryKeyNorm, Tied] },
    Family { types: &["mamba", "falcon_mamba", "mamba2"], marks: &[StateSpaces, Tied] },
    Family { types: &["gpt_oss"], marks: &[QkvBiases] },
    Family { types: &["arcee"], marks: &[Plain] },
    Family { types: &["apertus"], marks: &[Plain, QueryKeyNorm] },
    Family { types: &["nemotron"], marks: &[Plain, LayerNorm] },
    Family { types: &["gemma", "gemma_text"], marks: &[Tied] },
    Family { types: &["gemma2"], marks: &[Tied, OutputNorm] },
    Family {
        types: &["gemma3", "gemma3_text", "gemma4", "gemma4_text", "gemma4_unified_text", "gemma3n_text"],
        marks: &[Tied, OutputNorm, QueryKeyNorm],
    },
    Family { types: &["cohere", "cohere2"], marks: &[Tied] },
    Family { types: &["starcoder2"], marks: &[Tied, Plain, LayerNorm, Biases] },
    Family {
        types: &["gpt2", "gpt_bigcode", "gpt_neo", "opt"],
        marks: &[Tied, Plain, LayerNorm, Learned, Biases],
    },
    Family { types: &["bloom"], marks: &[Tied, Plain, LayerNorm, Biases] },
    Family { types: &["gpt_neox"], marks: &[Plain, LayerNorm, Biases] },
    Family { types: &["stablelm"], marks: &[LayerNorm] },
    Family { types: &["falcon"], marks: &[Tied, Plain, LayerNorm] },
    Family { types: &["t5", "mt5"], marks: &[Tied, EncoderDecoder] },
    Family { types: &["m2m_100"], marks: &[Tied, Plain, LayerNorm, Biases, EncoderDecoder] },
    Family {
        types: &["bart", "mbart", "whisper"],
        marks: &[Tied, Plain, LayerNorm, Learned, Biases, EncoderDecoder],
    },
    Family {
        types: &["bert", "roberta", "xlm-roberta", "camembert"],
        marks: &[Tied, Plain, LayerNorm, Learned, Biases, Encoder],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_belongs_to_one_family() {
        let mut seen = std::collections::BTreeSet::new();
        for name in FAMILIES.iter().flat_map(|family| family.types) {
            assert!(seen.insert(name), "{name}");
        }
    }
}
