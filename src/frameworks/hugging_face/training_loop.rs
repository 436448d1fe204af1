//! Training loops that people write themselves, in a Python program whose text is known.
//!
//! **A loop** calls `backward`, makes an optimizer of PyTorch or bitsandbytes, and loads a model with `from_pretrained`.
//!
//! | call | setting |
//! | --- | --- |
//! | `DataLoader(data, batch_size=4)` | the batch of a process; loaders that differ leave it open |
//! | `tokenizer(text, max_length=512)` | the longest sample |
//! | `torch.optim.AdamW(…)`, `bnb.optim.PagedAdamW8bit(…)` | the optimizer |
//! | `Accelerator(mixed_precision="bf16", gradient_accumulation_steps=8)`, `torch.autocast("cuda", dtype=torch.bfloat16)` | format, accumulation |
//! | `DistributedDataParallel(model)`, `FSDP(model)`, `fully_shard(model)` | sharding |
//!
//! `Accelerator` and `deepspeed.initialize` shard as their launcher or file says, so sharding stays open with them.

use serde_json::Value as Json;

use crate::frameworks::deepspeed;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::Settings as Places;
use crate::job::{Sharding, field};
use crate::python::{Call, Program, Value};

/// The optimizers of PyTorch and bitsandbytes, by class, with the Trainer's name.
const OPTIMIZERS: &[(&str, &str)] = &[
    ("AdamW", "adamw_torch"),
    ("Adam", "adamw_torch"),
    ("FusedAdam", "adamw_torch"),
    ("SGD", "sgd"),
    ("Adafactor", "adafactor"),
    ("AdamW8bit", "adamw_bnb_8bit"),
    ("Adam8bit", "adamw_bnb_8bit"),
    ("PagedAdamW", "paged_adamw"),
    ("PagedAdamW8bit", "paged_adamw_8bit"),
    ("PagedAdamW32bit", "paged_adamw_32bit"),
    ("Lion", "lion"),
];
/// The setting under which the wrapper of the model is kept.
const WRAPPER: &str = "wrapper";

/// Whether a program has a training loop.
pub(super) fn is_in(program: &Program) -> bool {
    let calls =
        |test: fn(&Call) -> bool| program.calls.iter().any(|call| call.runs != Some(false) && test(call));
    calls(|call| call.name() == "backward")
        && calls(|call| optimizer(call).is_some())
        && calls(|call| call.name() == "from_pretrained" && call.function.contains("Model"))
}

/// The optimizer that a call makes.
pub(super) fn optimizer(call: &Call) -> Option<&'static str> {
    let known = OPTIMIZERS.iter().find(|(class, _)| *class == call.name());
    known.map(|(_, name)| *name)
}

/// The settings of a loop, under the Trainer's names.
pub(super) fn settings(program: &Program, mut put: impl FnMut(&str, &Value)) {
    let word = |word: &str| Value::Plain(word.into());
    for call in program.calls.iter().filter(|call| call.runs != Some(false)) {
        let given = |name: &str| call.named.get(name);
        match call.name() {
            "DataLoader" => {
                put("per_device_train_batch_size", given("batch_size").unwrap_or(&Value::Plain(1.into())));
            }
            "Accelerator" => {
                put(WRAPPER, &word("launcher"));
                if let Some(steps) = given("gradient_accumulation_steps") {
                    put("gradient_accumulation_steps", steps);
                }
                match given("mixed_precision") {
                    Some(Value::Plain(Json::String(format))) if format == "bf16" || format == "fp16" => {
                        put(format, &Value::Plain(true.into()));
                    }
                    _ => {}
                }
            }
            "autocast" => match given("dtype") {
                Some(Value::Plain(Json::String(format))) if format == "bfloat16" => {
                    put("bf16", &Value::Plain(true.into()));
                }
                Some(Value::Plain(Json::String(format))) if format == "float16" => {
                    put("fp16", &Value::Plain(true.into()));
                }
                _ => {}
            },
            "DistributedDataParallel" | "DDP" => put(WRAPPER, &word("ddp")),
            "FullyShardedDataParallel" | "FSDP" | "fully_shard" => put(WRAPPER, &word("fsdp")),
            "initialize" if call.function == "deepspeed.initialize" => put(WRAPPER, &word("launcher")),
            name if name.to_lowercase().contains("tokenizer") || name == "encode_plus" => {
                if let Some(length) = given("max_length") {
                    put("max_seq_length", length);
                }
            }
            _ => {
                if let Some(name) = optimizer(call) {
                    put("optim", &word(name));
                }
            }
        }
    }
}

/// How the processes share the model.
pub(super) fn sharding(places: &Places<'_>, claims: &mut Claims) {
    let field = field::parallelism::SHARDING;
    match places.get(&[WRAPPER]) {
        Some(setting) => match setting.text().as_deref() {
            Some("ddp") => setting.says(claims, field, Sharding::None),
            Some("fsdp") => {
                setting.says(claims, field, Sharding::FSDP);
                claims.open(field::offload::PARAMETERS, true);
            }
            _ => deepspeed::unknown(claims),
        },
        // One process may spread the model over its devices.
        None => claims.open(field, Sharding::FSDP),
    }
}
