//! DeepSpeed-Chat: `deepspeed main.py --model_name_or_path facebook/opt-1.3b --zero_stage 2 --lora_dim 128 …`.
//!
//! **Recognised** by `main.py` in the folder of one of its steps, or with an option that only its steps have. Read from
//! github.com/deepspeedai/DeepSpeedExamples at 45b4b71 (`applications/DeepSpeed-Chat/training/step*/main.py`,
//! `dschat/utils/ds_utils.py`). It makes DeepSpeed's configuration from its own options: ZeRO 0, fp16, 16 samples of 512
//! tokens, to which each is padded, no checkpointing. `--offload` moves optimizer states to the host, and under ZeRO 3 the
//! parameters, too. `--lora_dim` puts adapters on all linear layers of the scope `--lora_module_name`; without
//! `--only_optimize_lora` the embeddings are trained beside them. If no module is in the scope, all weights are trained
//! (`dschat/utils/module/lora.py`: a replaced layer freezes its own weight, and nothing else does).
//!
//! Step 1 is fine-tuning, step 2 a reward model or DPO. Step 3 is PPO: beside the actor it trains a critic, and holds a
//! reference and a reward model (`dschat/rlhf/rlhf_engine.py`). Both frozen models are divided only where the actor or the
//! critic is under ZeRO 3, and `--offload_reference_model` moves the reference to the host. The hybrid engine holds a copy
//! of the weights for generation. `--enable_ema` holds a fifth model, which is not counted.

pub(in crate::frameworks) mod list;

use serde_json::json;

use crate::command::{Launch, Target};
use crate::frameworks::deepspeed;
use crate::frameworks::hugging_face::{objective, training_arguments};
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Framework, Method, Objective, OpenField, Placement, Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "DeepSpeed-Chat 45b4b71 default";

/// The folders of the steps, and what each trains for.
const STEPS: &[(&str, Objective)] = &[
    ("step1_supervised_finetuning", Objective::Supervised),
    ("step2_reward_model_finetuning", Objective::Reward),
    ("step2_dpo_finetuning", Objective::DPO),
    ("step3_rlhf_finetuning", Objective::PPO),
];

/// Options of fine-tuning that no other `main.py` has.
const OWN: &[&str] = &["only_optimize_lora", "lora_module_name", "sft_only_data_path"];

const FLAGS: Table = &[
    &flag(&["model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["per_device_train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["max_seq_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["num_train_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["offload"], field::offload::OPTIMIZER, Takes::Switch(true)),
];

/// The models of step 3, and its batch.
const ACTOR: Table = &[
    &flag(&["actor_model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["critic_model_name_or_path"], field::roles::CRITIC_MODEL_NAME, Takes::Text),
    &flag(&["critic_model_name_or_path"], field::roles::REWARD_MODEL_NAME, Takes::Text),
    &flag(&["per_device_training_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
];

/// DeepSpeed moves parameters only where it divides them.
const UNDER_STAGE_3: Table = &[&flag(&["offload"], field::offload::PARAMETERS, Takes::Switch(true))];

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(16),
    field::batch::SEQUENCE_LENGTH.is(512),
    field::batch::PACKING.is(true),
    field::parallelism::SHARDING.is(Sharding::None),
    field::PRECISION.is(Precision::FP16),
    field::RECOMPUTE.is(Recompute::None),
    field::offload::OPTIMIZER.is(false),
    field::offload::PARAMETERS.is(false),
    field::offload::ACTIVATIONS.is(false),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    step(launch).is_some()
}

/// Whether the program lies in the folder of a step.
fn in_a_step(launch: &Launch) -> bool {
    let Target::Script(path) = &launch.target else { return false };
    STEPS.iter().any(|(step, _)| path.contains(&format!("{step}/")))
}

/// What the step trains for.
fn step(launch: &Launch) -> Option<Objective> {
    let Target::Script(path) = &launch.target else { return None };
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    if file != "main.py" {
        return None;
    }
    let named = STEPS.iter().find(|(step, _)| folder.ends_with(step)).map(|(_, objective)| *objective);
    let has = |name: &str| launch.arguments.has(name);
    named.or_else(|| {
        if has("actor_zero_stage") || has("actor_lora_dim") {
            Some(Objective::PPO)
        } else if has("num_padding_at_beginning") {
            Some(Objective::Reward)
        } else {
            let own = has("zero_stage") && (has("lora_dim") || has("data_split"));
            let objective = if has("beta") { Objective::DPO } else { Objective::Supervised };
            (own || OWN.iter().any(|name| has(name))).then_some(objective)
        }
    })
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(objective) = step(launch) else { return };
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    claims.argument(field::FRAMEWORK, Framework::DeepSpeed, "DeepSpeed-Chat");
    if objective == Objective::PPO {
        settings::read(ACTOR, &settings, claims);
    }
    settings::read(FLAGS, &settings, claims);
    let checkpointing = ["gradient_checkpointing", "actor_gradient_checkpointing"];
    training_arguments::recompute(&settings, &checkpointing, claims);
    if let Some(setting) = settings.get(&["zero_stage", "actor_zero_stage"]) {
        match setting.text().and_then(|text| deepspeed::stage(&text)) {
            Some(sharding) => setting.says(claims, field::parallelism::SHARDING, sharding),
            None => claims.unparsed(field::parallelism::SHARDING),
        }
    }
    if claims.get(field::parallelism::SHARDING) == Some(Sharding::ZeRO3) {
        settings::read(UNDER_STAGE_3, &settings, claims);
    }
    claims.accumulation = match settings.get(&["gradient_accumulation_steps"]) {
        Some(setting) => setting.number().map(|steps| (steps, setting.source(claims))),
        None => Some((1, SOURCE.into())),
    };
    adapters(&settings, claims);
    if !in_a_step(launch) {
        // A copy may have other defaults.
        claims.open(field::batch::MICRO_BATCH_SIZE, 1);
        claims.open(field::RECOMPUTE, Recompute::Full);
    }
    match objective {
        Objective::Supervised => {}
        Objective::PPO => reinforcement(&settings, claims),
        Objective::DPO => {
            claims.argument(field::OBJECTIVE, objective, "step2_dpo_finetuning");
            match settings.on(&["offload_reference_model"]) {
                Some(true) => claims.assume(field::roles::REFERENCE_MODEL, Placement::Offloaded, SOURCE),
                _ => objective::copied(field::roles::REFERENCE_MODEL, SOURCE, claims),
            }
        }
        objective => claims.argument(field::OBJECTIVE, objective, "DeepSpeed-Chat"),
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// The models beside the actor, and what a sample is.
fn reinforcement(settings: &Settings<'_>, claims: &mut Claims) {
    claims.argument(field::OBJECTIVE, Objective::PPO, "step3_rlhf_finetuning");
    let reference = field::roles::REFERENCE_MODEL;
    match settings.on(&["offload_reference_model"]) {
        Some(true) => claims.assume(reference, Placement::Offloaded, SOURCE),
        _ => objective::copied(reference, SOURCE, claims),
    }
    let stage = settings.get(&["critic_zero_stage"]).and_then(|setting| setting.text());
    let divided = stage.as_deref() == Some("3");
    let beside = if divided { Placement::Sharded } else { Placement::Resident };
    let reward = settings.on(&["offload_reward_model"]) == Some(true);
    claims.assume(field::roles::REWARD_MODEL, if reward { Placement::Offloaded } else { beside }, SOURCE);
    claims.assume(field::roles::CRITIC_MODEL, beside, SOURCE);
    // Its own stage and adapters may leave it less than the actor has.
    claims.open(field::roles::CRITIC_MODEL, Placement::Elsewhere);
    claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Trained, SOURCE);
    settings.has(&["critic_gradient_checkpointing", "critic_lora_dim", "actor_lora_module_name"]);
    let prompt = settings.number_or(&["max_prompt_seq_len"], 256);
    let answer = settings.number_or(&["max_answer_seq_len"], 256);
    if let Some((prompt, answer)) = prompt.zip(answer) {
        claims.argument(field::batch::SEQUENCE_LENGTH, prompt.saturating_add(answer), "max_answer_seq_len");
        claims.assume(field::batch::COMPLETION_LENGTH, answer, SOURCE);
    }
}

const RANKS: &[&str] = &["lora_dim", "actor_lora_dim"];

/// Where the layers of a family are, in the names of its modules.
const LAYERS: &[(&str, &[&str])] = &[
    ("model.decoder.layers.", &["opt-", "opt_"]),
    ("transformer.h.", &["gpt-j", "gpt2", "gpt-neo-", "bloom", "falcon"]),
    ("gpt_neox.layers.", &["pythia", "neox", "dolly"]),
    ("model.layers.", &["llama", "vicuna", "mistral", "qwen2"]),
];

/// Whether no module of the model is in the scope of the adapters: `decoder.layers.` for another family than OPT.
fn misses_all(settings: &Settings<'_>) -> bool {
    let scope = settings.text(&["lora_module_name", "actor_lora_module_name"]);
    let scope = scope.unwrap_or_else(|| "decoder.layers.".to_owned());
    let Some(model) = settings.text(&["model_name_or_path", "actor_model_name_or_path"]) else {
        return false;
    };
    let model = model.to_lowercase();
    let is_of = |names: &[&str]| names.iter().any(|name| model.contains(name));
    let family = LAYERS.iter().find(|(_, names)| is_of(names));
    // Another scope than a path of layers may be the name of a module.
    family.is_some_and(|(path, _)| scope.ends_with('.') && !path.contains(scope.as_str()))
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    let all = settings.on(&["only_optimize_lora"]) != Some(true);
    let asked = settings.get(RANKS).is_some_and(|rank| rank.number().is_some_and(|rank| rank > 0));
    if asked && all && misses_all(settings) {
        return claims.argument(field::finetuning::METHOD, Method::Full, "lora_module_name");
    }
    match adapters::rank(settings, RANKS, claims) {
        Rank::None => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Rank::Unknown => {}
        Rank::Of(rank) => {
            claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
            claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
            if all {
                // As many parameters as adapters of this rank have: the embeddings.
                claims.open_field(OpenField {
                    field: field::finetuning::RANK.erased(),
                    leanest: None,
                    heaviest: Some(json!(rank.saturating_add(256))),
                    although_given: true,
                });
            }
        }
    }
    settings.has(&["lora_module_name", "lora_learning_rate"]);
}
