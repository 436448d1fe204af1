//! NeMo-RL: `uv run examples/run_grpo_math.py --config grpo.yaml policy.model_name=… cluster.gpus_per_node=8`.
//!
//! **Recognised** by its programs' names, and where other projects have the same name by the folder `examples` or by words
//! of `policy` or `cluster`. Words override the file, and a file overrides the one that its `defaults` names. Read from the release 0.3.0 (`examples/configs`,
//! `nemo_rl/models/policy`): FSDP2 over all accelerators (`dtensor_cfg`), or Megatron-Core (`megatron_cfg.enabled`), fp32
//! weights that are computed in bf16, no checkpointing, and the model, batch and length of the project's own files. The
//! reference is on the host, and swapped in. The engine shares the accelerators (`generation.colocated`), with 60 % of the
//! memory, sleeps while the policy trains, and the policy is on the host while it generates.

pub(in crate::frameworks) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::megatron_core::keys;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Framework, Method, Objective, Placement, Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "NeMo-RL 0.3 default";

/// Its programs, and whether no other project has their names.
const PROGRAMS: &[(&str, Objective, bool)] = &[
    ("run_grpo_math.py", Objective::GRPO, true),
    ("run_grpo_sliding_puzzle.py", Objective::GRPO, true),
    ("run_grpo.py", Objective::GRPO, false),
    ("run_dpo.py", Objective::DPO, false),
    ("run_sft.py", Objective::Supervised, false),
    ("run_rm.py", Objective::Reward, false),
];

/// A configuration of the project (`examples/configs`), on which others build.
struct Base {
    file: &'static str,
    objective: Objective,
    model: &'static str,
    micro_batch: u64,
    global_batch: u64,
    length: u64,
}

/// The first of an objective is its program's own.
const BASES: &[Base] = &[
    Base {
        file: "sft.yaml",
        objective: Objective::Supervised,
        model: "meta-llama/Llama-3.2-1B",
        micro_batch: 1,
        global_batch: 32,
        length: 1024,
    },
    Base {
        file: "dpo.yaml",
        objective: Objective::DPO,
        model: "meta-llama/Llama-3.2-1B-Instruct",
        micro_batch: 2,
        global_batch: 128,
        length: 1024,
    },
    Base {
        file: "rm.yaml",
        objective: Objective::Reward,
        model: "meta-llama/Llama-3.2-1B-Instruct",
        micro_batch: 1,
        global_batch: 128,
        length: 8192,
    },
    Base {
        file: "grpo_math_1B.yaml",
        objective: Objective::GRPO,
        model: "Qwen/Qwen2.5-1.5B",
        micro_batch: 4,
        global_batch: 512,
        length: 512,
    },
];

/// For a file that builds on no other.
const WHOLE: Base = Base {
    file: "",
    objective: Objective::Supervised,
    model: "",
    micro_batch: 1,
    global_batch: 32,
    length: 1024,
};

/// The most files that build on each other.
const MOST_FILES: usize = 8;

const ADAPTERS: Table = &[
    &flag(
        &["policy.dtensor_cfg.lora_cfg.dim", "policy.megatron_cfg.peft.dim"],
        field::finetuning::RANK,
        Takes::Number,
    ),
    &flag(
        &["policy.dtensor_cfg.lora_cfg.dropout", "policy.megatron_cfg.peft.dropout"],
        field::finetuning::DROPOUT,
        Takes::Percent,
    ),
    &flag(
        &["policy.dtensor_cfg.lora_cfg.target_modules", "policy.megatron_cfg.peft.target_modules"],
        field::finetuning::TARGETS,
        Takes::List,
    ),
];

const KEYS: Table = &[
    &flag(&["policy.model_name"], field::model::NAME, Takes::Text),
    &flag(&["policy.train_micro_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["policy.train_global_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["policy.max_total_sequence_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["policy.precision"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
];

const DTENSOR: Table = &[
    &flag(&["policy.dtensor_cfg.tensor_parallel_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["policy.dtensor_cfg.context_parallel_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["policy.dtensor_cfg.sequence_parallel"], field::parallelism::SEQUENCE, Takes::Switch(true)),
    &flag(&["policy.dtensor_cfg.cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
];

const MEGATRON: Table = &[&flag(
    &["policy.megatron_cfg.optimizer.optimizer_cpu_offload"],
    field::offload::OPTIMIZER,
    Takes::Switch(true),
)];

const ENGINE: Table = &[&flag(
    &["policy.generation.vllm_cfg.gpu_memory_utilization"],
    field::roles::ROLLOUT_MEMORY_PERCENT,
    Takes::Percent,
)];

const DEFAULTS: &[Assignment] = &[
    field::finetuning::METHOD.is(Method::Full),
    field::PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::None),
    field::offload::PARAMETERS.is(false),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    program(launch).is_some()
}

fn program(launch: &Launch) -> Option<Objective> {
    let Target::Script(path) = &launch.target else { return None };
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (_, objective, alone) = PROGRAMS.iter().find(|(known, ..)| *known == file)?;
    let theirs = || {
        let words = launch.arguments.words().iter().map(|word| word.text.trim_start_matches('+'));
        let mut words = words.filter(|word| word.contains('='));
        folder.ends_with("examples")
            || words.any(|word| ["policy.", "cluster."].iter().any(|group| word.starts_with(group)))
    };
    (*alone || theirs()).then_some(*objective)
}

/// The settings of a launch: its words, its file, and the files that this one builds on. The last of them may be one of the
/// project's own. `None` in its place if a file is not known.
fn settings_of<'l>(
    launch: &'l Launch,
    objective: Objective,
    claims: &mut Claims,
) -> (Settings<'l>, Option<&'static Base>) {
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let named = Settings::of(vec![Place::Options(&launch.arguments)]).text(&["config"]);
    let own = BASES.iter().find(|base| base.objective == objective);
    let mut path = named.or_else(|| own.map(|base| base.file.to_owned())).unwrap_or_default();
    for _ in 0..MOST_FILES {
        if launch.files.meant(&path).is_none() {
            let file = path.rsplit('/').next().unwrap_or_default();
            let base = BASES.iter().find(|base| base.file == file);
            if base.is_none() {
                // It is not known, which is a warning.
                let _ = config::named(launch, &path, "--config", claims);
            }
            return (settings, base);
        }
        let Some(file) = config::named(launch, &path, "--config", claims) else { break };
        let next = file.get("defaults").and_then(|name| name.as_str()).map(str::to_owned);
        settings.add(Place::File(file));
        let Some(next) = next else { return (settings, Some(&WHOLE)) };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        path = format!("{folder}/{next}");
    }
    (settings, None)
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(objective) = program(launch) else { return };
    let (settings, base) = settings_of(launch, objective, claims);
    if settings.on(&["policy.megatron_cfg.enabled"]) == Some(true) {
        claims.argument(field::FRAMEWORK, Framework::Megatron, "NeMo-RL");
        megatron_sharding(&settings, claims);
        settings::read(MEGATRON, &settings, claims);
        keys::parallel(&settings, "policy.megatron_cfg", claims);
        let recompute = ["policy.megatron_cfg.activation_checkpointing"];
        if settings.on(&recompute) == Some(true) {
            keys::recompute(&settings, "policy.megatron_cfg", claims);
        }
        if !claims.knows(field::RECOMPUTE) {
            training_arguments::recompute(&settings, &recompute, claims);
        }
    } else {
        claims.argument(field::FRAMEWORK, Framework::FSDP, "NeMo-RL");
        claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
        claims.assume(field::PARAMETER_PRECISION, Precision::FP32, SOURCE);
        // Other releases may keep the weights as they were saved.
        claims.open(field::PARAMETER_PRECISION, Precision::BF16);
        settings::read(DTENSOR, &settings, claims);
        let recompute =
            ["policy.dtensor_cfg.activation_checkpointing", "policy.activation_checkpointing_enabled"];
        training_arguments::recompute(&settings, &recompute, claims);
    }
    // The settings of the other backend say nothing.
    let megatron = settings.on(&["policy.megatron_cfg.enabled"]) == Some(true);
    let other = if megatron { "policy.dtensor_cfg" } else { "policy.megatron_cfg" };
    list::LIST.all().filter(|known| known.name.starts_with(other)).for_each(|known| {
        settings.has(&[known.name]);
    });
    settings.set_aside(other);
    settings::read(KEYS, &settings, claims);
    if objective != Objective::Supervised {
        claims.argument(field::OBJECTIVE, objective, "NeMo-RL");
    }
    if matches!(objective, Objective::GRPO | Objective::DPO) {
        claims.assume(field::roles::REFERENCE_MODEL, Placement::Offloaded, SOURCE);
    }
    if objective == Objective::GRPO {
        engine(&settings, claims);
    }
    adapters(&settings, claims);
    let Some(base) = base else {
        claims.open(field::finetuning::METHOD, Method::LoRA);
        return;
    };
    claims.assume(field::batch::MICRO_BATCH_SIZE, base.micro_batch, SOURCE);
    claims.assume(field::batch::SEQUENCE_LENGTH, base.length, SOURCE);
    // A batch is padded to its longest sample, unless samples are packed.
    let packs = settings.on(&["policy.sequence_packing.enabled"]) == Some(true);
    claims.assume(field::batch::PACKING, packs, SOURCE);
    settings::assume(DEFAULTS, SOURCE, claims);
    if !base.model.is_empty() {
        claims.assume(field::batch::GLOBAL_BATCH_SIZE, base.global_batch, SOURCE);
        claims.assume(field::model::NAME, base.model, SOURCE);
    }
}

/// Megatron-Core's distributed optimizer, unless another division is said. The strategy is that of its own FSDP.
fn megatron_sharding(settings: &Settings<'_>, claims: &mut Claims) {
    let field = field::parallelism::SHARDING;
    let group = "policy.megatron_cfg.distributed_data_parallel_config";
    let is_on = |name: &&str| settings.on(&[&format!("{group}.{name}")]) == Some(true);
    let fsdp = ["use_custom_fsdp", "use_megatron_fsdp"].iter().filter(|name| is_on(name)).count() > 0;
    let strategy = settings.get(&[&format!("{group}.data_parallel_sharding_strategy")]);
    let divided = ["policy.megatron_cfg.optimizer.use_distributed_optimizer"];
    match strategy {
        Some(strategy) if fsdp => strategy.says(claims, field, Sharding::FSDP),
        None if fsdp => claims.argument(field, Sharding::FSDP, "use_megatron_fsdp"),
        _ if settings.on(&divided) == Some(false) => {
            claims.argument(field, Sharding::None, "use_distributed_optimizer");
        }
        _ => claims.assume(field, Sharding::DistributedOptimizer, SOURCE),
    }
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    let group = ["policy.dtensor_cfg.lora_cfg.enabled", "policy.megatron_cfg.peft.enabled"];
    let Some(setting) = settings.get(&group) else { return };
    match setting.truth() {
        Some(true) => {
            setting.says(claims, field::finetuning::METHOD, Method::LoRA);
            settings::read(ADAPTERS, settings, claims);
        }
        Some(false) => setting.says(claims, field::finetuning::METHOD, Method::Full),
        None => claims.open(field::finetuning::METHOD, Method::LoRA),
    }
}

fn engine(settings: &Settings<'_>, claims: &mut Claims) {
    let placement = field::roles::ROLLOUT_ENGINE;
    let colocated = settings.get(&["policy.generation.colocated.enabled"]);
    if let Some(apart) = colocated.filter(|setting| setting.truth() == Some(false)) {
        apart.says(claims, placement, Placement::Elsewhere);
        return;
    }
    claims.assume(placement, Placement::Asleep, SOURCE);
    claims.assume(field::roles::TRAINED_MODEL, Placement::Asleep, SOURCE);
    let share = field::roles::ROLLOUT_MEMORY_PERCENT;
    settings::read(ENGINE, settings, claims);
    claims.assume(share, 60, SOURCE);
}
