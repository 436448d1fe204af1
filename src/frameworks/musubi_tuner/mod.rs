//! musubi-tuner: `accelerate launch src/musubi_tuner/wan_train_network.py --task t2v-14B --dit … --dataset_config a.toml …`.
//!
//! **Recognised** by a program of [`PROGRAMS`] with `--dit`, `--dataset_config` or `--network_module`. Read from musubi-tuner at 30c658c
//! (`training/parser_common.py`, `training/trainer_base.py`, `qwen_image_train.py`, `wan/configs/__init__.py`).
//!
//! The architecture is the program's, and in Wan's and FLUX.2's that of `--task` and `--model_version`. `…_train_network.py` has
//! adapters of rank 4 beside a frozen network in the format of the computation; `…_train.py` trains all weights, in fp32 or, with
//! `--full_bf16`, in bf16. Latents and texts were computed before, so nothing else is held. A batch, its pixels and its frames are in
//! the dataset's TOML; the program's own default is a batch of 1.

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

const SOURCE: &str = "musubi-tuner default";

/// Beginnings of the programs' names, and the model of each.
const PROGRAMS: &[(&str, Option<&str>)] = &[
    ("hv", Some("hunyuanvideo")),
    ("hv_1_5", Some("hunyuanvideo-1.5")),
    ("fpack", Some("hunyuanvideo")),
    ("wan", None),
    ("flux_kontext", Some("flux.1-dev")),
    ("flux_2", Some("flux.2-dev")),
    ("qwen_image", Some("qwen-image")),
    ("zimage", Some("z-image")),
    ("kandinsky5", None),
    ("hidream_o1", None),
    ("ideogram4", None),
    ("krea2", None),
];
/// The models of `--task` and `--model_version`.
const VERSIONS: &[(&str, &str)] = &[
    ("t2v-1.3B", "wan2.1-t2v-1.3b"),
    ("t2v-1.3B-FC", "wan2.1-t2v-1.3b"),
    ("t2v-14B", "wan2.1-t2v-14b"),
    ("t2v-14B-FC", "wan2.1-t2v-14b"),
    ("t2i-14B", "wan2.1-t2v-14b"),
    ("t2v-A14B", "wan2.1-t2v-14b"),
    ("i2v-14B", "wan2.1-i2v-14b"),
    ("i2v-14B-FC", "wan2.1-i2v-14b"),
    ("flf2v-14B", "wan2.1-i2v-14b"),
    ("i2v-A14B", "wan2.2-i2v-a14b"),
    ("ti2v-5B", "wan2.2-ti2v-5b"),
    ("dev", "flux.2-dev"),
    ("klein-4b", "flux.2-klein-4b"),
    ("klein-base-4b", "flux.2-klein-4b"),
    ("klein-9b", "flux.2-klein-9b"),
    ("klein-base-9b", "flux.2-klein-9b"),
];

const TOLD_BY: &[&str] = &["dit", "dataset_config", "network_module"];
const FLAGS: Table = &[
    &flag(&["mixed_precision"], field::PRECISION, Takes::OneOf(FORMATS)),
    &flag(&["max_train_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["max_train_epochs"], field::dataset::EPOCHS, Takes::Number),
];
const ADAPTERS: Table = &[&flag(&["network_dim"], field::finetuning::RANK, Takes::Number)];
const FORMATS: &[(&str, Precision)] =
    &[("no", Precision::FP32), ("fp16", Precision::FP16), ("bf16", Precision::BF16)];
/// Options that keep weights in few bits.
const FEW_BITS: &[&str] = &["fp8_base", "fp8_scaled"];
/// Options that move weights to the host.
const SWAPS: &[&str] = &["blocks_to_swap", "img_in_txt_in_offloading", "offload_inactive_dit"];
/// Options that step inside the backward pass.
const PIECEWISE: &[&str] = &["fused_backward_pass"];

/// The beginning of a program's name, its model, and whether it has adapters.
fn program(launch: &Launch) -> Option<(&'static str, Option<&'static str>, bool)> {
    let name = match &launch.target {
        Target::Script(path) => basename(path).strip_suffix(".py")?,
        Target::Module(module) => module.rsplit('.').next()?,
        _ => return None,
    };
    let (begin, adapters) = match name.strip_suffix("_train_network") {
        Some(begin) => (begin, true),
        None => (name.strip_suffix("_train")?, false),
    };
    let told = TOLD_BY.iter().any(|option| launch.arguments.has(option));
    let (name, model) = PROGRAMS.iter().find(|(name, _)| told && *name == begin)?;
    Some((name, *model, adapters))
}

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    program(launch).is_some()
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some((name, model, adapters)) = program(launch) else { return };
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    if let Some(path) = settings.text(&["config_file"])
        && let Some(config) = config::named(launch, &path, "--config_file", claims)
    {
        settings.add(Place::File(config));
    }
    network::begins("musubi-tuner", SOURCE, claims);
    network::without_towers("musubi-tuner", claims);
    settings::read(FLAGS, &settings, claims);
    architecture(name, model, &settings, claims);
    trained(adapters, &settings, claims);
    training_arguments::recompute(&settings, &["gradient_checkpointing"], claims);
    claims.assume(field::RECOMPUTE, Recompute::None, SOURCE);
    if network::any_on(&settings, &["gradient_checkpointing_cpu_offload"]) {
        claims.open(field::offload::ACTIVATIONS, true);
    }
    samples(launch, &settings, claims);
    network::optimizer(&settings, &["optimizer_type"], &[], (Optimizer::AdamW, SOURCE), claims);
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    network::sharding(launch, SOURCE, claims);
    if network::any_on(&settings, SWAPS) {
        claims.open(field::offload::PARAMETERS, true);
    }
    if network::any_on(&settings, PIECEWISE) {
        claims.open(field::OPTIMIZER_IN_BACKWARD, true);
    }
}

/// The program's architecture. `--dit` is a file of any name.
fn architecture(name: &str, model: Option<&str>, settings: &Settings<'_>, claims: &mut Claims) {
    let version = settings.text(&["task", "model_version"]);
    let of_version = version.and_then(|version| {
        VERSIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&version)).map(|(_, model)| *model)
    });
    let fallback = if name == "wan" { Some("wan2.1-t2v-14b") } else { model };
    match of_version.or(fallback).filter(|name| known::find(name).is_some()) {
        Some(known) => claims.argument(field::model::NAME, known, name),
        None => claims.unparsed(field::model::NAME),
    }
}

fn trained(adapters: bool, settings: &Settings<'_>, claims: &mut Claims) {
    let computed: Option<Precision> = claims.get(field::PRECISION);
    if !adapters {
        claims.argument(field::finetuning::METHOD, Method::Full, "the program's name");
        let half = network::any_on(settings, &["full_bf16"]);
        let stored = if half { Precision::BF16 } else { Precision::FP32 };
        claims.assume(field::PARAMETER_PRECISION, stored, SOURCE);
        return claims.open(field::PARAMETER_PRECISION, Precision::BF16);
    }
    claims.argument(field::finetuning::METHOD, Method::LoRA, "the program's name");
    settings::read(ADAPTERS, settings, claims);
    claims.assume(field::finetuning::RANK, 4, SOURCE);
    claims.assume(field::PARAMETER_PRECISION, computed.unwrap_or(Precision::BF16), SOURCE);
    if network::any_on(settings, FEW_BITS) {
        network::few_bits(claims);
    }
}

/// The batch, and the largest sample of the dataset's file.
fn samples(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let file = settings.text(&["dataset_config"]);
    let config = file.as_deref().filter(|path| launch.files.meant(path).is_some());
    let config = config.and_then(|path| config::named(launch, path, "--dataset_config", claims));
    let Some(config) = config else {
        claims.assume(field::batch::MICRO_BATCH_SIZE, 1, SOURCE);
        return claims.open(field::batch::MICRO_BATCH_SIZE, 1);
    };
    let parts = parts(&config);
    let whole = |name: &str| parts.iter().filter_map(|part| part.get(name)).filter_map(Value::as_u64).max();
    let source = config.source.key("resolution");
    claims.file(
        field::batch::MICRO_BATCH_SIZE,
        whole("batch_size").unwrap_or(1),
        &config.source,
        "batch_size",
    );
    let pixels = parts.iter().filter_map(|part| network::pixels(part.get("resolution")?)).max();
    let frames = parts.iter().filter_map(|part| part.get("target_frames")?.as_array()).flatten();
    let frames = frames.filter_map(Value::as_u64).chain(whole("max_frames")).max().unwrap_or(1);
    let size = pixels.map(|pixels| Size { pixels, frames });
    network::sample(network::named(claims), size, source, claims);
}

/// The tables of a dataset's file: its general one, and one for each folder.
fn parts(config: &Config) -> Vec<&Value> {
    let folders = config.get("datasets").and_then(Value::as_array).into_iter().flatten();
    config.get("general").into_iter().chain(folders).collect()
}
