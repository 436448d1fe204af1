//! nanotron: `torchrun run_train.py --config-file config.yaml`.
//!
//! **Recognised** by a file under `--config-file` that has the groups `tokens` and `parallelism`, or by the script's name with that
//! option where the file is not known. The file says everything: the model's dimensions as its `model_config`, the division, the
//! batch.
//!
//! Read from huggingface/nanotron 0.4, src/nanotron/config.

pub(super) mod profile;

use crate::command::Launch;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Switch};
use crate::frameworks::reading::flags::{Flag, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Settings};

const SOURCE: &str = "nanotron 0.4 default";
const OPTION: &str = "config-file";

const TABLE: &[Flag] = &[
    flag(&["model.model_config.num_hidden_layers"], "model.layers", Number),
    flag(&["model.model_config.hidden_size"], "model.hiddenSize", Number),
    flag(&["model.model_config.num_attention_heads"], "model.attentionHeads", Number),
    flag(&["model.model_config.num_key_value_heads"], "model.keyValueHeads", Number),
    flag(&["model.model_config.intermediate_size"], "model.ffnHiddenSize", Number),
    flag(&["model.model_config.vocab_size"], "model.vocabSize", Number),
    flag(&["model.model_config.tie_word_embeddings"], "model.tiedEmbeddings", Switch(true)),
    flag(&["model.model_config.moe_config.num_experts"], "model.experts", Number),
    flag(&["model.model_config.moe_config.top_k"], "model.expertsPerToken", Number),
    flag(&["model.model_config.moe_config.moe_intermediate_size"], "model.expertFfnHiddenSize", Number),
    flag(
        &["model.dtype"],
        "precision",
        OneOf(&[("bfloat16", "BF16"), ("float16", "FP16"), ("float32", "FP32"), ("float", "FP32")]),
    ),
    flag(&["parallelism.tp"], "parallelism.tensor", Number),
    flag(&["parallelism.pp"], "parallelism.pipeline", Number),
    flag(&["parallelism.dp"], "parallelism.data", Number),
    flag(&["parallelism.context_parallel_size"], "parallelism.context", Number),
    flag(&["parallelism.expert_parallel_size"], "parallelism.expert", Number),
    flag(
        &["parallelism.pp_engine"],
        "parallelism.schedule",
        OneOf(&[("1f1b", "OneForwardOneBackward"), ("afab", "GPipe")]),
    ),
    flag(
        &["optimizer.zero_stage"],
        "parallelism.sharding",
        OneOf(&[("0", "None"), ("1", "ZeRO1"), ("2", "ZeRO2"), ("3", "ZeRO3")]),
    ),
    flag(
        &["optimizer.optimizer_factory.name"],
        "optimizer",
        OneOf(&[("adamW", "AdamW"), ("adam", "AdamW"), ("sgd", "SGD")]),
    ),
    flag(&["tokens.micro_batch_size"], "batch.microBatchSize", Number),
    flag(&["tokens.sequence_length"], "batch.sequenceLength", Number),
    flag(&["tokens.train_steps"], "dataset.steps", Number),
];

/// Whether it is nanotron's launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let Some(path) = launch.arguments.value(OPTION) else { return false };
    match config::named(launch, path, OPTION, &mut Said::default()) {
        Some(file) => file.get("tokens").is_some() && file.get("parallelism").is_some(),
        None => launch.runs_script(&["run_train.py"]),
    }
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    said.handed_on("framework", "Nanotron", format!("{}: its options", said.place));
    let path = launch.arguments.value(OPTION).unwrap_or_default();
    let Some(file) = config::named(launch, path, "--config-file", said) else { return };
    let settings = Settings::of(vec![Place::File(file)]);
    settings::read(TABLE, &settings, said);
    if let Some(setting) = settings.get(&["parallelism.tp_mode"])
        && let Some(mode) = setting.text()
    {
        setting.says(said, "parallelism.sequence", mode == "REDUCE_SCATTER");
    }
    if let Some(setting) = settings.get(&["tokens.batch_accumulation_per_replica"])
        && let Some(steps) = setting.number().filter(|steps| *steps > 0)
    {
        said.accumulation = Some((steps, setting.source(said)));
    } else {
        said.accumulation = Some((1, SOURCE.into()));
    }
    if let Some(setting) = settings.get(&["parallelism.recompute_layer"])
        && let Some(on) = setting.truth()
    {
        setting.says(said, "recompute", if on { "Full" } else { "None" });
    }
    let defaults =
        [("parallelism.context", "1"), ("recompute", "None"), ("optimizer", "AdamW"), ("precision", "BF16")];
    settings::assume(&defaults, SOURCE, said);
    if settings.on(&["model.model_config.is_llama_config"]) == Some(true) {
        let llama = [
            ("model.activation", "SwiGLU"),
            ("model.normalization", "RMSNorm"),
            ("model.positions", "Rotary"),
        ];
        settings::assume(&llama, SOURCE, said);
        said.assume("model.biases", false, SOURCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frameworks::examples::told;

    #[test]
    fn a_file_says_everything() {
        let text = "
model:
  dtype: bfloat16
  model_config: {is_llama_config: true, hidden_size: 2048, intermediate_size: 8192, num_attention_heads: 32,
    num_hidden_layers: 24, num_key_value_heads: 8, vocab_size: 49152, tie_word_embeddings: true}
optimizer: {zero_stage: 1, accumulate_grad_in_fp32: true, optimizer_factory: {name: adamW}}
parallelism: {dp: 8, expert_parallel_size: 1, pp: 1, pp_engine: 1f1b, tp: 2, tp_mode: REDUCE_SCATTER}
tokens: {batch_accumulation_per_replica: 4, micro_batch_size: 2, sequence_length: 2048, train_steps: 1000}
";
        let words = ["torchrun", "run_train.py", "--config-file", "/conf/a.yaml"];
        insta::assert_snapshot!(told(Launch::of_words(&words).with_file("/conf/a.yaml", text)));
        let other = Launch::of_words(&["python", "x.py", "--config-file", "/conf/a.yaml"]);
        assert!(!recognises(&other.clone()) && !recognises(&other.with_file("/conf/a.yaml", "tokens: 3")));
    }
}
