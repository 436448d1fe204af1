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
//! | `Accelerator(fsdp_plugin=…)`, `Accelerator(deepspeed_plugin=DeepSpeedPlugin(zero_stage=3))` | sharding, offloading |
//! | `deepspeed.initialize(config={…})` | the configuration |
//!
//! `Accelerator` without a plugin shards as its launcher says: under `accelerate launch` sharding stays open, and under torchrun
//! it copies the model, unless the environment says otherwise. Lightning's trainer has its own table ([`super::lightning`]).

use serde_json::Value as Json;

use super::script::{self, loads_classifier, loads_model};
use crate::command::Launch;
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
pub(super) const WRAPPER: &str = "wrapper";
/// The source of what no plugin says.
const PLAIN: &str = "Accelerate without a plugin";

/// Whether a program has a training loop.
pub(super) fn is_in(program: &Program) -> bool {
    let calls =
        |test: fn(&Call) -> bool| program.calls.iter().any(|call| call.runs != Some(false) && test(call));
    calls(|call| call.name() == "backward")
        && calls(|call| optimizer(call).is_some())
        && calls(|call| {
            let made = script::is_made(call);
            let loads = matches!(call.name(), "from_pretrained" | "from_config");
            made || loads && (call.function.contains("Model") || loads_model(call) || loads_classifier(call))
        })
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
                let one = Value::Plain(1.into());
                let batch = given("batch_size").unwrap_or(&one);
                // `None`: the data are batches already.
                let is_none = *batch == Value::Plain(Json::Null);
                put("per_device_train_batch_size", if is_none { &Value::Unknown } else { batch });
            }
            "Accelerator" => {
                accelerator(program, call, &mut put);
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
            "initialize" if call.function == "deepspeed.initialize" => {
                match given("config").or_else(|| given("config_params")) {
                    Some(config @ Value::Plain(Json::Object(_) | Json::String(_))) => {
                        put("deepspeed", config);
                        put(WRAPPER, &word("told"));
                    }
                    _ => put(WRAPPER, &word("launcher")),
                }
            }
            _ => {
                if let Some(length) = length(call) {
                    put("max_seq_length", length);
                }
                if let Some(name) = optimizer(call) {
                    put("optim", &word(name));
                }
            }
        }
    }
}

/// The longest sample that a call of a tokenizer makes.
pub(super) fn length(call: &Call) -> Option<&Value> {
    let given = |name: &str| call.named.contains_key(name);
    let name = call.name().to_lowercase();
    let tokenizes =
        name.contains("tokenizer") || name == "encode_plus" || given("truncation") || given("padding");
    call.named.get("max_length").filter(|_| tokenizes)
}

/// Whether a call of a tokenizer pads every sample to this length.
pub(super) fn pads(call: &Call) -> bool {
    call.named.get("padding") == Some(&Value::Plain("max_length".into()))
}

/// The plugin of an `Accelerator`.
fn accelerator(program: &Program, call: &Call, put: &mut impl FnMut(&str, &Value)) {
    let word = |word: &str| Value::Plain(word.into());
    let plugin = |name: &str| match call.named.get(name) {
        None | Some(Value::Plain(Json::Null)) => Ok(None),
        Some(Value::Call(at)) => Ok(program.calls.get(*at)),
        Some(_) => Err(()),
    };
    match (plugin("fsdp_plugin"), plugin("deepspeed_plugin")) {
        // A variable that the program sets may turn sharding on.
        (Ok(None), Ok(None)) if call.may_have_more || program.sets.contains("environ") => {
            put(WRAPPER, &word("launcher"));
        }
        (Ok(None), Ok(None)) => put(WRAPPER, &word("accelerator")),
        (Ok(Some(plugin)), _) if plugin.name() == "FullyShardedDataParallelPlugin" => {
            put(WRAPPER, &word(fully_shards(plugin)));
        }
        (_, Ok(Some(plugin))) if plugin.name() == "DeepSpeedPlugin" => {
            zero(plugin, "zero_stage", put);
            for device in ["offload_optimizer_device", "offload_param_device"] {
                if let Some(value) = plugin.named.get(device) {
                    put(device, value);
                }
            }
        }
        _ => put(WRAPPER, &word("launcher")),
    }
}

/// Whether a call that shards fully may offload, or shard otherwise.
pub(super) fn fully_shards(call: &Call) -> &'static str {
    let others = ["sharding_strategy", "cpu_offload", "fsdp_version", "reshard_after_forward"];
    if call.may_have_more || others.iter().any(|name| call.named.contains_key(*name)) {
        "fsdp"
    } else {
        "all of fsdp"
    }
}

/// The stage of ZeRO, or the configuration that has it.
pub(super) fn zero(call: &Call, stage: &str, put: &mut impl FnMut(&str, &Value)) {
    let word = |word: &str| Value::Plain(word.into());
    let config = ["hf_ds_config", "config"].iter().find_map(|name| call.named.get(*name));
    match (config, call.named.get(stage)) {
        (Some(config @ Value::Plain(Json::Object(_) | Json::String(_))), _) => {
            put("deepspeed", config);
            put(WRAPPER, &word("told"));
        }
        (None, None) if !call.may_have_more => put(WRAPPER, &word("zero2")),
        (None, Some(Value::Plain(Json::Number(stage)))) => put(WRAPPER, &word(&format!("zero{stage}"))),
        _ => put(WRAPPER, &word("launcher")),
    }
}

/// How the processes share the model.
pub(super) fn sharding(launch: &Launch, places: &Places<'_>, claims: &mut Claims) {
    let field = field::parallelism::SHARDING;
    let Some(setting) = places.get(&[WRAPPER]) else {
        // One process may spread the model over its devices.
        return if launch.accelerators == 1 {
            claims.assume(field, Sharding::None, "one device");
        } else {
            claims.open(field, Sharding::FSDP);
        };
    };
    let wrapper = setting.text().unwrap_or_default();
    match wrapper.as_str() {
        "ddp" => setting.says(claims, field, Sharding::None),
        "fsdp" => {
            setting.says(claims, field, Sharding::FSDP);
            claims.open(field::offload::PARAMETERS, true);
        }
        "all of fsdp" => {
            setting.says(claims, field, Sharding::FSDP);
            setting.says(claims, field::offload::PARAMETERS, false);
        }
        "told" => {}
        "accelerator" if claims.knows(field) || claims.is_open(field) => {}
        "accelerator" if launch.launcher("accelerate launch").is_none() => {
            claims.assume(field, Sharding::None, PLAIN);
        }
        zero if zero.starts_with("zero") => {
            let Some(stage) = deepspeed::stage(zero.trim_start_matches("zero")) else {
                return deepspeed::unknown(claims);
            };
            setting.says(claims, field, stage);
            for (name, field) in [
                ("offload_optimizer_device", field::offload::OPTIMIZER),
                ("offload_param_device", field::offload::PARAMETERS),
            ] {
                match places.get(&[name]).map(|device| device.text()) {
                    None => setting.says(claims, field, false),
                    Some(Some(device)) => setting.says(claims, field, deepspeed::is_moved(&device)),
                    Some(None) => claims.open(field, true),
                }
            }
        }
        _ => deepspeed::unknown(claims),
    }
}
