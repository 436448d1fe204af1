//! Megatron-LM: `pretrain_gpt.py` and other programs with its options; Megatron-DeepSpeed, which adds a few.
//!
//! **Recognised** by the names of Megatron-LM's scripts, or by the options `--num-layers`, `--hidden-size`,
//! `--num-attention-heads` and `--micro-batch-size` together with an option that only Megatron-LM has. No other
//! framework has these names together.
//!
//! Options that are not in the command have their defaults. This holds only if the whole command is known: an unknown
//! variable may hold any option, so no default is claimed then. Rules over several options:
//!
//! | rule | |
//! | --- | --- |
//! | feed-forward width | 4·h; with `--swiglu` ⌊8h/3 / 64⌋·64 |
//! | key-value heads | `--num-query-groups`, only under `--group-query-attention` |
//! | virtual pipeline | layers of a stage / `--num-layers-per-virtual-pipeline-stage`, or the layout's stages / pipeline |
//! | recomputed layers | under `--recompute-method block`, `--recompute-num-layers` of each of a stage's chunks |
//! | shared experts | `--moe-shared-expert-intermediate-size` / an expert's width |
//! | layers | without `MindSpeed`'s `--noop-layers`, whose stages are smaller |
//! | layers without experts | by `--moe-layer-freq`; the number of `MindSpeed`'s `--first-k-dense-replace` come first |
//! | tokens | `--train-samples` × `--seq-length` |
//! | packing | none under `--variable-seq-lengths` or `--no-pad-to-seq-lengths`, unless `--neat-pack` |
//! | padded vocabulary | the tokenizer's, up to a multiple of `--make-vocab-size-divisible-by` × tensor parallel |
//! | objective | MindSpeed-LLM's `--stage`; a reference is divided as the trained model is |
//! | moments | the wider one of `--exp-avg-dtype` and `--exp-avg-sq-dtype`, if the optimizer is precision-aware |
//!
//! Read from NVIDIA/Megatron-LM's `megatron/training/arguments.py`, `validate_args` and the parsers, `core_v0.12` to
//! `core_v0.14`, whose defaults for these options are the same; Megatron-DeepSpeed's `megatron/arguments.py`. Older
//! versions of MindSpeed-LLM have their own names for experts and latent attention: `--moe-intermediate-size`,
//! `--n-shared-experts`, `--multi-head-latent-attention`, `--qk-nope-head-dim`, `--qk-rope-head-dim`,
//! `--num-nextn-predict-layers`.

mod defaults;
pub(super) mod list;
mod options;
mod patterns;
pub(super) mod sharding;

#[cfg(test)]
mod tests;

use crate::command::{Launch, Target, basename};
use crate::frameworks::megatron_core::{self, loss};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags;
use crate::frameworks::reading::host;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{
    Attention, Cause, Dispatcher, Field, Framework, Method, Objective, Placement, Positions, Precision,
    Recompute, field,
};
use crate::model::known;

/// Scripts of Megatron-LM that the estimate covers.
const SCRIPTS: &[&str] = &["pretrain_gpt", "pretrain_llama", "pretrain_gpt_moe"];

/// Scripts and options of Megatron-LM that it does not cover.
const BEYOND_SCRIPTS: &[(&str, Cause)] = &[
    ("pretrain_t5", Cause::EncoderDecoder),
    ("pretrain_bert", Cause::Encoder),
    ("pretrain_ict", Cause::Retriever),
    ("pretrain_realm", Cause::Retriever),
    ("pretrain_retro", Cause::Retriever),
    ("pretrain_vlm", Cause::Images),
    ("pretrain_mamba", Cause::StateSpace),
    ("pretrain_hybrid", Cause::StateSpace),
    ("pretrain_vision_classify", Cause::Vision),
    ("pretrain_vision_dino", Cause::Vision),
    ("pretrain_vision_inpaint", Cause::Vision),
    ("train_rl", Cause::ReinforcementLearning),
];
const BEYOND_OPTIONS: &[(&str, Cause)] = &[
    ("perform-rl-step", Cause::ReinforcementLearning),
    ("hybrid-override-pattern", Cause::StateSpace),
    ("hybrid-layer-pattern", Cause::StateSpace),
    ("is-hybrid-model", Cause::StateSpace),
    ("hybrid-attention-ratio", Cause::StateSpace),
    ("heterogeneous-layers-config-path", Cause::UnequalLayers),
    ("heterogeneous-layers-config-encoded-json", Cause::UnequalLayers),
    ("retro-add-retriever", Cause::Retriever),
    ("retro-project-dir", Cause::Retriever),
    ("vision-pretraining", Cause::Vision),
    ("vision-model-type", Cause::Images),
    ("export-kd-teacher-load", Cause::Distillation),
    ("kd-teacher-load", Cause::Distillation),
    ("load-teacher", Cause::Distillation),
    ("decoder-num-layers", Cause::EncoderDecoder),
    ("decoder-seq-length", Cause::EncoderDecoder),
];

/// What `MindSpeed-LLM`'s `--stage` names.
const STAGES: &[(&str, Objective)] = &[
    ("pretrain", Objective::Pretraining),
    ("pt", Objective::Pretraining),
    ("sft", Objective::Supervised),
    ("dpo", Objective::DPO),
    ("simpo", Objective::SimPO),
    ("rm", Objective::Reward),
    ("orm", Objective::Reward),
    ("prm", Objective::Classification),
];

/// Options that only Megatron-LM has. A launch has at least one of them.
const OWN_OPTIONS: &[&str] = &[
    "tensor-model-parallel-size",
    "pipeline-model-parallel-size",
    "max-position-embeddings",
    "use-distributed-optimizer",
];

/// The script's or module's name, without path and extension.
fn program(launch: &Launch) -> &str {
    match &launch.target {
        Target::Script(path) => basename(path).trim_end_matches(".py"),
        Target::Module(name) => name.rsplit('.').next().unwrap_or_default(),
        Target::Program(_) | Target::Unknown => "",
    }
}

/// Data loaders and saves.
const HOST: host::Names = host::Names {
    workers: &["num-workers"],
    directory: &["save"],
    interval: &["save-interval"],
    weights_only: &["no-save-optim"],
    ..host::Names::NONE
};

/// Whether the launch runs Megatron-LM.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let program = program(launch);
    let has = |name: &&str| launch.arguments.has(name);
    let shape = ["num-layers", "hidden-size", "num-attention-heads", "micro-batch-size"];
    SCRIPTS.contains(&program)
        || BEYOND_SCRIPTS.iter().any(|(script, _)| *script == program)
        || shape.iter().all(has) && OWN_OPTIONS.iter().any(has)
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let program = program(launch);
    let other = BEYOND_OPTIONS.iter().find(|(option, _)| settings.has(&[option]));
    let what = BEYOND_SCRIPTS.iter().find(|(script, _)| *script == program).or(other);
    claims.beyond = claims.beyond.or(what.map(|(_, what)| *what));
    if claims.beyond.is_some() {
        return;
    }
    let deepspeed = sharding::is_deepspeed(launch);
    let framework = if deepspeed { Framework::MegatronDeepSpeed } else { Framework::Megatron };
    claims.handed_on(field::FRAMEWORK, framework, format!("{}: its options", claims.place));
    settings::read(options::TABLE, &settings, claims);
    host::read(&HOST, &settings, claims);
    let together = Together { settings: &settings };
    together.read(claims);
    sharding::read(&settings, deepspeed, claims);
    if defaults::hold(&launch.arguments, &settings) {
        defaults::assume(program, &settings, deepspeed, claims);
    } else {
        claims.open(field::offload::OPTIMIZER, true);
        claims.open(field::offload::ACTIVATIONS, true);
    }
}

/// What frontends with Megatron-LM's names share: the options of one field, and the rules over several options that hold
/// with any defaults.
pub(in crate::frameworks) fn read_shared(settings: &Settings<'_>, claims: &mut Claims) {
    settings::read(options::TABLE, settings, claims);
    let together = Together { settings };
    together.experts(claims);
    loss::read(settings, claims);
    megatron_core::balance(settings, claims);
    together.latent_attention(claims);
    together.stages(claims);
    together.formats(claims);
    together.recomputation(claims);
    together.offload(claims);
    together.graphs(claims);
}

/// Settings that several options decide together.
struct Together<'a> {
    settings: &'a Settings<'a>,
}

impl Together<'_> {
    fn get(&self, name: &str) -> Option<Setting> {
        self.settings.get(&[name])
    }

    /// A switch that is not turned off. Megatron-LM's switches have no value, those of other frontends have one.
    fn switch(&self, names: &[&str]) -> Option<Setting> {
        self.settings.get(names).filter(|setting| setting.truth() != Some(false))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.number().filter(|number| *number > 0)
    }

    fn read(&self, claims: &mut Claims) {
        self.attention(claims);
        self.positions(claims);
        self.vocabulary(claims);
        self.experts(claims);
        loss::read(self.settings, claims);
        megatron_core::balance(self.settings, claims);
        self.latent_attention(claims);
        self.stages(claims);
        self.empty_layers(claims);
        self.formats(claims);
        self.recomputation(claims);
        self.offload(claims);
        self.graphs(claims);
        self.tokens(claims);
        self.lengths(claims);
        if let Some(setting) = self.settings.get(&["lora-r", "lora-target-modules"]) {
            setting.says(claims, field::finetuning::METHOD, Method::LoRA);
        }
        self.objective(claims);
    }

    /// MindSpeed-LLM's post-training. Its reference is a second model, divided as the trained one, with adapters too.
    fn objective(&self, claims: &mut Claims) {
        let Some(stage) = self.settings.get(&["stage", "dpo-loss-type"]) else { return };
        let name = stage.text().unwrap_or_default();
        let by_loss = (!self.settings.has(&["stage"])).then_some(Objective::DPO);
        let Some(objective) = flags::one_of(STAGES, &name).or(by_loss) else {
            // Other projects number their stages.
            if name.parse::<u64>().is_err() {
                claims.beyond = Some(Cause::OtherStage);
            }
            return;
        };
        if objective == Objective::Supervised {
            claims.assume(field::finetuning::METHOD, Method::Full, "MindSpeed-LLM default");
        }
        if matches!(objective, Objective::Pretraining | Objective::Supervised) {
            return;
        }
        stage.says(claims, field::OBJECTIVE, objective);
        if objective == Objective::DPO {
            let of = "MindSpeed-LLM default";
            claims.assume(field::roles::REFERENCE_MODEL, Placement::Resident, of);
        }
    }

    /// MindSpeed-LLM's instruction data: each batch is as long as its longest sample, and `--seq-length` is a cap.
    fn lengths(&self, claims: &mut Claims) {
        let varying = self.settings.get(&["variable-seq-lengths", "no-pad-to-seq-lengths"]);
        if let Some(setting) = varying.filter(|_| !self.settings.has(&["neat-pack"])) {
            setting.says(claims, field::batch::PACKING, false);
        }
    }

    fn attention(&self, claims: &mut Claims) {
        if let (Some(groups), Some(_)) = (self.get("num-query-groups"), self.get("group-query-attention"))
            && let Some(number) = groups.number()
        {
            groups.says(claims, field::model::KEY_VALUE_HEADS, number);
        }
        let flash = ["use-flash-attn", "use-flash-attn-v2", "attention-backend"];
        if let Some(setting) = self.get("transformer-impl")
            && setting.text().as_deref() == Some("local")
            && !self.settings.has(&flash)
        {
            setting.says(claims, field::ATTENTION, Attention::Unfused);
        }
    }

    fn positions(&self, claims: &mut Claims) {
        if let Some(setting) = self.settings.get(&["use-rotary-position-embeddings", "use-rotary-emb"]) {
            setting.says(claims, field::model::POSITIONS, Positions::Rotary);
        } else if let Some(setting) = self.get("position-embedding-type") {
            match setting.text().as_deref() {
                // None of these has a table.
                Some("rope" | "mrope" | "yarn" | "alibi" | "none") => {
                    setting.says(claims, field::model::POSITIONS, Positions::Rotary);
                }
                Some("learned_absolute") => setting.says(claims, field::model::POSITIONS, Positions::Learned),
                _ => {}
            }
        }
        if let Some(setting) = self.settings.get(&["no-position-embedding", "use-alibi-position-embeddings"])
        {
            setting.says(claims, field::model::POSITIONS, Positions::Rotary);
        }
    }

    /// A tokenizer has the vocabulary of the model that it is named after.
    fn vocabulary(&self, claims: &mut Claims) {
        let size = self.number("vocab-size").or_else(|| {
            let setting = self.settings.get(&["tokenizer-model", "tokenizer-name-or-path"])?;
            let size = u64::from(known::find(&setting.text()?)?.model.vocab_size?);
            setting.says(claims, field::model::VOCAB_SIZE, size);
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
            divisor.says(claims, field::model::PADDED_VOCAB_SIZE, padded);
        }
    }

    fn experts(&self, claims: &mut Claims) {
        let widths = ["moe-ffn-hidden-size", "moe-intermediate-size", "ffn-hidden-size"];
        let width = widths.iter().find_map(|name| self.number(name));
        if let Some(setting) = self.get("moe-shared-expert-intermediate-size")
            && let (Some(shared), Some(width)) = (setting.number(), width)
        {
            setting.says(claims, field::model::SHARED_EXPERTS, shared.saturating_add(width / 2) / width);
        }
        if let Some(setting) = self.get("moe-layer-freq")
            && let Some(dense) =
                setting.text().and_then(|text| patterns::dense_layers(&text, self.number("num-layers")))
            && !dense.is_empty()
        {
            let first = dense.iter().zip(0..).all(|(layer, number)| *layer == number);
            if first {
                setting.says(claims, field::model::DENSE_LAYERS, dense.len() as u64);
            } else {
                setting.says(claims, field::model::DENSE_LAYERS, dense);
            }
        }
        if let Some(setting) = self.get("first-k-dense-replace")
            && let Some(first) = setting.number().filter(|first| *first > 0)
        {
            setting.says(claims, field::model::DENSE_LAYERS, first);
        }
        if let Some(setting) = self.get("moe-token-dispatcher-type") {
            let backend = self.get("moe-flex-dispatcher-backend").and_then(|setting| setting.text());
            let dispatcher = match (setting.text().as_deref(), backend.as_deref()) {
                (Some("allgather"), _) => Some(Dispatcher::AllGather),
                (Some("alltoall" | "alltoall_seq"), _) => Some(Dispatcher::AllToAll),
                (Some("flex"), Some("hybridep")) => Some(Dispatcher::HybridEP),
                (Some("flex"), _) => Some(Dispatcher::DeepEP),
                _ => None,
            };
            if let Some(dispatcher) = dispatcher {
                setting.says(claims, field::parallelism::DISPATCHER, dispatcher);
            }
        }
    }

    fn latent_attention(&self, claims: &mut Claims) {
        if !self.settings.has(defaults::LATENT) {
            return;
        }
        let names: [(&[&str], Field<u32>); 5] = [
            (&["q-lora-rank"], field::latent_attention::QUERY_RANK),
            (&["kv-lora-rank"], field::latent_attention::KEY_VALUE_RANK),
            (&["qk-pos-emb-head-dim", "qk-rope-head-dim"], field::latent_attention::ROPE_HEAD_SIZE),
            (&["qk-head-dim", "qk-nope-head-dim"], field::latent_attention::NOPE_HEAD_SIZE),
            (&["v-head-dim"], field::latent_attention::VALUE_HEAD_SIZE),
        ];
        for (names, field) in names {
            if let Some(setting) = self.settings.get(names)
                && let Some(number) = setting.number()
            {
                setting.says(claims, field, number);
            }
        }
    }

    /// Layers that do nothing. They are numbered among all, and fill up the stages.
    fn empty_layers(&self, claims: &mut Claims) {
        let Some(setting) = self.get("noop-layers") else { return };
        let numbers = setting.text().unwrap_or_default();
        let numbers: Option<Vec<u64>> = numbers.split(',').map(|number| number.trim().parse().ok()).collect();
        let (Some(empty), Some(layers)) = (numbers, self.number("num-layers")) else { return };
        let left = layers.saturating_sub(empty.len() as u64);
        if left == 0 {
            return;
        }
        // `--num-layers` counts them.
        claims.all.retain(|claim| claim.field != field::model::LAYERS);
        setting.says(claims, field::model::LAYERS, left);
        let pipeline = self.number("pipeline-model-parallel-size").unwrap_or(1);
        let chunks = claims.get(field::parallelism::VIRTUAL_PIPELINE).map_or(1, u64::from).max(1);
        let (of_stage, of_chunk) = (layers / pipeline, layers / pipeline.saturating_mul(chunks).max(1));
        if pipeline < 2 || of_chunk == 0 {
            return;
        }
        let of_rank = |rank| {
            let here = empty.iter().filter(|layer| **layer / of_chunk % pipeline == rank).count();
            of_stage.saturating_sub(here as u64)
        };
        setting.says(claims, field::parallelism::FIRST_STAGE_LAYERS, of_rank(0));
        setting.says(claims, field::parallelism::LAST_STAGE_LAYERS, of_rank(pipeline - 1));
    }

    /// The chunks of the stages.
    fn stages(&self, claims: &mut Claims) {
        let pipeline = self.number("pipeline-model-parallel-size").unwrap_or(1);
        if let Some(setting) = self.get("num-layers-per-virtual-pipeline-stage")
            && let (Some(chunk), Some(layers)) = (setting.number(), self.number("num-layers"))
        {
            let counted = ["account-for-embedding-in-pipeline-split", "account-for-loss-in-pipeline-split"];
            let counted = counted.iter().filter(|name| self.switch(&[name]).is_some()).count() as u64;
            let chunks = (layers.saturating_add(counted) / pipeline).checked_div(chunk);
            if let Some(chunks) = chunks.filter(|chunks| *chunks > 0) {
                setting.says(claims, field::parallelism::VIRTUAL_PIPELINE, chunks);
            }
        }
        if let Some(setting) = self.get("pipeline-model-parallel-layout")
            && let Some(stages) = setting.text().and_then(|text| patterns::stages(&text))
            && let Ok(ranks) = usize::try_from(pipeline)
            && stages.len() >= ranks
            && stages.len().is_multiple_of(ranks)
        {
            let of_rank = |rank: usize| stages.iter().skip(rank).step_by(ranks).sum::<u64>();
            setting.says(claims, field::parallelism::VIRTUAL_PIPELINE, (stages.len() / ranks) as u64);
            if ranks > 1 {
                setting.says(claims, field::parallelism::FIRST_STAGE_LAYERS, of_rank(0));
                setting.says(claims, field::parallelism::LAST_STAGE_LAYERS, of_rank(ranks - 1));
            }
        }
    }

    fn formats(&self, claims: &mut Claims) {
        let precisions = [
            (["fp4-format", "fp4-format", "fp4-format"], Precision::FP4),
            (["fp8-format", "fp8-hybrid", "fp8-e4m3"], Precision::FP8),
            (["bf16", "bf16", "bf16"], Precision::BF16),
            (["fp16", "fp16", "fp16"], Precision::FP16),
        ];
        if let Some((setting, precision)) =
            precisions.iter().find_map(|(names, precision)| Some((self.switch(names)?, *precision)))
        {
            setting.says(claims, field::PRECISION, precision);
        }
        let format = |setting: &Setting| {
            let text = setting.text()?;
            options::PRECISIONS.iter().find(|(word, _)| *word == text).map(|(_, format)| *format)
        };
        if let Some(setting) = self.get("grad-reduce-in-bf16") {
            setting.says(claims, field::GRADIENT_PRECISION, Precision::BF16);
        } else if let Some(setting) = self.get("main-grads-dtype")
            && let Some(format) = format(&setting)
        {
            setting.says(claims, field::GRADIENT_PRECISION, format);
        }
        // With bf16 it is the default.
        if let Some(setting) = self.switch(&["accumulate-allreduce-grads-in-fp32"])
            && self.switch(&["fp16"]).is_some()
        {
            setting.says(claims, field::GRADIENT_PRECISION, Precision::FP32);
        }
        if self.switch(&["use-precision-aware-optimizer"]).is_none() {
            return;
        }
        let moments = ["exp-avg-dtype", "exp-avg-sq-dtype"].map(|name| self.get(name));
        let [Some(first), Some(second)] = &moments else { return };
        if let (Some(one), Some(other)) = (format(first), format(second)) {
            let wide = |format: Precision| options::PRECISIONS.iter().position(|(_, name)| *name == format);
            let (setting, wider) = if wide(one) <= wide(other) { (first, one) } else { (second, other) };
            setting.says(claims, field::OPTIMIZER_PRECISION, wider);
        }
    }

    fn recomputation(&self, claims: &mut Claims) {
        let text = |name: &str| self.get(name).and_then(|setting| setting.text());
        let full = text("recompute-granularity").as_deref() == Some("full");
        if full
            && text("recompute-method").as_deref() == Some("block")
            && let Some(setting) = self.get("recompute-num-layers")
            && let Some(layers) = setting.number()
        {
            let chunks = claims.get(field::parallelism::VIRTUAL_PIPELINE).map_or(1, u64::from);
            setting.says(claims, field::RECOMPUTE_LAYERS, layers.saturating_mul(chunks));
        }
        let granularity = ["recompute-granularity", "recompute-activations"];
        if let Some(setting) = self.switch(&["moe-layer-recompute"])
            && !self.settings.has(&granularity)
        {
            setting.says(claims, field::RECOMPUTE, Recompute::Selective);
            setting.says(claims, field::RECOMPUTE_MODULES, vec!["moe"]);
        }
    }

    fn offload(&self, claims: &mut Claims) {
        let fraction = self.get("optimizer-offload-fraction").and_then(|setting| setting.text());
        let some = fraction.and_then(|text| text.parse::<f64>().ok()).is_none_or(|fraction| fraction > 0.0);
        if let Some(setting) = self.switch(&["optimizer-cpu-offload"])
            && some
        {
            setting.says(claims, field::offload::OPTIMIZER, true);
        }
        if let Some(setting) = self.get("cpu-offloading-num-layers")
            && let Some(layers) = setting.number().filter(|layers| *layers > 0)
        {
            setting.says(claims, field::offload::ACTIVATIONS, true);
            setting.says(claims, field::OFFLOADED_LAYERS, layers);
        }
    }

    fn graphs(&self, claims: &mut Claims) {
        if let Some(setting) = self.get("cuda-graph-impl")
            && let Some(text) = setting.text()
        {
            setting.says(claims, field::CUDA_GRAPHS, text != "none");
        }
    }

    fn tokens(&self, claims: &mut Claims) {
        if let Some(setting) = self.get("train-samples")
            && let (Some(samples), Some(length)) = (setting.number(), self.number("seq-length"))
            && let Some(tokens) = samples.checked_mul(length)
        {
            setting.says(claims, field::dataset::TOKENS, tokens);
        }
    }
}
