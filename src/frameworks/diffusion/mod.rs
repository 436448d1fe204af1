//! Programs that train diffusion models for images: diffusers' training scripts, and kohya-ss/sd-scripts.
//!
//! | program | trains | model, if its own is not known | samples |
//! | --- | --- | --- | --- |
//! | `train_text_to_image.py`, `train_instruct_pix2pix.py`; `train_dreambooth.py` | the whole network | Stable Diffusion 1.5 | 16; 4 |
//! | the same with `sdxl` in the name | the whole network | SDXL | 16 |
//! | `train_dreambooth_sd3.py`, `_flux.py`, `train_control_flux.py` | the whole network | none; FLUX.1-dev | 4 |
//! | the same with `lora` in the name, also `…_flux2.py`, `…_qwen_image.py`, `…_z_image.py`, `…_advanced.py` | adapters of rank 4 | as above, or that of the name | as above |
//! | `train_custom_diffusion.py` | a part of the network | as above | 4 |
//! | `textual_inversion.py`, `…_sdxl.py` | embeddings of words, through the frozen network | as above | 16; 4 |
//! | `train_controlnet.py`, `…_sdxl.py`, `train_t2i_adapter_sdxl.py` | a network beside the frozen one | as above | 4 |
//! | `fine_tune.py`, `train_db.py`; `sdxl_train.py`, `sd3_train.py`, `flux_train.py` | the whole network | as above | 1 |
//! | `train_network.py`; `sdxl_train_network.py`, `sd3_train_network.py`, `flux_train_network.py` | adapters of rank 4 | as above | 1 |
//! | `train_textual_inversion.py`, `train_control_net.py`, and `sdxl_…` | words; a network beside | as above | 1 |
//!
//! The trained network is the model, and text encoders and VAE are towers: they are frozen, in the format of the
//! computation. A program may compute latents and texts once and free them, so a job may be without them. With adapters the
//! network, too, is in the format of the computation, else in fp32. Adapters are fp32. What a step keeps for an image follows
//! from its side ([`images`]): `--resolution`, or diffusers' default of 1024 pixels for SDXL and 512 for the others.
//!
//! A checkpoint under another name has the architecture of its program: sd-scripts' is fixed in its code, of diffusers' a
//! distilled one may be smaller. Beside a `ControlNet` the frozen
//! network counts as a tower that is always held; what a step keeps is then the whole network's, since the gradient passes the half
//! that it does not train. What trains text encoders beside the network in full is not counted. Read from diffusers at 58eb52c (`examples/text_to_image`, `examples/dreambooth`) and sd-scripts at 48d368f.

pub(crate) mod images;
pub(crate) mod network;

use serde_json::json;

use self::images::Size;
use crate::command::{Launch, Target, basename};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Cause, Method, OpenField, Optimizer, Precision, Recompute, field};
use crate::model::known;

const SOURCE: &str = "the program's default";

/// The models of programs that have one.
const FIRST: Option<&str> = Some("stable-diffusion-1.5");
const XL: Option<&str> = Some("stable-diffusion-xl");
const FLUX: Option<&str> = Some("flux.1-dev");
const FLUX_2: Option<&str> = Some("flux.2-dev");
const KLEIN: Option<&str> = Some("flux.2-klein-4b");

/// What a program trains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trains {
    /// All weights of the network.
    Whole,
    /// Some of them.
    Part,
    /// Adapters of it.
    Adapters,
    /// Embeddings of new words, through the frozen network.
    Words,
    /// A network of so many parameters beside the frozen one.
    Beside(u64),
}

/// A program.
struct Program {
    name: &'static str,
    /// The model whose architecture it trains.
    model: Option<&'static str>,
    /// Samples of a device's batch.
    samples: u64,
    trains: Trains,
    /// Whether it is one of sd-scripts.
    scripts: bool,
}

impl Program {
    /// Whether the network itself is frozen, and in the format of the computation.
    fn freezes(&self) -> bool {
        matches!(self.trains, Adapters | Words)
    }
}

const fn diffusers(name: &'static str, model: Option<&'static str>, samples: u64, trains: Trains) -> Program {
    Program { name, model, samples, trains, scripts: false }
}

const fn scripts(name: &'static str, model: Option<&'static str>, trains: Trains) -> Program {
    Program { name, model, samples: 1, trains, scripts: true }
}

/// Parameters of a `ControlNet` beside each network, and of a T2I adapter: `ControlNetModel`, `T2IAdapter` of diffusers 0.42 with the
/// networks' sizes.
const CONTROL_FIRST: Trains = Beside(361_279_120);
const CONTROL_XL: Trains = Beside(1_251_014_160);
const T2I_XL: Trains = Beside(79_028_160);

use Trains::{Adapters, Beside, Part, Whole, Words};

const PROGRAMS: &[Program] = &[
    diffusers("train_text_to_image.py", FIRST, 16, Whole),
    diffusers("train_text_to_image_sdxl.py", XL, 16, Whole),
    diffusers("train_text_to_image_lora.py", FIRST, 16, Adapters),
    diffusers("train_text_to_image_lora_sdxl.py", XL, 16, Adapters),
    diffusers("train_dreambooth.py", FIRST, 4, Whole),
    diffusers("train_dreambooth_sd3.py", None, 4, Whole),
    diffusers("train_dreambooth_flux.py", FLUX, 4, Whole),
    diffusers("train_dreambooth_lora.py", FIRST, 4, Adapters),
    diffusers("train_dreambooth_lora_sdxl.py", XL, 4, Adapters),
    diffusers("train_dreambooth_lora_sd3.py", None, 4, Adapters),
    diffusers("train_dreambooth_lora_flux.py", FLUX, 4, Adapters),
    diffusers("train_dreambooth_lora_flux_kontext.py", FLUX, 4, Adapters),
    diffusers("train_dreambooth_lora_flux2.py", FLUX_2, 4, Adapters),
    diffusers("train_dreambooth_lora_flux2_img2img.py", FLUX_2, 4, Adapters),
    diffusers("train_dreambooth_lora_flux2_klein.py", KLEIN, 4, Adapters),
    diffusers("train_dreambooth_lora_flux2_klein_img2img.py", KLEIN, 4, Adapters),
    diffusers("train_dreambooth_lora_qwen_image.py", Some("qwen-image"), 4, Adapters),
    diffusers("train_dreambooth_lora_z_image.py", Some("z-image"), 4, Adapters),
    diffusers("train_dreambooth_lora_sd15_advanced.py", FIRST, 4, Adapters),
    diffusers("train_dreambooth_lora_sdxl_advanced.py", XL, 4, Adapters),
    diffusers("train_dreambooth_lora_flux_advanced.py", FLUX, 4, Adapters),
    diffusers("train_instruct_pix2pix.py", FIRST, 16, Whole),
    diffusers("train_instruct_pix2pix_sdxl.py", XL, 16, Whole),
    diffusers("train_custom_diffusion.py", FIRST, 4, Part),
    diffusers("textual_inversion.py", FIRST, 16, Words),
    diffusers("textual_inversion_sdxl.py", XL, 4, Words),
    diffusers("train_controlnet.py", FIRST, 4, CONTROL_FIRST),
    diffusers("train_controlnet_sdxl.py", XL, 4, CONTROL_XL),
    diffusers("train_t2i_adapter_sdxl.py", XL, 4, T2I_XL),
    diffusers("train_control_flux.py", FLUX, 4, Whole),
    diffusers("train_control_lora_flux.py", FLUX, 4, Adapters),
    scripts("fine_tune.py", FIRST, Whole),
    scripts("train_db.py", FIRST, Whole),
    scripts("train_network.py", FIRST, Adapters),
    scripts("train_textual_inversion.py", FIRST, Words),
    scripts("train_textual_inversion_XTI.py", FIRST, Words),
    scripts("train_control_net.py", FIRST, CONTROL_FIRST),
    scripts("train_controlnet.py", FIRST, CONTROL_FIRST),
    scripts("sdxl_train.py", XL, Whole),
    scripts("sdxl_train_network.py", XL, Adapters),
    scripts("sdxl_train_textual_inversion.py", XL, Words),
    scripts("sdxl_train_control_net.py", XL, CONTROL_XL),
    scripts("sd3_train.py", None, Whole),
    scripts("sd3_train_network.py", None, Adapters),
    scripts("flux_train.py", FLUX, Whole),
    scripts("flux_train_network.py", FLUX, Adapters),
];

const MODEL: &[&str] = &["pretrained_model_name_or_path"];
const FLAGS: Table = &[
    &flag(MODEL, field::model::NAME, Takes::Text),
    &flag(&["train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["max_train_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["mixed_precision"], field::PRECISION, Takes::OneOf(FORMATS)),
];
const RANKS: Table = &[&flag(&["rank", "network_dim"], field::finetuning::RANK, Takes::Number)];
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
    beside(program, &settings, claims);
    network::begins("diffusers", SOURCE, claims);
    settings::read(FLAGS, &settings, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, program.samples, SOURCE);
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
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    network::sharding(launch, SOURCE, claims);
    if network::any_on(&settings, SWAPS) {
        claims.open(field::offload::PARAMETERS, true);
    }
    if network::any_on(&settings, PIECEWISE) {
        claims.beyond = claims.beyond.or(Some(Cause::PieceByPiece));
    }
}

/// A trained network beside the frozen one, which then counts as a tower that is always held.
fn beside(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    let Beside(count) = program.trains else { return };
    let named = settings.text(MODEL).and_then(|name| known::find(&name));
    let Some(known) = named.or_else(|| program.model.and_then(known::find)) else { return };
    let network = known.model.further_parameters.map_or(0, |count| count.0);
    let towers = known.model.tower_parameters.map_or(0, |count| count.0);
    claims.argument(field::model::FURTHER_PARAMETERS, count, program.name);
    claims.argument(field::model::TOWER_PARAMETERS, network.saturating_add(towers), program.name);
    let distilled = if named.is_some() { network } else { network / 4 };
    claims.open_anyway(field::model::TOWER_PARAMETERS, distilled);
}

/// The model, and what of it may be smaller.
fn model(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    let second = program.scripts && (settings.has(&["v2"]) || settings.has(&["v_parameterization"]));
    let own = if second && program.model == FIRST { Some("stable-diffusion-2.1") } else { program.model };
    let Some(usual) = own.and_then(known::find).filter(|_| network::named(claims).is_none()) else { return };
    network::stands_for(usual, SOURCE, claims);
    if !program.scripts && !matches!(program.trains, Beside(_)) {
        // Distilled networks of the same family have half of the parameters, or less.
        let half = usual.model.further_parameters.map(|count| json!(count.0 / 4));
        let field = field::model::FURTHER_PARAMETERS.erased();
        claims.open_field(OpenField { field, leanest: half, heaviest: None, although_given: true });
    }
}

/// What a step keeps for an image of a known network.
fn image(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    let known = network::named(claims).or_else(|| program.model.and_then(known::find));
    let usual = if program.model == XL { 1_024 } else { 512 };
    let given = settings.get(&["resolution"]);
    let size = match &given {
        Some(setting) => network::pixels(&setting.value).map(|pixels| Size { pixels, frames: 1 }),
        None => (!program.scripts).then(|| Size::square(usual)),
    };
    let source = given.map_or_else(|| SOURCE.into(), |setting| setting.source(claims));
    network::sample(known, size, source, claims);
}

/// What is trained.
fn trained(program: &Program, settings: &Settings<'_>, claims: &mut Claims) {
    if !program.freezes() {
        claims.argument(field::finetuning::METHOD, Method::Full, program.name);
        if program.trains == Part {
            claims.open_anyway(field::finetuning::METHOD, Method::LoRA);
        }
        return;
    }
    claims.argument(field::finetuning::METHOD, Method::LoRA, program.name);
    if program.trains == Words {
        claims.argument(field::finetuning::RANK, 1, program.name);
    }
    settings::read(RANKS, settings, claims);
    claims.assume(field::finetuning::RANK, 4, SOURCE);
    if network::any_on(settings, FEW_BITS) {
        network::few_bits(claims);
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
    let stored = if program.freezes() { computed } else { Some(Precision::FP32) };
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
