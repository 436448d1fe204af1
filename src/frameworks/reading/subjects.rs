//! What an option may be about, by the words in its name.
//!
//! ```text
//! name ─► words (split at _ - . and capitals) ─► first word of bookkeeping? nothing : the subjects of its words
//! ```
//!
//! If an option opens too many fields, a right refusal is lost. If it opens too few, a refusal is wrong, which is worse.
//! So a word in doubt has its subjects. What a list of a framework's options knows better is a correction there.

use std::fmt;

use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::job::{
    AnyField, Attention, LayerKernels, Loss, Method, OpenField, Placement, Precision, Recompute, ValueOf,
    field,
};

/// The subject of a word in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
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
    /// Fused kernels of layers, which touch neither the loss nor the attention.
    LayerKernels,
    Optimizer,
    MicroBatch,
    /// Whole modules that are trained beside adapters, or more of each adapter than the estimate counts.
    Trained,
    /// The format of stored gradients.
    Gradients,
    /// Where another model of the job is: the reference, the reward model, the teacher, the critic.
    Reference,
    Reward,
    Teacher,
    Critic,
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
            "quantizer",
            "quantise",
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
            "nvfp4",
            "fp4",
            "torchao",
            "quanto",
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

/// The words of the models beside the trained one.
const ROLES: &[(Subject, &[&str])] = &[
    (Subject::Reference, &["ref", "reference"]),
    (Subject::Reward, &["reward", "rm"]),
    (Subject::Teacher, &["teacher"]),
    (Subject::Critic, &["critic"]),
];
/// Words that say where such a model is, and in what form: `teacher_deepspeed`, `reward_model_url`,
/// `ref_model_init_kwargs`.
const PLACES: &[&str] = &[
    "server",
    "url",
    "api",
    "host",
    "port",
    "remote",
    "deepspeed",
    "ds",
    "zero",
    "zero3",
    "fsdp",
    "shard",
    "sharding",
    "offload",
    "cpu",
    "device",
    "gpus",
    "tp",
    "quant",
    "quantization",
    "load",
    "dtype",
    "kwargs",
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
    "tokenizers",
    "vllm",
    "sglang",
    "lmdeploy",
    "inference",
    "export",
    "icl",
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

/// Last words of options that change no memory: hyperparameters of an optimizer, and settings of an adapter's scale.
const INERT_ENDS: &[&str] = &["lr", "eps", "beta", "beta1", "beta2", "betas", "decay", "momentum", "alpha"];
/// The rank of adapters that need as much as whole embeddings that are trained beside adapters. Adapters of rank 256 on
/// all linear layers of Llama 3 8B have 0.7 billion parameters, its embedding and its output layer 1.05 billion.
const AS_RANK: u64 = 256;
/// First words of switches: their number one is no degree.
const SWITCHES: &[&str] = &["use", "enable", "with", "is", "do"];
/// Words that turn the meaning of a switch round.
const NEGATIONS: &[&str] =
    &["no", "not", "non", "disable", "disabled", "without", "skip", "ignore", "exclude"];

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Context => "context parallel",
            Self::Tensor => "tensor parallel",
            Self::Pipeline => "pipeline parallel",
            Self::Expert => "expert parallel",
            Self::Sharding => "sharding",
            Self::Offload => "offload",
            Self::Quantization => "quantization",
            Self::Method => "method",
            Self::Length => "length",
            Self::Recompute => "recompute",
            Self::Kernels => "kernels",
            Self::LayerKernels => "kernels of layers",
            Self::Optimizer => "optimizer",
            Self::MicroBatch => "micro-batch",
            Self::Trained => "more trained",
            Self::Gradients => "gradients",
            Self::Reference => "reference model",
            Self::Reward => "reward model",
            Self::Teacher => "teacher",
            Self::Critic => "critic",
        };
        f.write_str(name)
    }
}

/// The value of an option, as far as its effect depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionValue {
    /// It is off, empty or zero.
    Off,
    /// A number.
    Number(u64),
    /// Anything else, or not known.
    Other,
}

impl OptionValue {
    /// The value in a text. [`Self::Other`] if there is no text.
    pub(crate) fn of(text: Option<&str>) -> Self {
        let Some(text) = text.map(|text| text.trim_matches(['"', '\'', ' '])) else { return Self::Other };
        if ["", "false", "off", "no", "none", "null", "0", "0.0", "[]", "{}"]
            .iter()
            .any(|off| text.eq_ignore_ascii_case(off))
        {
            return Self::Off;
        }
        text.replace('_', "").parse().map_or(Self::Other, Self::Number)
    }
}

impl Subject {
    /// Whether an option about it changes nothing with this value: it is off, or divides by one.
    fn is_unchanged_by(self, given: OptionValue) -> bool {
        match given {
            OptionValue::Off => true,
            OptionValue::Number(1) => DIVISIONS.contains(&self),
            _ => false,
        }
    }

    /// The fields that an option about it may change.
    pub(crate) fn fields(self) -> &'static [AnyField] {
        const CONTEXT: &[AnyField] = &[field::parallelism::CONTEXT.erased()];
        const TENSOR: &[AnyField] = &[field::parallelism::TENSOR.erased()];
        const PIPELINE: &[AnyField] = &[field::parallelism::PIPELINE.erased()];
        const EXPERT: &[AnyField] = &[field::parallelism::EXPERT.erased()];
        const SHARDING: &[AnyField] = &[field::parallelism::SHARDING.erased()];
        const OFFLOAD: &[AnyField] = &[
            field::offload::OPTIMIZER.erased(),
            field::offload::PARAMETERS.erased(),
            field::offload::ACTIVATIONS.erased(),
        ];
        const QUANTIZATION: &[AnyField] = &[field::finetuning::METHOD.erased(), field::OPTIMIZER.erased()];
        const TRAINED: &[AnyField] = &[field::finetuning::RANK.erased()];
        const METHOD: &[AnyField] = &[field::finetuning::METHOD.erased()];
        const LENGTH: &[AnyField] =
            &[field::batch::TYPICAL_SEQUENCE_LENGTH.erased(), field::batch::SEQUENCE_LENGTH.erased()];
        const RECOMPUTE: &[AnyField] = &[field::RECOMPUTE.erased()];
        const KERNELS: &[AnyField] = &[
            field::LOSS.erased(),
            field::ATTENTION.erased(),
            field::LAYER_KERNELS.erased(),
            field::TILED_LAYERS.erased(),
        ];
        const LAYER_KERNELS: &[AnyField] = &[field::LAYER_KERNELS.erased()];
        const OPTIMIZER: &[AnyField] = &[field::OPTIMIZER.erased(), field::OPTIMIZER_PRECISION.erased()];
        const GRADIENTS: &[AnyField] = &[field::GRADIENT_PRECISION.erased()];
        const REFERENCE: &[AnyField] = &[field::roles::REFERENCE_MODEL.erased()];
        const REWARD: &[AnyField] = &[field::roles::REWARD_MODEL.erased()];
        const TEACHER: &[AnyField] = &[field::roles::TEACHER_MODEL.erased()];
        const CRITIC: &[AnyField] = &[field::roles::CRITIC_MODEL.erased()];
        const MICRO_BATCH: &[AnyField] = &[field::batch::MICRO_BATCH_SIZE.erased()];
        match self {
            Self::Context => CONTEXT,
            Self::Tensor => TENSOR,
            Self::Pipeline => PIPELINE,
            Self::Expert => EXPERT,
            Self::Sharding => SHARDING,
            Self::Offload => OFFLOAD,
            Self::Quantization => QUANTIZATION,
            Self::Method => METHOD,
            Self::Trained => TRAINED,
            Self::Length => LENGTH,
            Self::Recompute => RECOMPUTE,
            Self::Kernels => KERNELS,
            Self::LayerKernels => LAYER_KERNELS,
            Self::Optimizer => OPTIMIZER,
            Self::MicroBatch => MICRO_BATCH,
            Self::Gradients => GRADIENTS,
            Self::Reference => REFERENCE,
            Self::Reward => REWARD,
            Self::Teacher => TEACHER,
            Self::Critic => CRITIC,
        }
    }

    /// Opens its fields: at their leanest for refusing, and at their heaviest for warning.
    pub(crate) fn open(self, given: OptionValue, negated: bool, claims: &mut Claims) {
        if negated {
            return self.open_upwards(claims);
        }
        match self {
            Self::Quantization | Self::Method => {
                open_between(field::finetuning::METHOD, Some(Method::QLoRA), None, claims);
                if self == Self::Quantization {
                    complete::open_at_its_leanest(field::OPTIMIZER.erased(), claims);
                }
            }
            Self::Recompute => {
                open_between(field::RECOMPUTE, Some(Recompute::Full), Some(Recompute::None), claims);
            }
            Self::Trained => open_between(field::finetuning::RANK, None, Some(AS_RANK), claims),
            Self::Gradients => {
                open_between(field::GRADIENT_PRECISION, Some(Precision::BF16), Some(Precision::FP32), claims);
            }
            Self::Kernels => {
                open_between(field::LOSS, Some(Loss::Fused), None, claims);
                open_between(field::ATTENTION, Some(Attention::Flash), None, claims);
                open_between(field::LAYER_KERNELS, Some(LayerKernels::Liger), None, claims);
                open_between(field::TILED_LAYERS, Some(true), None, claims);
            }
            Self::LayerKernels => {
                open_between(field::LAYER_KERNELS, Some(LayerKernels::Liger), None, claims);
            }
            Self::Offload => {
                for field in self.fields() {
                    open_between(*field, Some(serde_json::Value::Bool(true)), None, claims);
                }
            }
            Self::Length => {
                open_between(field::batch::TYPICAL_SEQUENCE_LENGTH, Some(64), None, claims);
                if let OptionValue::Number(tokens @ 64..=10_000_000) = given {
                    heaviest(field::batch::SEQUENCE_LENGTH.erased(), serde_json::Value::from(tokens), claims);
                }
            }
            Self::Reference | Self::Reward | Self::Teacher | Self::Critic => {
                for field in self.fields() {
                    open_between(*field, Some(Placement::Elsewhere.json()), None, claims);
                }
            }
            Self::MicroBatch => {
                claims.open(field::batch::MICRO_BATCH_SIZE, 1);
                if let OptionValue::Number(sequences @ 2..=1_024) = given {
                    heaviest(
                        field::batch::MICRO_BATCH_SIZE.erased(),
                        serde_json::Value::from(sequences),
                        claims,
                    );
                }
            }
            _ => {
                for field in self.fields() {
                    complete::open_at_its_leanest(*field, claims);
                }
            }
        }
    }

    /// Opens its fields for what turns something off.
    fn open_upwards(self, claims: &mut Claims) {
        match self {
            Self::Recompute => heaviest(field::RECOMPUTE, Recompute::None, claims),
            Self::Kernels => heaviest(field::LOSS, Loss::Eager, claims),
            Self::Offload => {
                for field in self.fields() {
                    heaviest(*field, serde_json::Value::Bool(false), claims);
                }
            }
            _ => {}
        }
    }
}

fn open_between<F: Into<AnyField>, V: ValueOf<F>>(
    field: F,
    leanest: Option<V>,
    heaviest: Option<V>,
    claims: &mut Claims,
) {
    let (leanest, heaviest) = (leanest.map(V::json), heaviest.map(V::json));
    claims.open_field(OpenField { field: field.into(), leanest, heaviest, although_given: true });
}

fn heaviest<F: Into<AnyField>, V: ValueOf<F>>(field: F, value: V, claims: &mut Claims) {
    let heaviest = Some(value.json());
    claims.open_field(OpenField { field: field.into(), leanest: None, heaviest, although_given: false });
}

/// Whether a name turns something off: `no_gradient_checkpointing`.
pub(crate) fn is_negated(name: &str) -> bool {
    words(name).iter().any(|word| NEGATIONS.contains(&word.as_str()))
}

/// The subjects of an option that its value leaves.
pub(crate) fn changed_by(name: &str, subjects: &[Subject], given: OptionValue) -> Vec<Subject> {
    let is_switch = || words(name).first().is_some_and(|first| SWITCHES.contains(&first.as_str()));
    let given = if given == OptionValue::Number(1) && is_switch() { OptionValue::Other } else { given };
    subjects.iter().copied().filter(|subject| !subject.is_unchanged_by(given)).collect()
}

/// The subjects in the words of a name.
pub(crate) fn subjects(name: &str) -> Vec<Subject> {
    let words = words(name);
    if words.last().is_some_and(|end| INERT_ENDS.contains(&end.as_str())) {
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
    // verl's group of the actor is named after the reference, too.
    let group = ["actor", "rollout", "ref"];
    let within = if words.starts_with(&group.map(str::to_owned)) { words.get(group.len()..) } else { None };
    let within = within.unwrap_or(&words);
    if bits || has(PLACES) {
        let is_about = |told: &[&str]| within.iter().any(|word| told.contains(&word.as_str()));
        subjects.extend(ROLES.iter().filter(|(_, words)| is_about(words)).map(|(role, _)| *role));
    }
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
            ("teacher_model_server", vec![Subject::Teacher]),
            ("teacher_deepspeed", vec![Subject::Sharding, Subject::Teacher]),
            ("ref_model_init_kwargs", vec![Subject::Reference]),
            ("remote_rm_url", vec![Subject::Reward]),
            ("critic_load_in_4bit", vec![Subject::Quantization, Subject::Critic]),
            ("reward_weights", vec![]),
            ("actor_rollout_ref.actor.fsdp_config.offload_policy", vec![Subject::Sharding, Subject::Offload]),
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

    #[test]
    fn what_is_off_or_divides_by_one_changes_nothing() {
        let changed =
            |name: &str, value: Option<&str>| changed_by(name, &subjects(name), OptionValue::of(value));
        assert_eq!(changed("load_in_3bit", Some("False")), []);
        assert_eq!(changed("load_in_3bit", Some("yes")), [Subject::Quantization]);
        assert_eq!(changed("ulysses_sequence_parallel_size", Some("1")), []);
        assert_eq!(changed("ulysses_sequence_parallel_size", Some("4")), [Subject::Context]);
        assert_eq!(changed("ulysses_sequence_parallel_size", None), [Subject::Context]);
        assert_eq!(changed("quantization_bits", Some("1")), [Subject::Quantization]);
        assert_eq!(changed("USE_MCA", Some("1")), DIVISIONS);
        assert_eq!(changed("USE_MCA", Some("0")), []);
    }

    #[test]
    fn an_unread_length_is_open_both_ways() {
        let mut claims = Claims::default();
        Subject::Length.open(OptionValue::Number(32_768), false, &mut claims);
        let ends: Vec<_> =
            claims.open.iter().map(|open| (open.field.path(), &open.leanest, &open.heaviest)).collect();
        assert_eq!(
            ends,
            [
                ("batch.typicalSequenceLength", &Some(64.into()), &None),
                ("batch.sequenceLength", &None, &Some(32_768.into())),
            ]
        );
    }

    #[test]
    fn what_turns_something_off_can_only_need_more() {
        let mut claims = Claims::default();
        Subject::Recompute.open(OptionValue::Other, is_negated("no_gradient_checkpointing"), &mut claims);
        assert_eq!(claims.open.len(), 1);
        assert_eq!((&claims.open[0].leanest, &claims.open[0].heaviest), (&None, &Some("None".into())));
        assert!(!is_negated("normalization") && is_negated("disableOffload"));
    }
}
