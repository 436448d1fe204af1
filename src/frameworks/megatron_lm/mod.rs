//! Megatron-LM: `pretrain_gpt.py` and whatever else takes its options; Megatron-DeepSpeed, which adds a few.
//!
//! It is one where the script has a name of Megatron-LM's own, or where the options `--num-layers`, `--hidden-size`,
//! `--num-attention-heads` and `--micro-batch-size` stand together with one that only Megatron-LM has: no other
//! framework calls all of these so.
//!
//! A command says everything: what is not among the options is the default. That holds where all of the command is known;
//! behind a variable that nobody knows may stand any option, and then no default is believed. Rules that take several
//! options together:
//!
//! | rule | |
//! | --- | --- |
//! | feed-forward width | 4·h; with `--swiglu` ⌊8h/3 / 64⌋·64 |
//! | key-value heads | `--num-query-groups`, only under `--group-query-attention` |
//! | virtual pipeline | layers of a stage / `--num-layers-per-virtual-pipeline-stage`, or the layout's stages / pipeline |
//! | recomputed layers | under `--recompute-method block`, `--recompute-num-layers` of each of a stage's chunks |
//! | shared experts | `--moe-shared-expert-intermediate-size` / an expert's width |
//! | layers without experts | by `--moe-layer-freq`; `MindSpeed`'s `--first-k-dense-replace` says how many come first |
//! | tokens | `--train-samples` × `--seq-length` |
//! | packing | none under `--variable-seq-lengths` or `--no-pad-to-seq-lengths`, unless `--neat-pack` |
//! | padded vocabulary | the tokenizer's, up to a multiple of `--make-vocab-size-divisible-by` × tensor parallel |
//! | moments | the wider one of `--exp-avg-dtype` and `--exp-avg-sq-dtype`, the optimizer being precision-aware |
//!
//! Read from NVIDIA/Megatron-LM's `megatron/training/arguments.py`, `validate_args` and the parsers, `core_v0.12` to
//! `core_v0.14`, whose defaults for these options are the same; Megatron-DeepSpeed's `megatron/arguments.py`. MindSpeed-LLM
//! has names of its own for experts and latent attention, before it took Megatron-LM's: `--moe-intermediate-size`,
//! `--n-shared-experts`, `--multi-head-latent-attention`, `--qk-nope-head-dim`, `--qk-rope-head-dim`.

mod defaults;
mod options;
mod patterns;
mod sharding;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::command::{Launch, Target, basename};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::model::known;

/// Scripts of Megatron-LM that train a transformer that the estimate covers.
const SCRIPTS: &[&str] = &["pretrain_gpt", "pretrain_llama", "pretrain_gpt_moe"];

/// Scripts and options of Megatron-LM that train something else.
const BEYOND_SCRIPTS: &[(&str, &str)] = &[
    ("pretrain_t5", "an encoder with a decoder"),
    ("pretrain_bert", "an encoder"),
    ("pretrain_ict", "a retriever"),
    ("pretrain_realm", "a retriever"),
    ("pretrain_retro", "a retriever beside the model"),
    ("pretrain_vlm", "a vision model beside the model"),
    ("pretrain_mamba", "a state-space model"),
    ("pretrain_hybrid", "a state-space model"),
    ("pretrain_vision_classify", "a vision model"),
    ("pretrain_vision_dino", "a vision model"),
    ("pretrain_vision_inpaint", "a vision model"),
    ("train_rl", "reinforcement learning holds several models"),
];
const BEYOND_OPTIONS: &[(&str, &str)] = &[
    ("perform-rl-step", "reinforcement learning holds several models"),
    ("hybrid-override-pattern", "a state-space model"),
    ("hybrid-layer-pattern", "a state-space model"),
    ("is-hybrid-model", "a state-space model"),
    ("hybrid-attention-ratio", "a state-space model"),
    ("heterogeneous-layers-config-path", "layers of different shapes"),
    ("heterogeneous-layers-config-encoded-json", "layers of different shapes"),
    ("retro-add-retriever", "a retriever beside the model"),
    ("retro-project-dir", "a retriever beside the model"),
    ("vision-pretraining", "a vision model"),
    ("vision-model-type", "a vision model beside the model"),
    ("export-kd-teacher-load", "distillation holds two models"),
    ("kd-teacher-load", "distillation holds two models"),
    ("load-teacher", "distillation holds two models"),
    ("decoder-num-layers", "an encoder with a decoder"),
    ("decoder-seq-length", "an encoder with a decoder"),
];

/// Options of which at least one only Megatron-LM has.
const OWN_OPTIONS: &[&str] = &[
    "tensor-model-parallel-size",
    "pipeline-model-parallel-size",
    "max-position-embeddings",
    "use-distributed-optimizer",
];

/// The script's or module's name, without a path and an ending.
fn program(launch: &Launch) -> &str {
    match &launch.target {
        Target::Script(path) => basename(path).trim_end_matches(".py"),
        Target::Module(name) => name.rsplit('.').next().unwrap_or_default(),
        Target::Program(_) | Target::Unknown => "",
    }
}

/// Whether it is Megatron-LM's launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let program = program(launch);
    let has = |name: &&str| launch.arguments.has(name);
    let shape = ["num-layers", "hidden-size", "num-attention-heads", "micro-batch-size"];
    SCRIPTS.contains(&program)
        || BEYOND_SCRIPTS.iter().any(|(script, _)| *script == program)
        || shape.iter().all(has) && OWN_OPTIONS.iter().any(has)
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let program = program(launch);
    let other = BEYOND_OPTIONS.iter().find(|(option, _)| settings.has(&[option]));
    let what = BEYOND_SCRIPTS.iter().find(|(script, _)| *script == program).or(other);
    said.beyond = said.beyond.or(what.map(|(_, what)| *what));
    if said.beyond.is_some() {
        return;
    }
    let deepspeed = sharding::is_deepspeed(launch);
    let framework = if deepspeed { "MegatronDeepSpeed" } else { "Megatron" };
    said.handed_on("framework", framework, format!("{}: its options", said.place));
    settings::read(options::TABLE, &settings, said);
    let together = Together { settings: &settings };
    together.read(said);
    sharding::read(&settings, deepspeed, said);
    if defaults::hold(&launch.arguments, &settings) {
        defaults::assume(program, &settings, deepspeed, said);
    } else {
        said.may("offload.optimizer", true);
        said.may("offload.activations", true);
    }
}

/// What several options say together.
struct Together<'a> {
    settings: &'a Settings<'a>,
}

impl Together<'_> {
    fn get(&self, name: &str) -> Option<Setting> {
        self.settings.get(&[name])
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.number().filter(|number| *number > 0)
    }

    fn read(&self, said: &mut Said) {
        self.attention(said);
        self.positions(said);
        self.vocabulary(said);
        self.experts(said);
        self.latent_attention(said);
        self.stages(said);
        self.formats(said);
        self.recomputation(said);
        self.offload(said);
        self.graphs(said);
        self.tokens(said);
        self.lengths(said);
        if let Some(setting) = self.settings.get(&["lora-r", "lora-target-modules"]) {
            setting.says(said, "finetuning.method", "LoRA");
        }
    }

    /// MindSpeed-LLM's instruction data: each batch is as long as its longest sample, and `--seq-length` is a cap.
    fn lengths(&self, said: &mut Said) {
        let varying = self.settings.get(&["variable-seq-lengths", "no-pad-to-seq-lengths"]);
        if let Some(setting) = varying.filter(|_| !self.settings.has(&["neat-pack"])) {
            setting.says(said, "batch.packing", false);
        }
    }

    fn attention(&self, said: &mut Said) {
        if let (Some(groups), Some(_)) = (self.get("num-query-groups"), self.get("group-query-attention"))
            && let Some(number) = groups.number()
        {
            groups.says(said, "model.keyValueHeads", number);
        }
        let flash = ["use-flash-attn", "use-flash-attn-v2", "attention-backend"];
        if let Some(setting) = self.get("transformer-impl")
            && setting.text().as_deref() == Some("local")
            && !self.settings.has(&flash)
        {
            setting.says(said, "attention", "Unfused");
        }
    }

    fn positions(&self, said: &mut Said) {
        if let Some(setting) = self.settings.get(&["use-rotary-position-embeddings", "use-rotary-emb"]) {
            setting.says(said, "model.positions", "Rotary");
        } else if let Some(setting) = self.get("position-embedding-type") {
            match setting.text().as_deref() {
                // None of these has a table.
                Some("rope" | "mrope" | "yarn" | "alibi" | "none") => {
                    setting.says(said, "model.positions", "Rotary");
                }
                Some("learned_absolute") => setting.says(said, "model.positions", "Learned"),
                _ => {}
            }
        }
        if let Some(setting) = self.settings.get(&["no-position-embedding", "use-alibi-position-embeddings"])
        {
            setting.says(said, "model.positions", "Rotary");
        }
    }

    /// A tokenizer has the vocabulary of the model whose name it has.
    fn vocabulary(&self, said: &mut Said) {
        let size = self.number("vocab-size").or_else(|| {
            let setting = self.settings.get(&["tokenizer-model", "tokenizer-name-or-path"])?;
            let size = u64::from(known::find(&setting.text()?)?.model.vocab_size?);
            setting.says(said, "model.vocabSize", size);
            Some(size)
        });
        let tensor = self.get("tensor-model-parallel-size").map_or(Some(1), |setting| setting.number());
        if let (Some(size), Some(divisor), Some(tensor)) =
            (size, self.get("make-vocab-size-divisible-by"), tensor)
            && let Some(multiple) = divisor.number().and_then(|number| number.checked_mul(tensor))
            && multiple > 0
            && let Some(padded) = size.div_ceil(multiple).checked_mul(multiple)
            && !self.settings.has(&["padded-vocab-size"])
        {
            divisor.says(said, "model.paddedVocabSize", padded);
        }
    }

    fn experts(&self, said: &mut Said) {
        let widths = ["moe-ffn-hidden-size", "moe-intermediate-size", "ffn-hidden-size"];
        let width = widths.iter().find_map(|name| self.number(name));
        if let Some(setting) = self.get("moe-shared-expert-intermediate-size")
            && let (Some(shared), Some(width)) = (setting.number(), width)
        {
            setting.says(said, "model.sharedExperts", shared.saturating_add(width / 2) / width);
        }
        if let Some(setting) = self.get("moe-layer-freq")
            && let Some(dense) =
                setting.text().and_then(|text| patterns::dense_layers(&text, self.number("num-layers")))
            && !dense.is_empty()
        {
            let first = dense.iter().zip(0..).all(|(layer, number)| *layer == number);
            let value = if first { Value::from(dense.len()) } else { Value::from(dense) };
            setting.says(said, "model.denseLayers", value);
        }
        if let Some(setting) = self.get("first-k-dense-replace")
            && let Some(first) = setting.number().filter(|first| *first > 0)
        {
            setting.says(said, "model.denseLayers", first);
        }
        if let Some(setting) = self.get("moe-token-dispatcher-type") {
            let backend = self.get("moe-flex-dispatcher-backend").and_then(|setting| setting.text());
            let dispatcher = match (setting.text().as_deref(), backend.as_deref()) {
                (Some("allgather"), _) => Some("AllGather"),
                (Some("alltoall" | "alltoall_seq"), _) => Some("AllToAll"),
                (Some("flex"), Some("hybridep")) => Some("HybridEP"),
                (Some("flex"), _) => Some("DeepEP"),
                _ => None,
            };
            if let Some(dispatcher) = dispatcher {
                setting.says(said, "parallelism.dispatcher", dispatcher);
            }
        }
    }

    fn latent_attention(&self, said: &mut Said) {
        if !self.settings.has(defaults::LATENT) {
            return;
        }
        let names: [(&[&str], &str); 5] = [
            (&["q-lora-rank"], "queryRank"),
            (&["kv-lora-rank"], "keyValueRank"),
            (&["qk-pos-emb-head-dim", "qk-rope-head-dim"], "ropeHeadSize"),
            (&["qk-head-dim", "qk-nope-head-dim"], "nopeHeadSize"),
            (&["v-head-dim"], "valueHeadSize"),
        ];
        for (names, field) in names {
            if let Some(setting) = self.settings.get(names)
                && let Some(number) = setting.number()
            {
                setting.says(said, &format!("model.latentAttention.{field}"), number);
            }
        }
    }

    /// What the chunks of the stages are.
    fn stages(&self, said: &mut Said) {
        let pipeline = self.number("pipeline-model-parallel-size").unwrap_or(1);
        if let Some(setting) = self.get("num-layers-per-virtual-pipeline-stage")
            && let (Some(chunk), Some(layers)) = (setting.number(), self.number("num-layers"))
        {
            let counted = ["account-for-embedding-in-pipeline-split", "account-for-loss-in-pipeline-split"];
            let counted = counted.iter().filter(|name| self.settings.has(&[name])).count() as u64;
            let chunks = (layers.saturating_add(counted) / pipeline).checked_div(chunk);
            if let Some(chunks) = chunks.filter(|chunks| *chunks > 0) {
                setting.says(said, "parallelism.virtualPipeline", chunks);
            }
        }
        if let Some(setting) = self.get("pipeline-model-parallel-layout")
            && let Some(stages) = setting.text().and_then(|text| patterns::stages(&text))
            && let Ok(ranks) = usize::try_from(pipeline)
            && stages.len() >= ranks
            && stages.len().is_multiple_of(ranks)
        {
            let of_rank = |rank: usize| stages.iter().skip(rank).step_by(ranks).sum::<u64>();
            setting.says(said, "parallelism.virtualPipeline", stages.len() / ranks);
            if ranks > 1 {
                setting.says(said, "parallelism.firstStageLayers", of_rank(0));
                setting.says(said, "parallelism.lastStageLayers", of_rank(ranks - 1));
            }
        }
    }

    fn formats(&self, said: &mut Said) {
        let precisions = [
            (["fp4-format", "fp4-format", "fp4-format"], "FP4"),
            (["fp8-format", "fp8-hybrid", "fp8-e4m3"], "FP8"),
            (["bf16", "bf16", "bf16"], "BF16"),
            (["fp16", "fp16", "fp16"], "FP16"),
        ];
        if let Some((setting, precision)) =
            precisions.iter().find_map(|(names, precision)| Some((self.settings.get(names)?, *precision)))
        {
            setting.says(said, "precision", precision);
        }
        let format = |setting: &Setting| {
            let text = setting.text()?;
            options::PRECISIONS.iter().find(|(word, _)| *word == text).map(|(_, format)| *format)
        };
        if let Some(setting) = self.get("grad-reduce-in-bf16") {
            setting.says(said, "gradientPrecision", "BF16");
        } else if let Some(setting) = self.get("main-grads-dtype")
            && let Some(format) = format(&setting)
        {
            setting.says(said, "gradientPrecision", format);
        }
        if !self.settings.has(&["use-precision-aware-optimizer"]) {
            return;
        }
        let moments = ["exp-avg-dtype", "exp-avg-sq-dtype"].map(|name| self.get(name));
        let [Some(first), Some(second)] = &moments else { return };
        if let (Some(one), Some(other)) = (format(first), format(second)) {
            let wide = |format: &str| options::PRECISIONS.iter().position(|(_, name)| *name == format);
            let (setting, wider) = if wide(one) <= wide(other) { (first, one) } else { (second, other) };
            setting.says(said, "optimizerPrecision", wider);
        }
    }

    fn recomputation(&self, said: &mut Said) {
        let text = |name: &str| self.get(name).and_then(|setting| setting.text());
        let full = text("recompute-granularity").as_deref() == Some("full");
        if full
            && text("recompute-method").as_deref() == Some("block")
            && let Some(setting) = self.get("recompute-num-layers")
            && let Some(layers) = setting.number()
        {
            let chunks = said.get("parallelism.virtualPipeline").and_then(Value::as_u64).unwrap_or(1);
            setting.says(said, "recomputeLayers", layers.saturating_mul(chunks));
        }
        let granularity = ["recompute-granularity", "recompute-activations"];
        if let Some(setting) = self.get("moe-layer-recompute")
            && !self.settings.has(&granularity)
        {
            setting.says(said, "recompute", "Selective");
            setting.says(said, "recomputeModules", vec!["moe"]);
        }
    }

    fn offload(&self, said: &mut Said) {
        let fraction = self.get("optimizer-offload-fraction").and_then(|setting| setting.text());
        let some = fraction.and_then(|text| text.parse::<f64>().ok()).is_none_or(|fraction| fraction > 0.0);
        if let Some(setting) = self.get("optimizer-cpu-offload")
            && some
        {
            setting.says(said, "offload.optimizer", true);
        }
        if let Some(setting) = self.get("cpu-offloading-num-layers")
            && setting.number().is_some_and(|layers| layers > 0)
        {
            setting.says(said, "offload.activations", true);
        }
    }

    fn graphs(&self, said: &mut Said) {
        if let Some(setting) = self.get("cuda-graph-impl")
            && let Some(text) = setting.text()
        {
            setting.says(said, "cudaGraphs", text != "none");
        }
    }

    fn tokens(&self, said: &mut Said) {
        if let Some(setting) = self.get("train-samples")
            && let (Some(samples), Some(length)) = (setting.number(), self.number("seq-length"))
            && let Some(tokens) = samples.checked_mul(length)
        {
            setting.says(said, "dataset.tokens", tokens);
        }
    }
}
