//! ostris' ai-toolkit: `python run.py config/train_lora_flux_24gb.yaml`.
//!
//! **Recognised** by `run.py` with a file whose `config.process` is a list of jobs with a `model`. Read from ai-toolkit at 27a03a91
//! (`config/examples`, `toolkit/config_modules.py`). The first job counts.
//!
//! `network.type: lora` has adapters of rank `network.linear`; another network stays open, and none trains the whole model. `model.quantize`
//! keeps the frozen model in eight bits, `model.low_vram` moves parts of it to the host. The format is `train.dtype`. The largest resolution of the
//! datasets counts, and their `num_frames`. One process trains, on one device.

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

const SOURCE: &str = "ai-toolkit default";

const FLAGS: Table = &[
    &flag(&["model.name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["train.batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["train.steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["train.dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
];
const ADAPTERS: Table = &[&flag(&["network.linear"], field::finetuning::RANK, Takes::Number)];
/// Options that keep the frozen model in few bits.
const FEW_BITS: &[&str] = &["model.quantize", "model.quantize_te", "model.qtype"];
/// Options that move weights to the host.
const MOVES: &[&str] = &["model.low_vram", "model.layer_offloading"];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    file(launch, &mut Claims::default()).is_some()
}

/// Its first job.
fn file(launch: &Launch, claims: &mut Claims) -> Option<Config> {
    let is_its = matches!(&launch.target, Target::Script(path) if basename(path) == "run.py");
    let path = config::positional(&launch.arguments).filter(|_| is_its)?;
    launch.files.meant(path)?;
    let config = config::named(launch, path, "run.py", claims)?;
    let first = config.get("config.process")?.as_array()?.first()?.clone();
    first.get("model")?;
    Some(config::within(config.source.clone(), "config.process", &first, claims))
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(config) = file(launch, claims) else { return };
    let datasets: Vec<Value> = config.get("datasets").and_then(Value::as_array).cloned().unwrap_or_default();
    let settings = Settings::of(vec![Place::File(config)]);
    network::begins("ai-toolkit", SOURCE, claims);
    settings::read(FLAGS, &settings, claims);
    settings::assume(network::USUAL, SOURCE, claims);
    trained(&settings, claims);
    let computed = claims.get(field::PRECISION).unwrap_or(Precision::BF16);
    claims.assume(field::PARAMETER_PRECISION, computed, SOURCE);
    training_arguments::recompute(&settings, &["train.gradient_checkpointing"], claims);
    claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
    network::optimizer(&settings, &["train.optimizer"], &[], (Optimizer::AdamW8bit, SOURCE), claims);
    settings::accumulation(&settings, &["train.gradient_accumulation_steps"], claims);
    if network::any_on(&settings, MOVES) {
        claims.open(field::offload::PARAMETERS, true);
    }
    let pixels = datasets.iter().filter_map(|set| largest(set.get("resolution")?)).max();
    let frames = datasets.iter().filter_map(|set| set.get("num_frames")?.as_u64()).max().unwrap_or(1);
    let size = pixels.map(|pixels| Size { pixels, frames });
    network::sample(network::named(claims), size, "datasets", claims);
}

/// The pixels of the largest of several resolutions, each the side of a square.
fn largest(resolution: &Value) -> Option<u64> {
    let one = std::slice::from_ref(resolution);
    let sides = resolution.as_array().map_or(one, Vec::as_slice);
    sides.iter().filter_map(network::pixels).max()
}

/// Adapters, or all weights.
fn trained(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["network.type"]) else {
        return claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
    };
    setting.says(claims, field::finetuning::METHOD, Method::LoRA);
    settings::read(ADAPTERS, settings, claims);
    claims.assume(field::finetuning::RANK, 4, SOURCE);
    if setting.text().is_none_or(|kind| kind != "lora") {
        claims.open_anyway(field::finetuning::RANK, 1);
    }
    if network::any_on(settings, FEW_BITS) {
        network::few_bits(claims);
    }
}
