//! Checkpoints whose name says that their weights are stored in few bits.
//!
//! ```text
//! name ─► words (split at everything that is no letter or digit) ─► a library, a format, or a number of bits under 16?
//! ```
//!
//! | sign | examples |
//! | --- | --- |
//! | a library or its format | `GPTQ`, `AWQ`, `GGUF`, `AQLM`, `HQQ`, `bnb`, `exl2`, `EETQ`, `VPTQ`, `quip` |
//! | a number format | `NVFP4`, `MXFP4`, `FP4`, `nf4`, `FP8`, `int4`, `W4A16`, `W4AFP8`, `NVFP4A16` |
//! | bits, and GGUF's types | `4bit`, `4-bit`, `Q4_K_M`, `IQ2_XS` |
//!
//! How many bytes such weights take depends on the library, and some libraries unpack them when they load. So the job
//! has no estimate, unless it says itself that it trains adapters on quantized weights. The recipes of some frameworks
//! end in `_fp8` and mean the computation, so FP8 counts only behind another separator.
//!
//! Names of published checkpoints: huggingface.co, organisations nvidia, `RedHatAI`, unsloth, Qwen, `TheBloke`, `ISTA-DASLab`,
//! `turboderp` and `VPTQ-community`, November 2026.

use crate::frameworks::reading::claims::Claims;
use crate::job::{Cause, Method, Placement, field};

/// How the words of such a name begin.
const BEGINNINGS: &[&str] = &[
    "gptq", "awq", "autoawq", "gguf", "ggml", "aqlm", "nvfp", "mxfp", "fp4", "fp6", "nf4", "exl2", "exl3",
    "quip",
];
/// Its words.
const WORDS: &[&str] = &[
    "hqq",
    "bnb",
    "eetq",
    "vptq",
    "spqr",
    "higgs",
    "marlin",
    "smoothquant",
    "quanto",
    "torchao",
    "quantized",
];

/// Leaves a job without an estimate whose model is stored in few bits, and the place of another such model open.
pub(crate) fn read(claims: &mut Claims) {
    let told = claims.get(field::finetuning::METHOD).is_some_and(|method| method == Method::QLoRA);
    if !told && claims.get(field::model::NAME).is_some_and(|name| in_few_bits(&name)) {
        claims.beyond = claims.beyond.or(Some(Cause::StoredQuantized));
    }
    for (name, placement) in [
        (field::roles::REWARD_MODEL_NAME, field::roles::REWARD_MODEL),
        (field::roles::TEACHER_MODEL_NAME, field::roles::TEACHER_MODEL),
    ] {
        if claims.get(name).is_some_and(|name| in_few_bits(&name)) {
            claims.open_anyway(placement, Placement::Elsewhere);
        }
    }
}

/// Whether a model's name says that its weights are stored in few bits.
pub(crate) fn in_few_bits(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let before = |at: usize| at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
    words.iter().enumerate().any(|(at, word)| {
        BEGINNINGS.iter().any(|begin| word.starts_with(begin))
            || WORDS.contains(word)
            || is_format(word)
            || is_of_gguf(word, words.get(at + 1).copied().unwrap_or_default())
            || (matches!(*word, "bit" | "bits") && few(before(at)))
    }) || name.contains("-fp8")
}

/// `int4`, `4bit`, `w4a16`, `w4afp8`.
fn is_format(word: &str) -> bool {
    let activations = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || c == 'f');
    let weights = word.strip_prefix('w').and_then(|word| word.split_once('a'));
    let weights = weights.filter(|(_, behind)| activations(behind)).map(|(bits, _)| bits);
    let bits = word.strip_suffix("bits").or_else(|| word.strip_suffix("bit"));
    [word.strip_prefix("int"), weights, bits].into_iter().flatten().any(few)
}

/// `Q4_K_M`, `Q8_0`, `IQ2_XS`: the bits, and the type behind them.
fn is_of_gguf(word: &str, next: &str) -> bool {
    let bits = word.strip_prefix("iq").or_else(|| word.strip_prefix('q'));
    bits.is_some_and(few) && matches!(next, "k" | "0" | "1" | "s" | "m" | "xs" | "xxs" | "nl")
}

/// Whether it is a number of bits under 16.
fn few(bits: &str) -> bool {
    matches!(bits, "1" | "2" | "3" | "4" | "5" | "6" | "8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whether_its_weights_are_stored_in_few_bits() {
        for name in [
            "nvidia/Llama-3.3-70B-Instruct-NVFP4",
            "nvidia/DeepSeek-V4-Flash-NVFP4",
            "nvidia/Llama-3.3-70B-Instruct-FP4",
            "nvidia/Qwen3-32B-FP8",
            "RedHatAI/Qwen3-32B-NVFP4A16",
            "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
            "RedHatAI/Meta-Llama-3.1-70B-Instruct-quantized.w4a16",
            "RedHatAI/Llama-3.3-70B-Instruct-quantized.w8a8",
            "deepseek-ai/DeepSeek-R1-W4AFP8",
            "amd/Llama-3.1-405B-Instruct-MXFP4-Preview",
            "unsloth/llama-3-70b-bnb-4bit",
            "unsloth/Llama-3.3-70B-Instruct-GGUF",
            "bartowski/Llama-3.3-70B-Instruct-Q4_K_M",
            "unsloth/DeepSeek-R1-IQ2_XS",
            "TheBloke/Llama-2-70B-GPTQ",
            "casperhansen/llama-3-70b-instruct-awq",
            "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
            "ISTA-DASLab/Meta-Llama-3.1-70B-Instruct-AQLM-PV-2Bit-1x16",
            "turboderp/Llama-3-70B-Instruct-exl2",
            "VPTQ-community/Meta-Llama-3.1-70B-Instruct-v8-k65536-256-woft-vptq",
            "mobiuslabsgmbh/Llama-2-70b-hf-HQQ-4bit",
            "/models/llama-70b-4-bit",
            "Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8",
        ] {
            assert!(in_few_bits(name), "{name}");
        }
        for name in [
            "meta-llama/Llama-2-70b-hf",
            "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
            "Qwen/Qwen3-30B-A3B-Instruct-2507",
            "/models/llama-16bit",
            "/models/checkpoint2/llama",
            "llama3_8b_fp8",
            "acme/fp16-32-bits",
            "w2a/llama",
            "",
        ] {
            assert!(!in_few_bits(name), "{name}");
        }
    }

    #[test]
    fn a_job_that_says_that_it_is_quantized_keeps_its_estimate() {
        let of = |method: Method| {
            let mut claims = Claims::default();
            claims.argument(field::model::NAME, "unsloth/llama-3-8b-bnb-4bit", "--model");
            claims.argument(field::finetuning::METHOD, method, "--method");
            read(&mut claims);
            claims.beyond
        };
        assert_eq!(of(Method::LoRA), Some(Cause::StoredQuantized));
        assert_eq!(of(Method::QLoRA), None);
    }

    #[test]
    fn a_teacher_in_few_bits_may_take_next_to_nothing() {
        let mut claims = Claims::default();
        claims.argument(field::roles::TEACHER_MODEL_NAME, "Qwen/Qwen2.5-72B-Instruct-AWQ", "--teacher_model");
        read(&mut claims);
        assert!(claims.leaves_open(field::roles::TEACHER_MODEL.erased()));
    }
}
