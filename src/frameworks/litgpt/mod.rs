//! LitGPT: `litgpt finetune_lora meta-llama/Llama-3.2-1B --precision bf16-true --train.micro_batch_size 2`.
//!
//! **Recognised** by its program. Read from the release 0.5.8 (`litgpt/finetune/{lora,full}.py`, `litgpt/pretrain.py`):
//! fine-tuning takes one device, a batch of 1 within 16, LoRA of rank 8 on queries and values, and FSDP over several
//! devices; pretraining takes all devices, a batch of 4 within 512, and shards within each node. Both mix bf16 with fp32
//! weights, but configurations that it brings say `bf16-true`: the precision stays open where it is not said. Adapters other than LoRA are not covered.

pub(super) mod profile;

use crate::command::Launch;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Flag, Takes, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Settings};

const SOURCE: &str = "LitGPT 0.5 default";

/// Subcommands, and the method of each.
const COMMANDS: &[(&str, &str)] = &[
    ("litgpt finetune", "LoRA"),
    ("litgpt finetune_lora", "LoRA"),
    ("litgpt finetune_full", "Full"),
    ("litgpt pretrain", "Full"),
    ("litgpt finetune_adapter", ""),
    ("litgpt finetune_adapter_v2", ""),
];

const FLAGS: &[Flag] = &[
    flag(&["train.micro_batch_size"], "batch.microBatchSize", Takes::Number),
    flag(&["train.global_batch_size"], "batch.globalBatchSize", Takes::Number),
    flag(&["train.max_seq_length"], "batch.sequenceLength", Takes::Number),
    flag(&["train.max_steps"], "dataset.steps", Takes::Number),
    flag(&["train.epochs"], "dataset.epochs", Takes::Number),
    flag(&["train.max_tokens"], "dataset.tokens", Takes::Number),
];

/// Precisions: what is computed in, and whether weights are stored in it, too.
const PRECISIONS: &[(&str, &str, bool)] = &[
    ("bf16-true", "BF16", true),
    ("16-true", "FP16", true),
    ("bf16-mixed", "BF16", false),
    ("16-mixed", "FP16", false),
    ("32-true", "FP32", true),
    ("32", "FP32", true),
];

/// Switches of LoRA's layers, whether they are on where nothing is said, and the layers.
const LAYERS: &[(&str, bool, &[&str])] = &[
    ("lora_query", true, &["q_proj"]),
    ("lora_key", false, &["k_proj"]),
    ("lora_value", true, &["v_proj"]),
    ("lora_projection", false, &["o_proj"]),
    ("lora_mlp", false, &["gate_proj", "up_proj", "down_proj"]),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    command(launch).is_some()
}

fn command(launch: &Launch) -> Option<&'static (&'static str, &'static str)> {
    COMMANDS.iter().find(|(command, _)| launch.runs_program(command))
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    let Some((command, method)) = command(launch) else { return };
    said.argument("framework", "LitGPT", command);
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    if let Some(path) = settings.text(&["config"]).filter(|path| config::is_config(path))
        && let Some(config) = config::named(launch, &path, "--config", said)
    {
        settings.add(Place::File(config));
    }
    model(launch, &settings, said);
    settings::read(FLAGS, &settings, said);
    devices(&settings, command, said);
    precision(&settings, said);
    match *method {
        "" => said.beyond = Some("it trains neither all weights nor LoRA adapters"),
        "LoRA" => lora(&settings, command, said),
        _ => said.argument("finetuning.method", "Full", command),
    }
    let batches = match *command {
        "litgpt pretrain" => [("batch.microBatchSize", "4"), ("batch.globalBatchSize", "512")],
        _ => [("batch.microBatchSize", "1"), ("batch.globalBatchSize", "16")],
    };
    settings::assume(&batches, SOURCE, said);
}

fn model(launch: &Launch, settings: &Settings<'_>, said: &mut Said) {
    let names = &["checkpoint_dir", "model_name"];
    settings::read_one(settings, names, "model.name", Takes::Text, said);
    // The first word that is no option's, behind the subcommand where that was not split off.
    let words = launch.arguments.words().iter();
    let first = words
        .take(2)
        .find(|word| word.known && !word.text.starts_with("finetune") && word.text != "pretrain");
    if let Some(first) = first.filter(|word| !word.text.starts_with('-') && !settings.has(names)) {
        said.argument("model.name", first.text.clone(), "checkpoint_dir");
    }
}

fn devices(settings: &Settings<'_>, command: &str, said: &mut Said) {
    if command == "litgpt pretrain" {
        // Over one node, to shard within a node is to shard fully.
        let one = settings.get(&["num_nodes"]).is_none_or(|setting| setting.number() == Some(1));
        said.assume("parallelism.sharding", if one { "FSDP" } else { "HSDP" }, SOURCE);
        said.may("parallelism.sharding", "FSDP");
        // It takes all devices that there are.
        if !settings.has(&["devices"]) {
            return;
        }
    }
    let count = |name: &str| settings.get(&[name]).map_or(Some(1), |setting| setting.number());
    let Some((devices, nodes)) = count("devices").zip(count("num_nodes")) else { return };
    let Some(ranks) = devices.checked_mul(nodes).filter(|ranks| *ranks > 0) else { return };
    if let Some(setting) = settings.get(&["devices"]) {
        setting.says(said, "parallelism.data", ranks);
    } else {
        said.assume("parallelism.data", ranks, SOURCE);
    }
    said.assume("parallelism.sharding", if ranks > 1 { "FSDP" } else { "None" }, SOURCE);
}

fn precision(settings: &Settings<'_>, said: &mut Said) {
    let Some(setting) = settings.get(&["precision"]) else { return };
    let text = setting.text().unwrap_or_default();
    let Some((_, format, stored)) = PRECISIONS.iter().find(|(name, ..)| *name == text) else { return };
    setting.says(said, "precision", *format);
    setting.says(said, "parameterPrecision", if *stored { format } else { "FP32" });
}

fn lora(settings: &Settings<'_>, command: &str, said: &mut Said) {
    match settings.get(&["quantize"]) {
        Some(setting) if setting.text().is_some_and(|text| text.contains('4') || text.contains("nf")) => {
            setting.says(said, "finetuning.method", "QLoRA");
        }
        Some(_) => said.may("finetuning.method", "QLoRA"),
        None => said.argument("finetuning.method", "LoRA", command),
    }
    settings::read_one(settings, &["lora_r"], "finetuning.rank", Takes::Number, said);
    settings::read_one(settings, &["lora_dropout"], "finetuning.dropout", Takes::Percent, said);
    settings::assume(&[("finetuning.rank", "8"), ("finetuning.dropout", "5")], SOURCE, said);
    let on = |name: &str, usual: bool| settings.on(&[name]).unwrap_or(usual);
    let targets = LAYERS.iter().filter(|(name, usual, _)| on(name, *usual)).flat_map(|(.., layers)| *layers);
    let targets: Vec<&str> = targets.copied().collect();
    match LAYERS.iter().find_map(|(name, ..)| settings.get(&[name])) {
        Some(setting) => setting.says(said, "finetuning.targets", targets),
        None => said.assume("finetuning.targets", targets, SOURCE),
    }
}

#[cfg(test)]
mod tests {
    use crate::frameworks::examples::all_told;

    #[test]
    fn subcommands_and_arguments_are_read() {
        let told = all_told(&[
            "litgpt finetune_lora meta-llama/Llama-3.2-1B --precision bf16-true --train.micro_batch_size 2 --lora_r 16 \
             --lora_key true --quantize bnb.nf4 --train.max_seq_length 2048",
            "litgpt finetune_full checkpoints/tiiuae/falcon-7b --devices 8 --num_nodes 2 --precision bf16-mixed",
            "litgpt finetune microsoft/phi-2 --quantize bnb.int8 --devices auto",
            "litgpt finetune_adapter microsoft/phi-2",
            "litgpt pretrain pythia-14m --train.max_tokens 10_000_000",
        ]);
        insta::assert_snapshot!(told);
    }
}
