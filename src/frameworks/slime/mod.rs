//! slime, and miles, which began as its copy: `ray job submit -- python3 train.py --actor-num-nodes 1 --colocate --rollout-batch-size 32
//! --num-layers 36 …`.
//!
//! **Recognised** by `--rollout-batch-size` of a Python program beside another of its own options. The model, its division and its
//! optimizer are Megatron-LM's options, which [`megatron_lm`] reads. Read from github.com/THUDM/slime at 624b824a
//! (`slime/utils/arguments.py`, `slime/backends/megatron_utils/{arguments,actor,loss}.py`, `slime/ray/placement_group.py`) and
//! github.com/radixark/miles at 31f1ca96 (`miles/utils/arguments.py`).
//!
//! ```text
//! always        the distributed optimizer, bf16 unless --fp16
//! ranks         actor-num-nodes × actor-num-gpus-per-node (1 × 8); without --colocate the engines have other devices
//! tokens        under --use-dynamic-batch-size a microbatch has at most max-tokens-per-gpu × context parallel; otherwise
//!               micro-batch-size (1) samples as long as the context that is generated
//! --colocate    the engines sleep while the actor trains, and its states are on the host while they generate, unless
//!               --no-offload-rollout or --no-offload-train
//! reference     with --use-kl-loss or --kl-coef: its weights are on the host, and take the actor's place to compute
//! critic        with --advantage-estimator ppo: on the same devices, one of the two at a time
//! ```
//!
//! The loss keeps fp32 logits, divides them by the temperature, and may be computed again or in chunks. So it is open.

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::megatron_lm;
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::roles;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::reading::stored;
use crate::job::{
    Assignment, Attention, Framework, Loss, Method, Objective, OpenField, Placement, Precision, Sharding,
    ValueOf as _, field,
};

const SOURCE: &str = "slime 624b824 default";

/// Options of its own. A launch has one of them beside [`BATCH`].
const OWN: &[&str] = &[
    "actor-num-nodes",
    "actor-num-gpus-per-node",
    "colocate",
    "rollout-num-gpus",
    "rollout-num-gpus-per-engine",
    "n-samples-per-prompt",
];
const BATCH: &str = "rollout-batch-size";

const NAME: Table = &[&flag(&["hf-checkpoint"], field::model::NAME, Takes::Text)];
const KEYS: Table = &[&flag(&["num-rollout"], field::dataset::STEPS, Takes::Number)];
const ENGINE: Table =
    &[&flag(&["sglang-mem-fraction-static"], field::roles::ROLLOUT_MEMORY_PERCENT, Takes::Percent)];

const TARGETS: Table = &[&flag(&["target-modules"], field::finetuning::TARGETS, Takes::List)];

/// Its own defaults, which stand before Megatron-LM's.
const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::parallelism::SHARDING.is(Sharding::DistributedOptimizer),
    field::roles::REWARD_MODEL.is(Placement::Elsewhere),
];

/// Options of generation and of other models, which are read together or change nothing of the training.
const INERT: &[&str] = &[
    "eval-max-response-len",
    "log-probs-max-tokens-per-gpu",
    "offload",
    "offload-rollout",
    "offload-train",
    "opd-teacher-load",
    "ref-load",
    "rollout-max-context-len",
    "rollout-max-prompt-len",
    "rollout-max-response-len",
    "rollout-num-gpus-per-engine",
    "seq-length",
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let is_python = matches!(launch.target, Target::Script(_) | Target::Module(_));
    let has = |name: &str| launch.arguments.has(name);
    is_python && has(BATCH) && OWN.iter().any(|name| has(name))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    settings::read(KEYS, &settings, claims);
    name(&settings, claims);
    batch(&settings, claims);
    if settings.text(&["train-backend"]).as_deref() == Some("fsdp") {
        fsdp(&settings, claims);
    } else {
        settings::assume(DEFAULTS, SOURCE, claims);
        claims.open_field(OpenField {
            field: field::LOSS.erased(),
            leanest: Some(Loss::InPlace.json()),
            heaviest: Some(Loss::CompiledVocabParallel.json()),
            although_given: true,
        });
        // Megatron-LM's own reader comes next, if it recognises the options.
        if !megatron_lm::recognises(launch) {
            megatron_lm::read(launch, claims);
        }
    }
    world(&settings, claims);
    method(&settings, claims);
    roles(&settings, claims);
    settings.inert(INERT);
}

/// The model of the engines' checkpoint, which may be stored in fewer bits than those that are trained.
fn name(settings: &Settings<'_>, claims: &mut Claims) {
    let setting = settings.get(&["hf-checkpoint"]);
    let Some((setting, text)) = setting.and_then(|setting| Some((setting.clone(), setting.text()?))) else {
        return settings::read(NAME, settings, claims);
    };
    let mut name = text.trim_end_matches('/');
    while stored::in_few_bits(name)
        && let Some((before, _)) = name.rsplit_once(['-', '_'])
    {
        name = before;
    }
    setting.says(claims, field::model::NAME, name);
}

/// miles' other backend: PyTorch's FSDP around Transformers' model. Only its names are read.
fn fsdp(settings: &Settings<'_>, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::FSDP, "--train-backend");
    claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
    claims.assume(field::PRECISION, Precision::BF16, SOURCE);
    claims.assume(field::ATTENTION, Attention::Flash, SOURCE);
    training_arguments::recompute(settings, &["gradient-checkpointing"], claims);
    claims.assume(field::roles::REWARD_MODEL, Placement::Elsewhere, SOURCE);
    claims.open(field::PARAMETER_PRECISION, Precision::BF16);
    claims.open(field::offload::PARAMETERS, true);
    claims.open(field::LOSS, Loss::Fused);
}

/// A number of tokens, or samples of the context that is generated.
fn batch(settings: &Settings<'_>, claims: &mut Claims) {
    let number = |name: &str| settings.number(&[name]);
    let parts = number("context-parallel-size").unwrap_or(1);
    if let Some(setting) = settings.get(&["max-tokens-per-gpu"])
        && settings.has(&["use-dynamic-batch-size"])
    {
        claims.argument(field::batch::MICRO_BATCH_SIZE, 1, "use-dynamic-batch-size");
        if let Some(tokens) = setting.number() {
            setting.says(claims, field::batch::SEQUENCE_LENGTH, tokens.saturating_mul(parts));
        }
    } else {
        claims.assume(field::batch::MICRO_BATCH_SIZE, 1, SOURCE);
        claims.assume(field::batch::PACKING, false, SOURCE);
        let prompt = number("rollout-max-prompt-len").unwrap_or(0);
        let whole = number("rollout-max-context-len");
        let both = || Some(number("rollout-max-response-len")?.saturating_add(prompt));
        if let Some(tokens) = whole.or_else(both) {
            claims.argument(field::batch::SEQUENCE_LENGTH, tokens, "--rollout-max-response-len");
        }
        claims.open(field::batch::TYPICAL_SEQUENCE_LENGTH, 64);
    }
    let steps = number("num-steps-per-rollout").filter(|steps| *steps > 0);
    let samples = number(BATCH).zip(Some(number("n-samples-per-prompt").unwrap_or(1)));
    if let (Some(steps), Some((prompts, each))) = (steps, samples)
        && !settings.has(&["global-batch-size"])
    {
        claims.argument(
            field::batch::GLOBAL_BATCH_SIZE,
            prompts.saturating_mul(each) / steps,
            "num-steps-per-rollout",
        );
    }
}

/// The ranks of the actor. Accelerators without one belong to the engines.
fn world(settings: &Settings<'_>, claims: &mut Claims) {
    const EACH: &str = "actor-num-gpus-per-node";
    claims.world(settings.number_or(&["actor-num-nodes"], 1), settings.number_or(&[EACH], 8), EACH);
    claims.replicas();
}

/// All weights, or those whose names are listed.
fn method(settings: &Settings<'_>, claims: &mut Claims) {
    if settings.has(&["only-train-params-name-list", "freeze-params-name-list"]) {
        claims.unparsed(field::finetuning::METHOD);
        claims.open(field::finetuning::METHOD, Method::LoRA);
    }
    match adapters::rank(settings, &["lora-rank"], claims) {
        Rank::None => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Rank::Unknown => {}
        Rank::Of(_) => {
            settings::read(TARGETS, settings, claims);
            claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
        }
    }
    settings.inert(&["lora-alpha", "lora-dropout", "lora-type", "lora-adapter-path"]);
}

fn roles(settings: &Settings<'_>, claims: &mut Claims) {
    let text = |name: &str| settings.text(&[name]);
    let weighs = |name: &str| text(name).is_some_and(|weight| weight.parse() != Ok(0.0));
    let loss = text("loss-type");
    let supervised = loss.as_deref() == Some("sft_loss");
    let criticised = text("advantage-estimator").as_deref() == Some("ppo");
    let objective = match (supervised, criticised) {
        (true, _) => Objective::Supervised,
        (false, true) => Objective::PPO,
        (false, false) => Objective::GRPO,
    };
    claims.argument(field::OBJECTIVE, objective, "advantage-estimator");
    let compared = settings.has(&["use-kl-loss"]) || weighs("kl-coef");
    roles::reference(compared, true, SOURCE, claims);
    claims.assume(field::roles::CRITIC_MODEL, roles::beside(criticised, true), SOURCE);
    if loss.as_deref() == Some("custom_loss") || settings.has(&["use-opd"]) {
        claims.open(field::roles::REFERENCE_MODEL, Placement::Elsewhere);
    }
    engines(settings, supervised, claims);
}

/// Where the engines are, and the actor while they generate.
fn engines(settings: &Settings<'_>, supervised: bool, claims: &mut Claims) {
    let engine = field::roles::ROLLOUT_ENGINE;
    let apart = supervised || settings.has(&["debug-train-only", "rollout-external-engine-addrs"]);
    if apart || !settings.has(&["colocate"]) {
        return claims.assume(engine, Placement::Elsewhere, SOURCE);
    }
    let stays = settings.has(&["no-offload-rollout"]);
    claims.assume(engine, if stays { Placement::Resident } else { Placement::Asleep }, SOURCE);
    settings::read(ENGINE, settings, claims);
    if !settings.has(&["no-offload-train"]) {
        claims.assume(field::roles::TRAINED_MODEL, Placement::Asleep, SOURCE);
    }
}
