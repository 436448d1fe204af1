//! `SimpleTuner`: `simpletuner train env=examples/flux.peft-lora`, or `accelerate launch train.py --model_family flux …`.
//!
//! **Recognised** by its program, or by `train.py` with `--model_family`, or with a `config/<ENV>/config.json` that has that key. Read from
//! `SimpleTuner` at bc8e6ab7 (`simpletuner/examples`, `helpers/models/*/model.py`, `helpers/configuration/cmd_args.py`).
//!
//! The file of `env` (or of the variable `ENV`) has the options, with or without dashes; options of the command are stronger. The model
//! is `pretrained_model_name_or_path`, or that of family and flavour. `model_type: lora` has adapters, of `LyCORIS` if `lora_type` says so,
//! whose size stays open. The weights are in bf16, and in few bits under `base_model_precision`. Latents and texts are computed before.
//! The side of an image and the frames of a video are in the file of `data_backend_config`.

use serde_json::{Map, Value};

use crate::command::{Launch, Target, basename};
use crate::frameworks::diffusion::images::Size;
use crate::frameworks::diffusion::network;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Method, Optimizer, Precision, Recompute, field};
use crate::model::known;

const SOURCE: &str = "SimpleTuner default";

/// The models of families, and of flavours of theirs.
const FAMILIES: &[(&str, &str, &str)] = &[
    ("sd1x", "", "stable-diffusion-1.5"),
    ("sd2x", "", "stable-diffusion-2.1"),
    ("sdxl", "", "stable-diffusion-xl"),
    ("sd3", "large", "stable-diffusion-3.5-large"),
    ("sd3", "medium", "stable-diffusion-3.5-medium"),
    ("flux", "schnell", "flux.1-schnell"),
    ("flux", "", "flux.1-dev"),
    ("flux2", "klein-4b", "flux.2-klein-4b"),
    ("flux2", "klein-9b", "flux.2-klein-9b"),
    ("flux2", "", "flux.2-dev"),
    ("chroma", "", "chroma1"),
    ("qwen_image", "", "qwen-image"),
    ("z_image", "", "z-image"),
    ("ltxvideo", "0.9.5", "ltx-video"),
    ("wan", "1.3b", "wan2.1-t2v-1.3b"),
    ("wan", "t2v-480p-14b", "wan2.1-t2v-14b"),
    ("wan", "i2v-14b-2.1", "wan2.1-i2v-14b"),
    ("wan", "i2v-14b-2.2", "wan2.2-i2v-a14b"),
    ("wan", "ti2v-5b", "wan2.2-ti2v-5b"),
];

const NAME: &[&str] = &["pretrained_model_name_or_path"];
const FLAGS: Table = &[
    &flag(&["train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["max_train_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["mixed_precision"], field::PRECISION, Takes::OneOf(FORMATS)),
];
const ADAPTERS: Table = &[&flag(&["lora_rank"], field::finetuning::RANK, Takes::Number)];
const FORMATS: &[(&str, Precision)] =
    &[("no", Precision::FP32), ("fp16", Precision::FP16), ("bf16", Precision::BF16)];
/// Optimizers of its own: moments in the weights' format.
const OPTIMIZERS: &[(&str, Optimizer)] =
    &[("adamw_bf16", Optimizer::AdamW), ("optimi-adamw", Optimizer::AdamW), ("optimi-lion", Optimizer::Lion)];
/// Options that move weights to the host.
const MOVES: &[&str] = &["enable_group_offload", "musubi_blocks_to_swap", "ramtorch"];
/// The most bytes of a file of data that are read.
const LARGEST_FILE: usize = 128 << 10;

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    if launch.runs_program("simpletuner train") || launch.runs_module("simpletuner.train") {
        return true;
    }
    let is_train = matches!(&launch.target, Target::Script(path) if basename(path) == "train.py");
    is_train && (launch.arguments.has("model_family") || file(launch, &mut Claims::default()).is_some())
}

/// The file of options, with keys as options have them.
fn file(launch: &Launch, claims: &mut Claims) -> Option<Config> {
    let mut words = launch.arguments.words().iter();
    let named = words.find_map(|word| word.text.strip_prefix("env="));
    let named = named.or_else(|| launch.environment.get("ENV"));
    let folder = named.map_or_else(|| "config".to_owned(), |name| format!("config/{name}"));
    let path = format!("{folder}/config.json");
    launch.files.meant(&path)?;
    let mut config = config::named(launch, &path, "env", claims)?;
    let keys = config.tree.as_object()?.iter();
    let keys: Map<String, Value> =
        keys.map(|(key, value)| (key.trim_start_matches('-').to_owned(), value.clone())).collect();
    config.tree = Value::Object(keys);
    config.get("model_family").is_some().then_some(config)
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments), Place::Words(&launch.arguments)]);
    if let Some(config) = file(launch, claims) {
        settings.add(Place::File(config));
    }
    network::begins("SimpleTuner", SOURCE, claims);
    settings::read(FLAGS, &settings, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, 1, SOURCE);
    model(&settings, claims);
    trained(&settings, claims);
    claims.assume(field::PRECISION, Precision::BF16, SOURCE);
    claims.assume(field::PARAMETER_PRECISION, Precision::BF16, SOURCE);
    training_arguments::recompute(&settings, &["gradient_checkpointing"], claims);
    claims.assume(field::RECOMPUTE, Recompute::None, SOURCE);
    sample(launch, &settings, claims);
    network::optimizer(&settings, &["optimizer"], OPTIMIZERS, (Optimizer::AdamW, SOURCE), claims);
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    network::sharding(launch, SOURCE, claims);
    if network::any_on(&settings, MOVES) {
        claims.open(field::offload::PARAMETERS, true);
    }
    if network::any_on(&settings, &["controlnet"]) {
        claims.unparsed(field::model::NAME);
    }
}

fn model(settings: &Settings<'_>, claims: &mut Claims) {
    let setting =
        settings.get(NAME).filter(|name| name.text().is_some_and(|name| known::find(&name).is_some()));
    if let Some((setting, name)) = setting.and_then(|setting| Some((setting.clone(), setting.text()?))) {
        return setting.says(claims, field::model::NAME, name);
    }
    let Some(family) = settings.get(&["model_family"]) else { return };
    let flavour = settings.text(&["model_flavour"]).unwrap_or_default();
    let name = family.text().unwrap_or_default();
    let known = FAMILIES.iter().find(|(own, part, _)| *own == name && flavour.contains(part));
    match known {
        Some((.., model)) => family.says(claims, field::model::NAME, *model),
        None => family.says(claims, field::model::NAME, name),
    }
}

fn trained(settings: &Settings<'_>, claims: &mut Claims) {
    let full = settings.get(&["model_type"]).filter(|kind| kind.text().as_deref() == Some("full"));
    if let Some(setting) = full {
        return setting.says(claims, field::finetuning::METHOD, Method::Full);
    }
    claims.argument(field::finetuning::METHOD, Method::LoRA, "model_type");
    settings::read(ADAPTERS, settings, claims);
    claims.assume(field::finetuning::RANK, 16, SOURCE);
    if settings.text(&["lora_type"]).is_some_and(|kind| kind != "standard") {
        claims.open_anyway(field::finetuning::RANK, 1);
    }
    let bits = settings.text(&["base_model_precision"]);
    if bits.is_some_and(|bits| bits != "no_change") {
        network::few_bits(claims);
    }
}

/// The largest sample of the file of data, or that of `--resolution`.
fn sample(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let data = settings.get(&["data_backend_config"]);
    let text = data.as_ref().and_then(|data| launch.files.meant(&data.text()?));
    let text = text.filter(|file| file.text.len() <= LARGEST_FILE);
    let folders: Vec<Value> = text.and_then(|file| serde_json::from_str(&file.text).ok()).unwrap_or_default();
    let longest = folders.iter().filter_map(|folder| side(folder.get("resolution")?.as_f64()?)).max();
    let videos = folders.iter().filter_map(|folder| folder.get("video")?.get("num_frames")?.as_u64());
    let frames = videos.max().unwrap_or(1);
    let told = settings.get(&["resolution"]);
    let longest = longest.or_else(|| side(told.as_ref()?.text()?.parse().ok()?));
    let size = longest.map(|side| Size { frames, ..Size::square(side) });
    let source = data.or(told).map_or_else(|| SOURCE.into(), |setting| setting.source(claims));
    network::sample(network::named(claims), size, source, claims);
}

/// The side in pixels of a resolution: pixels, or millions of them.
fn side(resolution: f64) -> Option<u64> {
    /// Below it, the number is in millions of pixels.
    const MILLIONS: f64 = 64.0;
    let side = if resolution < MILLIONS { (resolution * 1e6).sqrt() } else { resolution };
    (side.is_finite() && side > 0.0).then_some(side as u64)
}
