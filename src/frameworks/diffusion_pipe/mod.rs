//! diffusion-pipe: `deepspeed --num_gpus=1 train.py --deepspeed --config examples/main_example.toml`.
//!
//! **Recognised** by `train.py` with a TOML that has a table `model` with a `type`, and `micro_batch_size_per_gpu` or `pipeline_stages`. Read from
//! diffusion-pipe at 8f83dbf (`examples/main_example.toml`, `train.py`, `docs/supported_models.md`).
//!
//! `adapter.type: lora` has adapters of rank `adapter.rank`; without it the whole model is trained, in `model.dtype`. The layers are a
//! pipeline of `pipeline_stages` on DeepSpeed. `transformer_dtype: float8` keeps a frozen model in eight bits, `blocks_to_swap` moves
//! parts to the host. Latents and texts are computed before. The sizes are in the file of `dataset`.

use std::path::Path;

use serde_json::Value;

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

const SOURCE: &str = "diffusion-pipe default";

/// The models of `model.type`, if no path names one.
const TYPES: &[(&str, &str)] = &[
    ("flux", "flux.1-dev"),
    ("flux2", "flux.2-dev"),
    ("ltx-video", "ltx-video"),
    ("hunyuan-video", "hunyuanvideo"),
    ("sdxl", "stable-diffusion-xl"),
    ("chroma", "chroma1"),
    ("qwen_image", "qwen-image"),
    ("z_image", "z-image"),
];
/// Keys with the path of the model.
const PATHS: &[&str] =
    &["model.ckpt_path", "model.diffusers_path", "model.checkpoint_path", "model.transformer_path"];
const FLAGS: Table = &[
    &flag(&["micro_batch_size_per_gpu"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["pipeline_stages"], field::parallelism::PIPELINE, Takes::Number),
    &flag(&["epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["model.dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
];
/// Optimizers of its own.
const OPTIMIZERS: &[(&str, Optimizer)] =
    &[("adamw_optimi", Optimizer::AdamW), ("adamw8bitkahan", Optimizer::AdamW8bit)];
const ADAPTERS: Table = &[&flag(&["adapter.rank"], field::finetuning::RANK, Takes::Number)];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    file(launch, &mut Claims::default()).is_some()
}

fn is_toml(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "toml")
}

fn file(launch: &Launch, claims: &mut Claims) -> Option<Config> {
    let is_its = matches!(&launch.target, Target::Script(path) if basename(path) == "train.py");
    let path = launch.arguments.value("config").filter(|path| is_its && is_toml(path))?;
    launch.files.meant(path)?;
    let config = config::named(launch, path, "--config", claims)?;
    let has = |key: &str| config.get(key).is_some();
    (has("model.type") && (has("micro_batch_size_per_gpu") || has("pipeline_stages"))).then_some(config)
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(config) = file(launch, claims) else { return };
    let settings = Settings::of(vec![Place::File(config)]);
    network::begins("diffusion-pipe", SOURCE, claims);
    network::without_towers("diffusion-pipe", claims);
    settings::read(FLAGS, &settings, claims);
    settings::assume(network::USUAL, SOURCE, claims);
    model(&settings, claims);
    trained(&settings, claims);
    let computed = claims.get(field::PRECISION).unwrap_or(Precision::BF16);
    claims.assume(field::PARAMETER_PRECISION, computed, SOURCE);
    training_arguments::recompute(&settings, &["activation_checkpointing"], claims);
    claims.assume(field::RECOMPUTE, Recompute::None, SOURCE);
    network::optimizer(&settings, &["optimizer.type"], OPTIMIZERS, (Optimizer::AdamW, SOURCE), claims);
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    if network::any_on(&settings, &["blocks_to_swap"]) {
        claims.open(field::offload::PARAMETERS, true);
    }
    sample(launch, &settings, claims);
}

/// The model at one of the paths, or that of the type.
fn model(settings: &Settings<'_>, claims: &mut Claims) {
    for path in PATHS {
        let Some(setting) = settings.get(&[path]) else { continue };
        let text = setting.text().unwrap_or_default();
        if let Some(name) = text.split('/').rev().find(|part| known::find(part).is_some()) {
            return setting.says(claims, field::model::NAME, name);
        }
    }
    let Some(setting) = settings.get(&["model.type"]) else { return };
    let kind = setting.text().unwrap_or_default();
    let known = TYPES.iter().find(|(name, _)| *name == kind);
    setting.says(claims, field::model::NAME, known.map_or(kind.as_str(), |(_, model)| *model));
}

fn trained(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["adapter.type"]) else {
        return claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
    };
    setting.says(claims, field::finetuning::METHOD, Method::LoRA);
    settings::read(ADAPTERS, settings, claims);
    claims.assume(field::finetuning::RANK, 32, SOURCE);
    let narrow = settings.text(&["model.transformer_dtype"]).is_some_and(|format| format.contains('8'));
    if narrow {
        network::few_bits(claims);
    }
}

/// The largest sample of the dataset's file.
fn sample(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let path = settings.text(&["dataset"]).filter(|path| launch.files.meant(path).is_some());
    let Some(data) = path.and_then(|path| config::named(launch, &path, "dataset", claims)) else { return };
    let list = |key: &str| data.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let pixels = list("resolutions").iter().filter_map(network::pixels).max();
    let mut frames = list("frame_buckets").iter().filter_map(Value::as_u64).max().unwrap_or(1);
    let buckets = list("size_buckets");
    let bucket = buckets.iter().filter_map(|bucket| {
        let numbers: Vec<u64> = bucket.as_array()?.iter().filter_map(Value::as_u64).collect();
        let [wide, high, frames] = *numbers.as_slice() else { return None };
        Some((wide.saturating_mul(high), frames))
    });
    let largest = bucket.max();
    if let Some((_, own)) = largest {
        frames = own;
    }
    let size = pixels.or(largest.map(|(pixels, _)| pixels)).map(|pixels| Size { pixels, frames });
    network::sample(network::named(claims), size, data.source.key("resolutions"), claims);
}
