//! DiffSynth-Studio: `accelerate launch examples/wanvideo/model_training/train.py --model_id_with_origin_paths "…" …`.
//!
//! **Recognised** by `train.py` with `--model_id_with_origin_paths` or `--model_paths`, and `--dataset_base_path` or
//! `--dataset_metadata_path`. Read from DiffSynth-Studio at fed7b18 (`diffsynth/diffusion/parsers.py`, `training_module.py`,
//! `examples/*/model_training/train.py`).
//!
//! The model is the first of the listed files that is neither a text encoder nor a VAE. `--trainable_models dit` trains it whole,
//! `--lora_base_model` has adapters of rank 32; both in bf16 as it was loaded. Another trained part may be far smaller. A batch
//! is one sample. A sample is `--height` × `--width` pixels, else up to `--max_pixels` (1024²), and a video has `--num_frames`
//! (81). Wan's trainer turns checkpointing on unasked. `--task sft:data_process` computes what encoders say, for another launch.

use crate::command::{Launch, Target, basename};
use crate::frameworks::diffusion::images::Size;
use crate::frameworks::diffusion::network;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Cause, Method, Optimizer, Precision, Recompute, field};
use crate::model::known;

const SOURCE: &str = "DiffSynth-Studio default";

const FILES: &[&str] = &["model_id_with_origin_paths", "model_paths"];
const DATA: &[&str] = &["dataset_base_path", "dataset_metadata_path"];
/// Parts of the names of files that are not the trained network's.
const BESIDE: &[&str] = &["text_encoder", "vae", "t5", "clip", "tokenizer", "image_encoder", "processor"];
const FLAGS: Table = &[
    &flag(&["lora_rank"], field::finetuning::RANK, Takes::Number),
    &flag(&["num_epochs"], field::dataset::EPOCHS, Takes::Number),
];
/// Options that keep weights in few bits.
const FEW_BITS: &[&str] = &["fp8_models", "quant_options"];
/// Options that move weights to the host.
const MOVES: &[&str] = &["enable_model_cpu_offload", "offload_models"];
/// Options that change nothing of what this reads.
const INERT: &[&str] = &[
    "lora_target_modules",
    "lora_checkpoint",
    "preset_lora_path",
    "preset_lora_model",
    "extra_inputs",
    "remove_prefix_in_ckpt",
    "find_unused_parameters",
    "dataset_repeat",
    "dataset_num_workers",
    "data_file_keys",
    "initialize_model_on_cpu",
    "resume_from_checkpoint",
];
/// Usual sizes.
const MOST_PIXELS: u64 = 1_024 * 1_024;
const FRAMES: u64 = 81;
/// Beginnings of the names of models for videos.
const VIDEOS: &[&str] = &["wan", "hunyuanvideo", "ltx", "cogvideox"];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let Target::Script(path) = &launch.target else { return false };
    let has = |options: &[&str]| options.iter().any(|option| launch.arguments.has(option));
    basename(path) == "train.py" && has(FILES) && has(DATA)
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    network::begins("DiffSynth-Studio", SOURCE, claims);
    settings::read(FLAGS, &settings, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, 1, SOURCE);
    model(&settings, claims);
    trained(&settings, claims);
    claims.assume(field::PRECISION, Precision::BF16, SOURCE);
    claims.assume(field::PARAMETER_PRECISION, Precision::BF16, SOURCE);
    checkpointing(launch, &settings, claims);
    sample(&settings, claims);
    network::optimizer(&settings, &["customized_optimizer"], &[], (Optimizer::AdamW, SOURCE), claims);
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    network::sharding(launch, SOURCE, claims);
    if network::any_on(&settings, FEW_BITS) {
        network::few_bits(claims);
    }
    if network::any_on(&settings, MOVES) {
        claims.open(field::offload::PARAMETERS, true);
        claims.open(field::offload::OPTIMIZER, true);
    }
    if settings.text(&["task"]).is_some_and(|task| task.ends_with(":data_process")) {
        claims.beyond = Some(Cause::Preparation);
    }
    settings.inert(INERT);
}

/// The first of the files that is the network's: `Wan-AI/Wan2.1-T2V-14B:diffusion_pytorch_model*.safetensors,…`.
fn model(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(FILES) else { return };
    let text = setting.text().unwrap_or_default();
    let entries = text.split([',', '[', ']', '"']).map(str::trim).filter(|entry| !entry.is_empty());
    let own: Vec<&str> = entries
        .filter(|entry| {
            let file = entry.rsplit_once(':').map_or(*entry, |(_, file)| file).to_lowercase();
            !BESIDE.iter().any(|part| file.contains(part))
        })
        .collect();
    let name = |entry: &str| {
        let id = entry.split_once(':').map_or(entry, |(id, _)| id);
        let folders = id.split('/').find(|part| known::find(part).is_some());
        folders.map(str::to_owned)
    };
    match own.iter().find_map(|entry| name(entry)).or_else(|| Some((*own.first()?).to_owned())) {
        Some(name) => setting.says(claims, field::model::NAME, name),
        None => claims.unparsed(field::model::NAME),
    }
}

/// What is trained: the network, adapters of it, or another part.
fn trained(settings: &Settings<'_>, claims: &mut Claims) {
    let field = field::finetuning::METHOD;
    match settings.get(&["lora_base_model"]).filter(|setting| setting.truth() != Some(false)) {
        Some(setting) => {
            setting.says(claims, field, Method::LoRA);
            claims.assume(field::finetuning::RANK, 32, SOURCE);
        }
        None => claims.argument(field, Method::Full, "--trainable_models"),
    }
    let parts = settings.text(&["trainable_models"]);
    if parts.is_some_and(|parts| !parts.split(',').any(|part| part.trim().starts_with("dit"))) {
        // A part such as a VAE, or what is added to the network.
        claims.open_anyway(field, Method::LoRA);
    }
}

fn checkpointing(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    training_arguments::recompute(settings, &["use_gradient_checkpointing"], claims);
    if network::any_on(settings, &["use_gradient_checkpointing_offload"]) {
        claims.argument(field::RECOMPUTE, Recompute::Full, "--use_gradient_checkpointing_offload");
        claims.open(field::offload::ACTIVATIONS, true);
    }
    let of_wan = matches!(&launch.target, Target::Script(path) if path.contains("wanvideo"));
    let of_wan = of_wan || network::named(claims).is_some_and(|known| known.name.starts_with("wan"));
    claims.assume(field::RECOMPUTE, if of_wan { Recompute::Full } else { Recompute::None }, SOURCE);
}

fn sample(settings: &Settings<'_>, claims: &mut Claims) {
    let known = network::named(claims);
    let number = |name: &str| settings.number(&[name]);
    let most = number("max_pixels").unwrap_or(MOST_PIXELS);
    let pixels = number("height").zip(number("width")).map_or(most, |(high, wide)| high.saturating_mul(wide));
    let is_video = known.is_some_and(|known| VIDEOS.iter().any(|video| known.name.starts_with(video)));
    let frames = if is_video { number("num_frames").unwrap_or(FRAMES) } else { 1 };
    let source = settings.get(&["height"]).or_else(|| settings.get(&["max_pixels"]));
    let source = source.map_or_else(|| SOURCE.into(), |setting| setting.source(claims));
    network::sample(known, Some(Size { pixels, frames }), source, claims);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(files: &str) -> Option<String> {
        let launch = Launch::of_words(&["python", "train.py", "--model_paths", files]);
        let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
        let mut claims = Claims::default();
        model(&settings, &mut claims);
        claims.get(field::model::NAME)
    }

    #[test]
    fn the_network_is_found_among_the_files() {
        for (files, expected) in [
            (
                "Wan-AI/Wan2.1-T2V-14B:models_t5.pth,Wan-AI/Wan2.1-T2V-14B:diffusion*.safetensors",
                "Wan2.1-T2V-14B",
            ),
            (
                r#"["/models/text_encoder/a.safetensors","/models/FLUX.1-dev/flux1-dev.safetensors"]"#,
                "FLUX.1-dev",
            ),
            ("Qwen/Qwen-Image:vae/a.safetensors,Qwen/Qwen-Image:transformer/a*.safetensors", "Qwen-Image"),
        ] {
            assert_eq!(name(files).as_deref(), Some(expected), "{files}");
        }
        assert_eq!(name("a/b:vae.pth"), None);
    }
}
