//! ms-swift on Megatron-Core: `megatron sft --model Qwen/Qwen3-8B --tensor_model_parallel_size 2 …`, `megatron pt`, and
//! `megatron rlhf`.
//!
//! Its options are Megatron-LM's with underscores, and a switch has a value: `--sequence_parallel true`. So the rules over
//! several options are Megatron-LM's. What differs is read here, from the releases 3.12.3 and 4.5.2
//! (`swift/megatron/argument*/megatron_args.py`):
//!
//! | field | default |
//! | --- | --- |
//! | method | all weights; adapters of rank 8 with a dropout of 5 % on all linear layers |
//! | sharding | the distributed optimizer; `--use_megatron_fsdp` divides all states unless its strategy says less |
//! | batch | micro-batches of 1, 16 sequences a step |
//! | recomputation | of the attention alone (`selective`) |
//! | expert tensor parallel | 1, and not the tensor parallel degree |
//! | format | bf16 |
//! | loss | Megatron Core's fusion, which releases until 3.12 leave off |
//!
//! Samples of a micro-batch are joined without padding, so `--max_length` is a cap unless `--packing` is on. The reference
//! of `rlhf` is divided as the trained model is.

use crate::command::{Launch, Target, basename};
use crate::frameworks::hugging_face::objective::Defaults;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::megatron_lm;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::host;
use crate::frameworks::reading::settings::{self, Settings};
use crate::job::{Assignment, Attention, Framework, Loss, Method, Precision, Recompute, Sharding, field};

const SOURCE: &str = "Megatron-SWIFT 4.5 default";

const PROGRAMS: &[&str] = &["megatron sft", "megatron pt", "megatron rlhf"];
const MODULES: &[&str] = &["swift.cli._megatron.sft", "swift.cli._megatron.pt", "swift.cli._megatron.rlhf"];

/// Where its defaults decide what else is held.
const HELD: Defaults = Defaults { source: SOURCE, beta: 0.04, engine_percent: 90, completion: 512 };

const FLAGS: Table = &[
    // A converted model has the name of its folder.
    &flag(&["model", "mcore_model", "load", "model_id_or_path"], field::model::NAME, Takes::Text),
    &flag(&["packing_length", "max_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["packing"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["virtual_pipeline_model_parallel_size"], field::parallelism::VIRTUAL_PIPELINE, Takes::Number),
    &flag(&["num_train_epochs", "max_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["torch_dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["attn_impl"], field::ATTENTION, Takes::OneOf(training_arguments::ATTENTION)),
];

/// Data loaders and saves.
const HOST: host::Names = host::Names {
    workers: &["dataloader_num_workers", "num_workers"],
    prefetch: &["dataloader_prefetch_factor"],
    directory: &["output_dir", "save"],
    interval: &["save_steps", "save_interval"],
    kept: &["save_total_limit"],
    weights_only: &["no_save_optim"],
};

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::batch::GLOBAL_BATCH_SIZE.is(16),
    field::batch::PACKING.is(false),
    field::PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::Selective),
    field::ATTENTION.is(Attention::Flash),
    field::parallelism::TENSOR.is(1),
    field::parallelism::PIPELINE.is(1),
    field::parallelism::CONTEXT.is(1),
    field::parallelism::SEQUENCE.is(false),
    field::parallelism::EXPERT.is(1),
    field::parallelism::EXPERT_TENSOR.is(1),
    field::offload::OPTIMIZER.is(false),
];

const ADAPTERS: &[Assignment] = &[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(5)];

/// Whether the launch runs it.
pub(super) fn recognises(launch: &Launch) -> bool {
    PROGRAMS.iter().any(|program| launch.runs_program(program))
        || MODULES.iter().any(|module| launch.runs_module(module))
        || is_file(launch, &["sft.py", "pt.py", "rlhf.py"])
}

/// Whether it is one of its files, started by its path: `…/swift/cli/_megatron/sft.py`.
fn is_file(launch: &Launch, names: &[&str]) -> bool {
    let Target::Script(path) = &launch.target else { return false };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.ends_with("swift/cli/_megatron") && names.contains(&basename(path))
}

/// Claims the settings of the launch.
pub(super) fn read(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::Megatron, "megatron");
    settings::read(FLAGS, settings, claims);
    megatron_lm::read_shared(settings, claims);
    host::read(&HOST, settings, claims);
    sharding(settings, claims);
    method(launch, settings, claims);
    training_arguments::towers(settings, claims);
    let rewards = launch.runs_program("megatron rlhf")
        || launch.runs_module("swift.cli._megatron.rlhf")
        || is_file(launch, &["rlhf.py"]);
    super::objective(rewards, HELD, settings, claims);
    loss(claims);
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// The fusion is on since 4.5. What it keeps was not measured here: a public run with the fusion needed less than
/// Megatron-LM's figures give. So the loss is open, stated or not.
fn loss(claims: &mut Claims) {
    claims.assume(field::LOSS, Loss::CompiledVocabParallel, SOURCE);
    claims.open_anyway(field::LOSS, Loss::InPlace);
}

/// The division of the optimizer's states, or of all states.
fn sharding(settings: &Settings<'_>, claims: &mut Claims) {
    let sharding = field::parallelism::SHARDING;
    if let Some(fsdp) = settings.get(&["use_megatron_fsdp"]).filter(|setting| setting.truth() != Some(false))
    {
        let strategy = settings.text(&["data_parallel_sharding_strategy"]);
        let divided = match strategy.as_deref() {
            Some("no_shard") => Sharding::None,
            Some("optim") => Sharding::ZeRO1,
            Some("optim_grads") => Sharding::ZeRO2,
            _ => Sharding::FSDP,
        };
        fsdp.says(claims, sharding, divided);
    } else if let Some(setting) = settings.get(&["use_distributed_optimizer"]) {
        match setting.truth() {
            Some(true) => setting.says(claims, sharding, Sharding::DistributedOptimizer),
            Some(false) => setting.says(claims, sharding, Sharding::None),
            None => claims.unparsed(sharding),
        }
    } else {
        claims.assume(sharding, Sharding::DistributedOptimizer, SOURCE);
    }
}

/// The trained weights. An adapter that is loaded turns adapters on.
fn method(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let loads = settings.has(&["adapters", "mcore_adapter", "adapter_load"]);
    if peft::read(settings, true, claims).is_none() {
        claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
        if loads {
            claims.open(field::finetuning::METHOD, Method::LoRA);
        }
    }
    let adapted = claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full);
    if adapted {
        settings::assume(ADAPTERS, SOURCE, claims);
        if !settings.has(&["target_modules", "target_regex"]) {
            claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
        }
    }
    let freezes =
        |word: &str| word.starts_with("--freeze_parameters") || word.starts_with("--trainable_parameters");
    let llm = settings.on(&["freeze_llm"]) == Some(true);
    if llm || launch.arguments.words().iter().any(|word| freezes(&word.text)) {
        complete::leave_frozen_open(claims);
    }
}
