//! PyTorch Lightning's trainer, in a program whose text is known and that loads a model of Transformers.
//!
//! | argument of `Trainer` | meaning |
//! | --- | --- |
//! | `precision="bf16-true"`, `"bf16-mixed"`, `"16-mixed"` | weights and computation in bf16; computation alone |
//! | `strategy="ddp"`, `"fsdp"`, `"deepspeed_stage_3_offload"` | sharding, offloading |
//! | `strategy=FSDPStrategy(…)`, `DeepSpeedStrategy(stage=3, offload_optimizer=True)`, also made by a function | the same |
//! | `accumulate_grad_batches`, `max_steps`, `max_epochs` | accumulation, steps, epochs |
//!
//! Batch, length and optimizer are those of a loop ([`super::training_loop`]). Without a strategy several devices copy the
//! model. Read from Lightning 2.5.

use serde_json::Value as Json;

use super::training_loop::{self, WRAPPER};
use crate::python::{Call, Program, Value};

/// The packages that have the trainer.
const PACKAGES: &[&str] = &["lightning", "pytorch_lightning"];
/// The arguments that have another name elsewhere.
const NAMES: &[(&str, &str)] = &[
    ("accumulate_grad_batches", "gradient_accumulation_steps"),
    ("max_steps", "max_steps"),
    ("max_epochs", "num_train_epochs"),
];

/// Whether a call makes Lightning's trainer.
pub(super) fn is_trainer(call: &Call) -> bool {
    let package = call.function.split('.').next().unwrap_or_default();
    call.name() == "Trainer" && PACKAGES.contains(&package)
}

/// Its settings, under the names that others have.
pub(super) fn settings(program: &Program, trainer: &Call, mut put: impl FnMut(&str, &Value)) {
    let word = |word: &str| Value::Plain(word.into());
    let on = Value::Plain(true.into());
    for (name, key) in NAMES {
        if let Some(value) = trainer.named.get(*name).filter(|value| **value != Value::Plain((-1).into())) {
            put(key, value);
        }
    }
    match trainer.named.get("precision") {
        Some(Value::Plain(Json::String(precision))) => match precision.as_str() {
            "bf16-true" => put("torch_dtype", &word("bfloat16")),
            "16-true" => put("torch_dtype", &word("float16")),
            "bf16-mixed" | "bf16" => put("bf16", &on),
            "16-mixed" | "16" => put("fp16", &on),
            _ => {}
        },
        Some(Value::Plain(Json::Number(bits))) if bits.as_u64() == Some(16) => put("fp16", &on),
        Some(Value::Plain(_)) | None => {}
        Some(_) => put("bf16", &Value::Unknown),
    }
    match trainer.named.get("strategy") {
        _ if trainer.may_have_more => put(WRAPPER, &word("launcher")),
        None => put(WRAPPER, &word("ddp")),
        Some(Value::Plain(Json::String(name))) => named(name, &mut put),
        Some(Value::Call(at)) => match strategy(program, *at) {
            Some(strategy) if strategy.name() == "DDPStrategy" => put(WRAPPER, &word("ddp")),
            Some(strategy) if strategy.name() == "FSDPStrategy" => {
                put(WRAPPER, &word(training_loop::fully_shards(strategy)));
            }
            Some(strategy) if strategy.name() == "DeepSpeedStrategy" => {
                training_loop::zero(strategy, "stage", &mut put);
                for (name, device) in [
                    ("offload_optimizer", "offload_optimizer_device"),
                    ("offload_parameters", "offload_param_device"),
                ] {
                    match strategy.named.get(name) {
                        Some(Value::Plain(Json::Bool(true))) => put(device, &word("cpu")),
                        Some(Value::Plain(_)) | None => {}
                        Some(_) => put(device, &Value::Unknown),
                    }
                }
            }
            _ => put(WRAPPER, &word("launcher")),
        },
        Some(_) => put(WRAPPER, &word("launcher")),
    }
}

/// The strategy that a call makes, or a function that it calls: then it is the only one of the program.
fn strategy(program: &Program, at: usize) -> Option<&Call> {
    let is_one = |call: &&Call| call.name().ends_with("Strategy") && call.runs != Some(false);
    let made = program.calls.get(at);
    let mut all = program.calls.iter().filter(is_one);
    made.filter(is_one).or_else(|| all.next().filter(|_| all.next().is_none()))
}

/// A strategy by its name.
fn named(name: &str, put: &mut impl FnMut(&str, &Value)) {
    let word = |word: &str| Value::Plain(word.into());
    if let Some(rest) = name.strip_prefix("deepspeed") {
        let offloads = rest.ends_with("_offload");
        let stage = rest.trim_start_matches("_stage_").trim_end_matches("_offload");
        put(WRAPPER, &word(&format!("zero{}", if stage.is_empty() { "2" } else { stage })));
        if offloads {
            put("offload_optimizer_device", &word("cpu"));
            if stage == "3" {
                put("offload_param_device", &word("cpu"));
            }
        }
    } else if name.starts_with("fsdp") {
        put(WRAPPER, &word(if name == "fsdp" { "all of fsdp" } else { "fsdp" }));
    } else if name == "auto" || name.starts_with("ddp") {
        put(WRAPPER, &word("ddp"));
    } else {
        put(WRAPPER, &word("launcher"));
    }
}
