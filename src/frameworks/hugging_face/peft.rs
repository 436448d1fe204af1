//! The trained weights: all of them, or adapters, by the names of PEFT, TRL, fms-hf-tuning and users' scripts.
//!
//! A method's name (`--peft_method lora`) is the strongest sign, then a switch (`--use_peft`). Without both, a rank or
//! targets mean adapters, unless the program requires its switch. Weights in four or eight bits mean QLoRA. PEFT makes
//! fp32 of the weights that are not quantized. Some programs do not ask for that or undo it ([`keeps_precision`]).

use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Setting, Settings};
use crate::frameworks::reading::subjects::{OptionValue, Subject};
use crate::job::{Cause, Method, OuterModules, Precision, field};

const METHODS: &[&str] =
    &["peft_method", "peft_type", "adapter", "finetuning_type", "tuner_type", "train_type", "sft_type"];
/// Names of methods in some programs, and of other things in others.
const MODES: &[&str] = &["train_mode"];
const SWITCHES: &[&str] =
    &["use_peft", "use_lora", "lora", "lora_enable", "enable_lora", "with_lora", "use_peft_lora"];
const RANK: &[&str] = &["lora_r", "lora_rank", "lora_dim", "lora_config.r", "ds.lora.rank", "r"];
const TARGETS: &[&str] = &["lora_target_modules", "target_modules", "ds.lora.target_modules", "lora_target"];
/// Tensors inside modules that have adapters, such as the joined experts of a layer.
const PARAMETERS: &[&str] = &["lora_target_parameters", "target_parameters"];
/// Modules of which a copy is trained whole, as PEFT, TRL, axolotl, ms-swift and LLaMA-Factory call them.
const SAVED: &[&str] =
    &["lora_modules_to_save", "modules_to_save", "additional_target", "ds.lora.modules_to_save"];
/// Parts of the names of modules that are small beside an embedding.
const SMALL: &[&str] = &["norm", "ln_", "score", "classifier", "v_head", "router"];
const FOUR_BITS: &[&str] =
    &["load_in_4bit", "ds.load_in_4bit", "use_4bit", "use_4bit_quantization", "use_qlora", "qlora", "q_lora"];
const EIGHT_BITS: &[&str] = &["load_in_8bit", "use_8bit", "use_8bit_quantization"];
/// The file of fms-acceleration, which may load the weights in four bits and fuse the loss.
pub(crate) const ACCELERATION: &str = "acceleration_framework_config_file";
const BITS: &[&str] = &["bits", "quantization_bit", "quant_bits"];

/// Words that mean all weights.
const FULL: &[&str] = &["full", "none", "false", "no", "no_peft", ""];

const DROPOUT: &[&str] = &["lora_dropout", "lora_dropout_p", "lora_config.lora_dropout"];

const DOUBLE: &[&str] = &[
    "bnb_4bit_use_double_quant",
    "double_quantization",
    "use_bnb_nested_quant",
    "use_double_quant",
    "double_quant",
    "use_nested_quant",
];

const ADAPTERS: Table = &[
    &flag(DOUBLE, field::quantization::DOUBLE, Takes::Switch(true)),
    &flag(RANK, field::finetuning::RANK, Takes::Number),
    &flag(DROPOUT, field::finetuning::DROPOUT, Takes::Percent),
];

/// Claims the method, if it is set: all weights, or adapters. With `switched`, only a method or a switch turns adapters
/// on.
pub(crate) fn read(settings: &Settings<'_>, switched: bool, claims: &mut Claims) -> Option<()> {
    let mode = || settings.get(MODES).filter(|setting| is_method(&setting.text().unwrap_or_default()));
    let named = settings.get(METHODS).or_else(mode);
    if let Some((word, setting)) = named.and_then(|s| Some((s.text()?.to_lowercase(), s))) {
        if word.contains("lora") {
            adapters(settings, &setting, word.contains("qlora"), claims);
        } else if FULL.contains(&word.as_str()) {
            setting.says(claims, field::finetuning::METHOD, Method::Full);
        } else {
            claims.beyond = Some(Cause::OtherAdapters);
        }
        return Some(());
    }
    if let Some(setting) = settings.get(SWITCHES) {
        match setting.truth() {
            Some(true) => adapters(settings, &setting, false, claims),
            Some(false) => setting.says(claims, field::finetuning::METHOD, Method::Full),
            // The position of the switch is unknown.
            None => claims.open(field::finetuning::METHOD, Method::QLoRA),
        }
        return Some(());
    }
    let telling =
        || settings.get(&["lora_r", "lora_rank", "lora_dim", "ds.lora.rank", "lora_target_modules"]);
    let quantized = || settings.get(FOUR_BITS).filter(|setting| setting.truth() == Some(true));
    let setting = (!switched).then(|| telling().or_else(quantized)).flatten()?;
    adapters(settings, &setting, false, claims);
    Some(())
}

/// Whether a word names a method.
fn is_method(word: &str) -> bool {
    let word = word.to_lowercase();
    word == "full" || word.contains("lora")
}

/// Claims the adapters. The source is the setting that turns them on.
pub(crate) fn adapters(settings: &Settings<'_>, by: &Setting, quantized: bool, claims: &mut Claims) {
    ranks(settings, claims);
    let four = settings.get(FOUR_BITS);
    let bits = settings.get(BITS).and_then(|setting| Some((setting.number()?, setting)));
    match (four, bits) {
        _ if quantized => by.says(claims, field::finetuning::METHOD, Method::QLoRA),
        (Some(four), _) if four.truth() == Some(true) => {
            four.says(claims, field::finetuning::METHOD, Method::QLoRA);
        }
        (_, Some((4, bits))) => bits.says(claims, field::finetuning::METHOD, Method::QLoRA),
        (_, Some((8, bits))) => eight_bits(&bits, claims),
        // No library of four bits: HQQ, AQLM and others.
        (_, Some((1..4, _))) => claims.beyond = Some(Cause::StoredQuantized),
        (four, bits) => {
            let eight = settings.get(EIGHT_BITS);
            if let Some(eight) = eight.as_ref().filter(|setting| setting.truth() == Some(true)) {
                eight_bits(eight, claims);
                return;
            }
            let is_unknown = |setting: &Setting| setting.truth().is_none();
            let unknown = four.iter().chain(&eight).any(is_unknown)
                || (four.is_none() && settings.has(&[ACCELERATION]));
            if unknown || bits.is_some_and(|(bits, _)| bits < 16) {
                claims.assume(field::finetuning::RANK, 8, "PEFT 0.17 default");
                claims.open(field::finetuning::METHOD, Method::QLoRA);
            } else {
                // A program that is known to quantize does so without a word.
                let known = claims.get(field::finetuning::METHOD).filter(|method| *method == Method::QLoRA);
                by.says(claims, field::finetuning::METHOD, known.unwrap_or(Method::LoRA));
            }
        }
    }
}

/// Claims the size of the adapters, and the layers that have them.
pub(crate) fn ranks(settings: &Settings<'_>, claims: &mut Claims) {
    settings::read(ADAPTERS, settings, claims);
    targets(settings, claims);
    saved(settings, claims);
}

/// The modules that are trained whole. Another one than embedding, output layer and a small one leaves open how much is
/// trained.
fn saved(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(SAVED).filter(|setting| setting.truth() != Some(false)) else { return };
    let Some(names) = names_of(&setting) else {
        if !setting.value.as_array().is_some_and(Vec::is_empty) && !setting.value.is_null() {
            Subject::Trained.open(OptionValue::Other, false, claims);
        }
        return;
    };
    let is_known =
        |name: &String| SMALL.iter().any(|part| name.contains(part)) || OuterModules::of(name).any();
    if !names.iter().all(is_known) {
        Subject::Trained.open(OptionValue::Other, false, claims);
    }
    setting.says(claims, field::finetuning::MODULES_TO_SAVE, names);
}

fn eight_bits(by: &Setting, claims: &mut Claims) {
    by.says(claims, field::finetuning::METHOD, Method::QLoRA);
    by.says(claims, field::quantization::BITS, 8);
}

/// Assumes that a program keeps the weights that are not quantized in the format of the computation. `double`: whether it
/// quantizes the scales again by default.
pub(crate) fn keeps_precision(double: bool, source: &str, claims: &mut Claims) {
    if claims.get(field::finetuning::METHOD).is_some_and(|method| method == Method::QLoRA) {
        let computed = claims.get(field::PRECISION).unwrap_or(Precision::BF16);
        claims.assume(field::quantization::DOUBLE, double, source);
        claims.assume(field::finetuning::EMBEDDING_PRECISION, computed, source);
    }
}

/// The layers with adapters: names, or all of them. A pattern stays open. Names of tensors add to them.
fn targets(settings: &Settings<'_>, claims: &mut Claims) {
    let (layers, tensors) = (settings.get(TARGETS), settings.get(PARAMETERS));
    let tensors = tensors.as_ref().and_then(|setting| Some((names_of(setting)?, setting)));
    let Some(setting) = layers else {
        if let Some((tensors, setting)) = tensors {
            setting.says(claims, field::finetuning::TARGETS, tensors);
        }
        return;
    };
    let all = ["all", "all-linear", "all_linear", "ALL"];
    match names_of(&setting) {
        Some(names) if names.iter().any(|name| all.contains(&name.as_str())) && names.len() == 1 => {
            setting.says(claims, field::finetuning::TARGETS, vec!["all-linear"]);
        }
        Some(mut names) => {
            names.extend(tensors.into_iter().flat_map(|(tensors, _)| tensors));
            setting.says(claims, field::finetuning::TARGETS, names);
        }
        None => claims.unparsed(field::finetuning::TARGETS),
    }
}

/// The names in a list. `None` if there are none, or if they are a pattern.
fn names_of(setting: &Setting) -> Option<Vec<String>> {
    let words = match &setting.value {
        serde_json::Value::Array(words) => {
            words.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(" ")
        }
        _ => setting.text().unwrap_or_default(),
    };
    let named = words.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-., []'\"".contains(&b));
    flags::list(&words).filter(|_| named)
}
