//! Options that no reader asked for, and the fields that they may change, found by the words in their names.
//!
//! A newer version, a fork or a custom script has options that no table lists. Most of them change no memory. Some do,
//! and their names show it: `--sequence_parallel_size`, `load_in_3bit`, `use_liger_v2`. Such an option opens fields. A
//! job is refused only if it runs out with these fields at their leanest.
//!
//! ```text
//! name ─► words (split at _ - . and capitals) ─► first word of bookkeeping? no field : the fields of its words
//! ```
//!
//! If an option opens too many fields, a right refusal is lost. If it opens too few, a refusal is wrong, which is worse.
//! So a word in doubt opens its fields.

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::job::{AnyField, Attention, Loss, Method, field};

/// The most options and keys that are checked.
const MAX_NAMES: usize = 2_000;

/// The subject of a word in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Context,
    Tensor,
    Pipeline,
    Expert,
    Sharding,
    Offload,
    Quantization,
    Method,
    Length,
    Recompute,
    Kernels,
    Optimizer,
    MicroBatch,
}

/// The words of each subject.
const SUBJECTS: &[(Subject, &[&str])] = &[
    (Subject::Context, &["sequence", "context", "cp", "sp", "ulysses", "ring"]),
    (Subject::Tensor, &["tensor", "tp", "model"]),
    (Subject::Pipeline, &["pipeline", "pp", "stage", "stages"]),
    (Subject::Expert, &["expert", "ep", "etp"]),
    (
        Subject::Sharding,
        &[
            "shard",
            "sharded",
            "sharding",
            "fsdp",
            "fsdp2",
            "hsdp",
            "zero",
            "zero1",
            "zero2",
            "zero3",
            "deepspeed",
            "gemini",
        ],
    ),
    (Subject::Offload, &["offload", "offloading", "offloaded", "nvme", "paged", "swap"]),
    (
        Subject::Quantization,
        &[
            "quant",
            "quantize",
            "quantized",
            "quantization",
            "int4",
            "int8",
            "nf4",
            "gptq",
            "awq",
            "hqq",
            "bnb",
            "qat",
            "aqlm",
            "mxfp4",
        ],
    ),
    (
        Subject::Method,
        &[
            "lora",
            "qlora",
            "dora",
            "adapter",
            "adapters",
            "peft",
            "galore",
            "badam",
            "freeze",
            "freezing",
            "frozen",
            "unfreeze",
            "trainable",
            "oft",
            "ia3",
        ],
    ),
    (
        Subject::Length,
        &["length", "len", "seqlen", "pack", "packing", "packed", "truncate", "truncation", "varlen"],
    ),
    (Subject::Recompute, &["recompute", "recomputation", "checkpointing", "remat", "rematerialization"]),
    (Subject::Kernels, &["fused", "fuse", "liger", "chunk", "chunked", "tiled", "unsloth", "cce", "celoss"]),
    (Subject::Optimizer, &["optim", "optimizer", "lion", "muon", "adafactor", "apollo", "lomo"]),
    (Subject::MicroBatch, &["microbatch", "micro", "mbs"]),
];

/// Words that mean any division, if no other word of the name says which division.
const PARALLEL: &[&str] = &["parallel", "parallelism", "megatron", "mca", "mesh"];
/// Subjects that mean a division only together with a word of [`PARALLEL`].
const DIVISIONS: &[Subject] = &[Subject::Context, Subject::Tensor, Subject::Pipeline, Subject::Expert];

/// First words of bookkeeping options. They name what is saved, logged, measured or read. They do not name what is
/// trained.
const BOOKKEEPING: &[&str] = &[
    "save",
    "log",
    "logging",
    "eval",
    "evaluation",
    "val",
    "valid",
    "validation",
    "test",
    "wandb",
    "report",
    "push",
    "hub",
    "dataset",
    "datasets",
    "data",
    "dataloader",
    "lr",
    "learning",
    "output",
    "seed",
    "warmup",
    "metric",
    "generation",
    "predict",
    "tokenizer",
    "resume",
    "profile",
    "profiler",
    "tensorboard",
    "ckpt",
    "timeout",
    "rdzv",
    "exit",
    "tb",
    "mlflow",
    "swanlab",
    "comet",
    "ddp",
    "experiment",
    "vocab",
    "decay",
    "weight",
    "clip",
    "overlap",
    "init",
    "distributed",
    "chat",
    "prompt",
    "preprocessing",
    "remove",
    "load",
    "split",
    "hf",
    "auto",
    "early",
    "greater",
    "cache",
    "overwrite",
    "template",
];

/// Options of Transformers 4.57, PEFT 0.17, accelerate 1.11, DeepSpeed 0.18, LLaMA-Factory 0.9 and torchtune 0.6. No
/// reader asks for them, and they change no memory, whatever words they have.
const INERT: &[&str] = &[
    "accumulate_grad_in_fp32",
    "deepspeed_multinode_launcher",
    "fsdp_auto_wrap_policy",
    "fsdp_backward_prefetch",
    "fsdp_cpu_ram_efficient_loading",
    "fsdp_forward_prefetch",
    "fsdp_state_dict_type",
    "fsdp_sync_module_states",
    "fsdp_transformer_layer_cls_to_wrap",
    "fsdp_use_orig_params",
    "gradient_checkpointing_kwargs",
    "lora_alpha",
    "lora_bias",
    "lora_init",
    "per_device_eval_batch_size",
    "use_reentrant",
    "zero3_init_flag",
    "zero3_save_16bit_model",
    "zero_allow_untested_optimizer",
];
/// Endings of options that change no memory: hyperparameters of an optimizer.
const INERT_ENDS: &[&str] = &["lr", "eps", "beta", "beta1", "beta2", "betas", "decay", "momentum", "alpha"];

/// Opens the fields that unread options may change.
pub(crate) fn leave_open(launch: &Launch, claims: &mut Claims) {
    let arguments = launch.launchers.iter().map(|launcher| &launcher.arguments).chain([&launch.arguments]);
    let options = arguments.flat_map(|arguments| arguments.unasked());
    let keys = claims.files.iter().flat_map(|file| file.unasked());
    let switches = launch.environment.iter().map(|(name, _)| name).filter(|name| name.starts_with("USE_"));
    let names = options.chain(keys).chain(switches);
    let subjects: Vec<Subject> = names.take(MAX_NAMES).flat_map(subjects).collect();
    for subject in subjects {
        open(subject, claims);
    }
}

fn open(subject: Subject, claims: &mut Claims) {
    let fields: &[AnyField] = match subject {
        Subject::Context => &[field::parallelism::CONTEXT.erased()],
        Subject::Tensor => &[field::parallelism::TENSOR.erased()],
        Subject::Pipeline => &[field::parallelism::PIPELINE.erased()],
        Subject::Expert => &[field::parallelism::EXPERT.erased()],
        Subject::Sharding => &[field::parallelism::SHARDING.erased()],
        Subject::Offload => &[
            field::offload::OPTIMIZER.erased(),
            field::offload::PARAMETERS.erased(),
            field::offload::ACTIVATIONS.erased(),
        ],
        Subject::Recompute => &[field::RECOMPUTE.erased()],
        Subject::Optimizer => &[field::OPTIMIZER.erased(), field::OPTIMIZER_PRECISION.erased()],
        Subject::Quantization => {
            claims.open(field::finetuning::METHOD, Method::QLoRA);
            &[field::OPTIMIZER.erased()]
        }
        Subject::Method => {
            claims.open(field::finetuning::METHOD, Method::QLoRA);
            &[]
        }
        Subject::Length => {
            claims.open(field::batch::TYPICAL_SEQUENCE_LENGTH, 64);
            &[]
        }
        Subject::Kernels => {
            claims.open(field::LOSS, Loss::Fused);
            claims.open(field::ATTENTION, Attention::Flash);
            &[]
        }
        Subject::MicroBatch => {
            claims.open(field::batch::MICRO_BATCH_SIZE, 1);
            &[]
        }
    };
    for field in fields {
        complete::open_at_its_leanest(*field, claims);
    }
}

/// The subjects in the words of a name.
fn subjects(name: &str) -> Vec<Subject> {
    let last = name.rsplit('.').next().unwrap_or_default().replace('-', "_");
    let words = words(name);
    if INERT.contains(&last.as_str()) || words.last().is_some_and(|end| INERT_ENDS.contains(&end.as_str())) {
        return Vec::new();
    }
    let is_bits = |word: &String| {
        let letters = word.trim_start_matches(|c: char| c.is_ascii_digit());
        letters == "bit" || letters == "bits"
    };
    let bits = words.iter().any(is_bits);
    if !bits && words.first().is_none_or(|first| BOOKKEEPING.contains(&first.as_str())) {
        return Vec::new();
    }
    let has = |told: &[&str]| words.iter().any(|word| told.contains(&word.as_str()));
    let parallel = has(PARALLEL);
    let told = |subject: Subject, its_words: &[&str]| {
        (has(its_words) && (parallel || !DIVISIONS.contains(&subject)))
            || (subject == Subject::Quantization && bits)
    };
    let mut subjects: Vec<Subject> = SUBJECTS
        .iter()
        .filter(|(subject, its_words)| told(*subject, its_words))
        .map(|(subject, _)| *subject)
        .collect();
    if parallel && !subjects.iter().any(|subject| DIVISIONS.contains(subject)) {
        subjects.extend(DIVISIONS);
    }
    subjects
}

/// The words of a name in lower case, split before capitals and at every character that is no letter or digit.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small_before = false;
    for character in name.chars() {
        let breaks = !character.is_ascii_alphanumeric() || (small_before && character.is_ascii_uppercase());
        if breaks {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        small_before = character.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_name_tell_what_it_may_change() {
        for (name, told) in [
            ("sequence_parallel_size", vec![Subject::Context]),
            ("context-parallel-degree", vec![Subject::Context]),
            ("USE_MCA", DIVISIONS.to_vec()),
            ("load_in_3bit", vec![Subject::Quantization]),
            ("useLigerKernel", vec![Subject::Kernels]),
            (
                "CELOSS_PARALLEL_SIZE",
                vec![Subject::Kernels, Subject::Context, Subject::Tensor, Subject::Pipeline, Subject::Expert],
            ),
            ("model.freeze_vit", vec![Subject::Method]),
            ("optimizer.offload_states", vec![Subject::Offload, Subject::Optimizer]),
            ("max_seqlen", vec![Subject::Length]),
            ("gradient_checkpointing_ratio", vec![Subject::Recompute]),
        ] {
            assert_eq!(subjects(name), told, "{name}");
        }
    }

    #[test]
    fn bookkeeping_changes_nothing() {
        for name in [
            "save_steps",
            "logging_steps",
            "eval_batch_size",
            "wandb_project",
            "dataset_length",
            "seed",
            "dtype",
            "",
        ] {
            assert_eq!(subjects(name), [], "{name}");
        }
    }
}
