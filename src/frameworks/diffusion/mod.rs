//! Programs that train diffusion models for images: diffusers' training scripts, and kohya-ss/sd-scripts.
//!
//! | program | trains | model, if its own is not known | samples |
//! | --- | --- | --- | --- |
//! | `train_text_to_image.py`, `train_dreambooth.py` | the whole network | Stable Diffusion 1.5 | 16; 4 |
//! | `train_text_to_image_sdxl.py` | the whole network | SDXL | 16 |
//! | `train_dreambooth_sd3.py`, `_flux.py` | the whole network | none; FLUX.1-dev | 4 |
//! | the same with `lora` in the name, also `…_advanced.py` | adapters of rank 4 | as above | as above |
//! | `fine_tune.py`, `train_db.py`; `sdxl_train.py`, `sd3_train.py`, `flux_train.py` | the whole network | as above | 1 |
//! | `train_network.py`; `sdxl_train_network.py`, `sd3_train_network.py`, `flux_train_network.py` | adapters of rank 4 | as above | 1 |
//!
//! The trained network is the model, and text encoders and VAE are towers: they are frozen, in the format of the
//! computation. A program may compute latents and texts once and free them, so a job may be without them. With adapters the
//! network, too, is in the format of the computation, else in fp32. Adapters are fp32. What a step keeps for an image follows
//! from its side ([`images`]): `--resolution`, or diffusers' default of 1024 pixels for SDXL and 512 for the others.
//!
//! A checkpoint under another name has the architecture of its program: sd-scripts' is fixed in its code, of diffusers' a
//! distilled one may be smaller. `ControlNet`, textual inversion, and what trains text encoders beside the network in full are not
//! counted. Read from diffusers at 58eb52c (`examples/text_to_image`, `examples/dreambooth`) and sd-scripts at 48d368f.

mod images;

use serde_json::{Value, json};

use crate::command::{Launch, Target, basename};
use crate::frameworks::deepspeed;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Cause, Framework, Method, OpenField, Optimizer, Precision, Recompute, Sharding, field};
use crate::model::known::{self, Known};
use crate::units::Bytes;

const SOURCE: &str = "the program's default";

/// The models of programs that have one.
const FIRST: Option<&str> = Some("stable-diffusion-1.5");
const XL: Option<&str> = Some("stable-diffusion-xl");
const FLUX: Option<&str> = Some("flux.1-dev");

/// A program.
struct Program {
    name: &'static str,
    /// The model whose architecture it trains.
    model: Option<&'static str>,
    /// Samples of a device's batch.
    samples: u64,
    adapters: bool,
    /// Whether it is one of sd-scripts.
    scripts: bool,
}

const fn diffusers(name: &'static str, model: Option<&'static str>, samples: u64, adapters: bool) -> Program {
    Program { name, model, samples, adapters, scripts: false }
}

const fn scripts(name: &'static str, model: Option<&'static str>, adapters: bool) -> Program {
    Program { name, model, samples: 1, adapters, scripts: true }
}

const PROGRAMS: &[Program] = &[
    diffusers("train_text_to_image.py", FIRST, 16, false),
    diffusers("train_text_to_image_sdxl.py", XL, 16, false),
    diffusers("train_text_to_image_lora.py", FIRST, 16, true),
    diffusers("train_text_to_image_lora_sdxl.py", XL, 16, true),
    diffusers("train_dreambooth.py", FIRST, 4, false),
    diffusers("train_dreambooth_sd3.py", None, 4, false),
    diffusers("train_dreambooth_flux.py", FLUX, 4, false),
    diffusers("train_dreambooth_lora.py", FIRST, 4, true),
    diffusers("train_dreambooth_lora_sdxl.py", XL, 4, true),
    diffusers("train_dreambooth_lora_sd3.py", None, 4, true),
    diffusers("train_dreambooth_lora_flux.py", FLUX, 4, true),
    diffusers("train_dreambooth_lora_flux_kontext.py", FLUX, 4, true),
    diffusers("train_dreambooth_lora_sd15_advanced.py", FIRST, 4, true),
    diffusers("train_dreambooth_lora_sdxl_advanced.py", XL, 4, true),
    diffusers("train_dreambooth_lora_flux_advanced.py", FLUX, 4, true),
    scripts("fine_tune.py", FIRST, false),
    scripts("train_db.py", FIRST, false),
    scripts("train_network.py", FIRST, true),
    scripts("sdxl_train.py", XL, false),
    scripts("sdxl_train_network.py", XL, true),
    scripts("sd3_train.py", None, false),
    scripts("sd3_train_network.py", None, true),
    scripts("flux_train.py", FLUX, false),
    scripts("flux_train_network.py", FLUX, true),
];

const MODEL: &[&str] = &["pretrained_model_name_or_path"];
const FLAGS: Table = &[
    &flag(MODEL, field::model::NAME, Takes::Text),
    &flag(&["train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["max_train_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["mixed_precision"], field::PRECISION, Takes::OneOf(FORMATS)),
];
const ADAPTERS: Table = &[&flag(&["rank", "network_dim"], field::finetuning::RANK, Takes::Number)];
const FORMATS: &[(&str, Precision)] =
    &[("no", Precision::FP32), ("fp16", Precision::FP16), ("bf16", Precision::BF16)];
/// Options that keep weights in few bits.
const FEW_BITS: &[&str] = &["fp8_base", "fp8_base_unet", "bnb_quantization_config_path", "fp8_scaled"];
/// Options that move weights to the host.
const SWAPS: &[&str] = &[
    "blocks_to_swap",
    "lowram",
    "split_mode",
    "offload",
    "enable_group_offload",
    "cpu_offload_checkpointing",
];
/// Options that step inside the backward pass.
const PIECEWISE: &[&str] = &["fused_backward_pass", "fused_optimizer_groups", "blockwise_fused_optimizers"];
/// Options that keep the trained network in half precision.
const HALF: &[(&str, Precision)] = &[("full_bf16", Precision::BF16), ("full_fp16", Precision::FP16)];
/// The module of sd-scripts whose adapters are counted.
const LORA_MODULES: &[&str] = &["networks.lora", "networks.lora_flux", "networks.lora_sd3"];

fn program(launch: &Launch) -> Option<&'static Program> {
    let Target::Script(path) = &launch.target else { return None };
    let found = PROGRAMS.iter().find(|program| program.name == basename(path))?;
    // Other projects have programs of these names.
    let theirs =
        ["network_module", "network_dim", "pretrained_model_name_or_path", "config_file", "dataset_config"];
    theirs.iter().any(|option| launch.arguments.has(option)).then_some(found)
}

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    program(launch).is_some()
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(program) = program(launch) else { return };
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let mut file_is_unknown = false;
    for name in ["config_file", "dataset_config"] {
        let Some(path) = settings.text(&[name]) else { continue };
        match config::named(launch, &path, name, claims) {
            Some(mut config) => {
                config.flatten();
                settings.add(Place::File(config));
            }
            None => file_is_unknown = true,
        }
    }
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, "diffusers");
    settings::read(FLAGS, &settings, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, program.samples, SOURCE);
    claims.assume(field::batch::SEQUENCE_LENGTH, 1, "an image is a sample");
    if file_is_unknown {
        claims.open(field::batch::MICRO_BATCH_SIZE, 1);
    }
    model(program, &settings, claims);
    trained(program, &settings, claims);
    formats(program, &settings, claims);
    training_arguments::recompute(&settings, &["gradient_checkpointing"], claims);
    claims.assume(field::RECOMPUTE, Recompute::None, SOURCE);
    image(program, &settings, claims);
    optimizer(&settings, claims);
    if let Some(setting) = settings.get(&["gradient_accumulation_steps"]) {
        claims.accumulation = setting.number().map(|steps| (steps, setting.source(claims)));
    }
    sharding(launch, claims);
    if SWAPS.iter().any(|option| settings.has(&[option])) {
        claims.open(field::offload::PARAMETERS, true);
    }
    if PIECEWISE.iter().any(|option| settings.has(&[option])) {
        claims.beyond = claims.beyond.or(Some(Cause::PieceByPiece));
    }
}

/// The model, and its towers, which may be freed before the first step.
fn model(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    let named: Option<String> = claims.get(field::model::NAME);
    let known = named.as_deref().and_then(known::find);
    let second = program.scripts && (settings.has(&["v2"]) || settings.has(&["v_parameterization"]));
    let own = if second && program.model == FIRST { Some("stable-diffusion-2.1") } else { program.model };
    if known.is_none()
        && let Some(usual) = own.and_then(known::find)
    {
        usual_dimensions(program, usual, claims);
    }
    claims.open_field(OpenField {
        field: field::model::TOWER_PARAMETERS.erased(),
        leanest: Some(json!(0)),
        heaviest: None,
        although_given: true,
    });
    claims.assume(field::finetuning::TRAIN_TOWERS, false, SOURCE);
}

/// The dimensions of the program's own architecture.
fn usual_dimensions(program: &Program, usual: &'static Known, claims: &mut Claims) {
    for (field, value) in usual.fields() {
        claims.assume(field, value, SOURCE);
    }
    if !program.scripts {
        // Distilled networks of the same family have half of the parameters, or less.
        let half = usual.model.further_parameters.map(|count| json!(count.0 / 4));
        let field = field::model::FURTHER_PARAMETERS.erased();
        claims.open_field(OpenField { field, leanest: half, heaviest: None, although_given: true });
    }
}

/// What a step keeps for an image of a known network. It may be a half more, and as little as the program moves elsewhere.
fn image(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    let named: Option<String> = claims.get(field::model::NAME);
    let known = named.as_deref().and_then(known::find).or_else(|| program.model.and_then(known::find));
    let usual = if program.model == XL { 1_024 } else { 512 };
    let given = settings.get(&["resolution"]);
    let side = match &given {
        Some(setting) => longest_side(&setting.value),
        None => (!program.scripts).then_some(usual),
    };
    let checkpointed = claims.get(field::RECOMPUTE) == Some(Recompute::Full);
    let kept = known
        .zip(side)
        .and_then(|(known, side)| images::of(&known.name, side, program.adapters, checkpointed));
    let Some(kept) = kept else { return };
    let quantity = |bytes: Bytes| format!("{}Mi", bytes.0 >> 20);
    let source = given.map_or_else(|| SOURCE.into(), |setting| setting.source(claims));
    claims.assume(field::model::SAMPLE_ACTIVATIONS, quantity(kept), source);
    claims.open_field(OpenField {
        field: field::model::SAMPLE_ACTIVATIONS.erased(),
        leanest: Some(json!(quantity(Bytes::ZERO))),
        heaviest: Some(json!(quantity(kept.scale(1.5)))),
        although_given: false,
    });
}

/// The longest side of `1024`, `"1024,768"` or `[1024, 768]`, in pixels.
fn longest_side(value: &Value) -> Option<u64> {
    match value {
        Value::Array(sides) => sides.iter().filter_map(Value::as_u64).max(),
        Value::String(text) => text.split(',').filter_map(|side| side.trim().parse().ok()).max(),
        _ => value.as_u64(),
    }
}

/// What is trained.
fn trained(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    if !program.adapters {
        return claims.argument(field::finetuning::METHOD, Method::Full, program.name);
    }
    claims.argument(field::finetuning::METHOD, Method::LoRA, program.name);
    settings::read(ADAPTERS, settings, claims);
    claims.assume(field::finetuning::RANK, 4, SOURCE);
    if FEW_BITS.iter().any(|option| settings.has(&[option])) {
        claims.open_field(OpenField {
            field: field::finetuning::METHOD.erased(),
            leanest: Some(json!(Method::QLoRA)),
            heaviest: None,
            although_given: true,
        });
    }
    let module = settings.text(&["network_module"]);
    if module.is_some_and(|module| !LORA_MODULES.contains(&module.as_str())) {
        claims.open(field::finetuning::RANK, 1);
    }
}

/// The formats of weights.
fn formats(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    let half = HALF.iter().find(|(option, _)| settings.has(&[option])).map(|(_, format)| *format);
    let computed: Option<Precision> = claims.get(field::PRECISION);
    if let Some(format) = half {
        return claims.argument(field::PARAMETER_PRECISION, format, "--full_bf16, --full_fp16");
    }
    let stored = if program.adapters { computed } else { Some(Precision::FP32) };
    if let Some(stored) = stored {
        claims.assume(field::PARAMETER_PRECISION, stored, SOURCE);
    }
    claims.open(field::PARAMETER_PRECISION, Precision::BF16);
}

fn optimizer(settings: &Settings<'_>, claims: &mut Claims) {
    if settings.get(&["use_8bit_adam"]).is_some_and(|setting| setting.truth() != Some(false)) {
        return claims.argument(field::OPTIMIZER, Optimizer::AdamW8bit, "--use_8bit_adam");
    }
    training_arguments::optimizer(settings, &["optimizer_type", "optimizer"], claims);
    claims.assume(field::OPTIMIZER, Optimizer::AdamW, SOURCE);
}

/// How the ranks share the network, if its launcher does not say it.
fn sharding(launch: &Launch, claims: &mut Claims) {
    if claims.knows(field::parallelism::SHARDING) || claims.is_open(field::parallelism::SHARDING) {
        return;
    }
    if launch.accelerators == 1 {
        claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
    } else {
        deepspeed::unknown(claims);
    }
}
