//! What Megatron-Bridge's performance scripts set without an option: the row of a recipe for a task, a type of GPU and a format
//! of the computation.
//!
//! ```text
//! sequence parallel      with tensor parallelism
//! sharding               Megatron's FSDP where the row has it, else the distributed optimizer
//! recomputation          whole layers, or modules, as the row says; otherwise none
//! gradients              summed in the format of the computation
//! optimizer              fp32 states; bf16 moments in the recipe of DeepSeek-V3
//! loss                   Transformer Engine's, in place of the logits
//! experts                an even share each: the router is forced to balance (`moe_router_force_load_balancing`)
//! sequences of a step    of the row, times the number of GPUs over the row's number
//! sequence length        of the model's pretraining; of fine-tuning 4096 tokens of packed samples, in some recipes 2048
//! stages                 Llama 3.1 405B and Qwen3 235B count the embedding and the loss as a layer; of DeepSeek-V3 and Kimi K2
//!                        all stages but the last have 64 / pipeline layers
//! ```
//!
//! Read from NVIDIA-NeMo/Megatron-Bridge: the `*workload_base_configs.py` of `scripts/performance/configs` in 0.2.0, 0.3.0,
//! 0.4.0 and 0.5.0, which `workloads.tsv` lists; of 0.4.0 `scripts/performance/utils/overrides.py`, and the recipes of
//! `src/megatron/bridge/recipes`. A command does not say its release. So a value in which the releases differ is open.

use crate::command::Arguments;
use crate::frameworks::megatron_core;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete::open_at_its_leanest;
use crate::job::{Dispatcher, Field, Loss, Precision, Recompute, Sharding, field};

const SOURCE: &str = "Megatron-Bridge 0.2 to 0.5 recipe";
/// A value in which the releases differ.
const DIFFERS: &str = "?";

/// A line each: recipe, task, GPU, format, variant, number of GPUs; degrees of tensor, pipeline, context, virtual pipeline,
/// expert and expert tensor parallelism; sequences of a step and of a microbatch; `fsdp`; layers whose activations are on the
/// host, and layers that are recomputed; recomputed modules; the dispatcher of experts. A dash is no value.
const ROWS: &str = include_str!("workloads.tsv");

/// The lengths of the recipes' sequences, by the beginning of the name.
const LENGTHS: &[(&str, u64)] = &[
    ("llama3", 8_192),
    ("deepseek_v3", 4_096),
    ("gpt_oss", 4_096),
    ("kimi_k2", 4_096),
    ("qwen3_30b", 4_096),
    ("qwen3_235b", 4_096),
];

/// The tokens of a packed sequence of fine-tuning, and the fewest of a recipe.
const PACKED: [u64; 2] = [4_096, 2_048];

/// The recipes that count the embedding and the loss as layers.
const ENDS_AS_LAYERS: &[&str] = &["llama31_405b", "qwen3_235b"];
/// The recipes of 61 layers, whose stages are made for 64.
const LAYERS_OF_64: &[&str] = &["deepseek_v3", "kimi_k2"];

/// The recipes with experts, by the beginning of the name.
const EXPERTS: &[&str] =
    &["deepseek_v3", "gpt_oss", "kimi_k2", "nemotron_3", "qwen3_30b", "qwen3_235b", "qwen3_next"];

/// The degrees of parallelism and the micro-batch, by their column.
const DEGREES: [(usize, Field<u32>); 7] = [
    (6, field::parallelism::TENSOR),
    (7, field::parallelism::PIPELINE),
    (8, field::parallelism::CONTEXT),
    (9, field::parallelism::VIRTUAL_PIPELINE),
    (10, field::parallelism::EXPERT),
    (11, field::parallelism::EXPERT_TENSOR),
    (13, field::batch::MICRO_BATCH_SIZE),
];

/// A line of [`ROWS`].
struct Row(Vec<&'static str>);

impl Row {
    /// The row of a launch, if it names a recipe and a GPU of the table.
    fn of(recipe: &str, given: impl Fn(&[&str]) -> Option<String>) -> Option<Self> {
        let gpu = given(&["gpu", "g"])?;
        let format = given(&["compute_dtype", "c"]).unwrap_or_else(|| "bf16".into());
        let task = given(&["task"]).unwrap_or_else(|| "pretrain".into());
        let variant = given(&["config_variant", "cv"]).unwrap_or_else(|| "v1".into());
        let key = [recipe, &task, &gpu, &format];
        let rows = ROWS.lines().map(|row| row.split('\t').collect::<Vec<_>>());
        let rows: Vec<_> =
            rows.filter(|row| row.get(..key.len()).is_some_and(|begin| begin == key)).collect();
        let named = |wanted: &str| rows.iter().find(|row| row.get(4) == Some(&wanted));
        // Recipes of one variant have no name for it.
        named(&variant).or_else(|| named("-")).cloned().map(Self)
    }

    fn cell(&self, at: usize) -> Option<&'static str> {
        self.0.get(at).copied().filter(|cell| *cell != "-")
    }

    fn number(&self, at: usize) -> Option<u64> {
        self.cell(at)?.parse().ok()
    }

    /// Whether the releases differ in a cell.
    fn differs(&self, at: usize) -> bool {
        self.cell(at) == Some(DIFFERS)
    }
}

/// Claims the settings of the launch's row as defaults. Whether there is one.
pub(super) fn assume(recipe: &str, arguments: &Arguments, claims: &mut Claims) -> bool {
    let given = |names: &[&str]| names.iter().find_map(|name| arguments.value(name)).map(str::to_lowercase);
    let Some(row) = Row::of(recipe, given) else { return false };
    for (at, field) in DEGREES {
        if let Some(value) = row.number(at) {
            claims.assume(field, value, SOURCE);
        } else if row.differs(at) {
            open_at_its_leanest(field.erased(), claims);
        }
    }
    let gpus = given(&["num_gpus", "ng"]).and_then(|number| number.parse::<u64>().ok());
    if let (Some(sequences), Some(of)) = (row.number(12), row.number(5).filter(|of| *of > 0)) {
        let scaled = sequences.saturating_mul(gpus.unwrap_or(of)) / of;
        claims.assume(field::batch::GLOBAL_BATCH_SIZE, scaled.max(1), SOURCE);
    }
    length(recipe, given(&["task"]).is_none_or(|task| task == "pretrain"), claims);
    stages(recipe, claims);
    of_all_rows(recipe, claims);
    let sharding = if row.cell(14) == Some("fsdp") { Sharding::FSDP } else { Sharding::DistributedOptimizer };
    claims.assume(field::parallelism::SHARDING, sharding, SOURCE);
    let offloaded = row.number(15).filter(|layers| *layers > 0);
    claims.assume(field::offload::ACTIVATIONS, offloaded.is_some(), SOURCE);
    if let Some(layers) = offloaded {
        claims.assume(field::OFFLOADED_LAYERS, layers, SOURCE);
    }
    if row.differs(15) || row.differs(16) || row.differs(17) {
        claims.open(field::RECOMPUTE, Recompute::Full);
    } else {
        recomputed(row.number(16).unwrap_or(0), row.cell(17), claims);
    }
    let dispatcher = match row.cell(18) {
        Some(DIFFERS) => return true,
        Some("deepep") => Dispatcher::DeepEP,
        Some("hybridep") => Dispatcher::HybridEP,
        _ => Dispatcher::AllToAll,
    };
    claims.assume(field::parallelism::DISPATCHER, dispatcher, SOURCE);
    true
}

/// The length of a sequence.
fn length(recipe: &str, pretrains: bool, claims: &mut Claims) {
    if !pretrains {
        let [usual, least] = PACKED;
        claims.assume(field::batch::SEQUENCE_LENGTH, usual, SOURCE);
        claims.open(field::batch::SEQUENCE_LENGTH, least);
    } else if let Some((_, length)) = LENGTHS.iter().find(|(begin, _)| recipe.starts_with(begin)) {
        claims.assume(field::batch::SEQUENCE_LENGTH, *length, SOURCE);
    }
}

/// The division of the layers among stages that they do not fill evenly.
fn stages(recipe: &str, claims: &mut Claims) {
    let is_of = |recipes: &[&str]| recipes.iter().any(|begin| recipe.starts_with(begin));
    if is_of(ENDS_AS_LAYERS) {
        claims.assume(field::parallelism::EMBEDDING_AS_LAYER, true, SOURCE);
        claims.assume(field::parallelism::LOSS_AS_LAYER, true, SOURCE);
    }
    let stages = claims.get(field::parallelism::PIPELINE).map_or(1, u64::from);
    if is_of(LAYERS_OF_64) && matches!(stages, 2 | 4 | 8 | 16) {
        let last = 61 - (stages - 1) * (64 / stages);
        claims.assume(field::parallelism::LAST_STAGE_LAYERS, last, SOURCE);
    }
}

/// Claims what the recipes set by the model's name, or all alike.
fn of_all_rows(recipe: &str, claims: &mut Claims) {
    let tensor = claims.get(field::parallelism::TENSOR);
    claims.assume(field::parallelism::SEQUENCE, tensor.is_some_and(|degree| degree > 1), SOURCE);
    claims.assume(field::GRADIENT_PRECISION, Precision::BF16, SOURCE);
    claims.assume(field::LOSS, Loss::InPlace, SOURCE);
    if EXPERTS.iter().any(|begin| recipe.starts_with(begin)) {
        claims.assume(field::parallelism::CAPACITY_FACTOR, megatron_core::EVEN, SOURCE);
    }
    if recipe == "deepseek_v3" {
        claims.assume(field::OPTIMIZER_PRECISION, Precision::BF16, SOURCE);
    }
}

/// Whole layers, or modules, that are computed again.
fn recomputed(layers: u64, modules: Option<&str>, claims: &mut Claims) {
    if claims.knows(field::RECOMPUTE) {
        return;
    }
    match modules {
        _ if claims.knows(field::RECOMPUTE_MODULES) => {
            claims.assume(field::RECOMPUTE, Recompute::Selective, SOURCE);
        }
        _ if layers > 0 => {
            let chunks = claims.get(field::parallelism::VIRTUAL_PIPELINE).map_or(1, u64::from);
            claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
            claims.assume(field::RECOMPUTE_LAYERS, layers.saturating_mul(chunks), SOURCE);
        }
        Some(modules) => {
            claims.assume(field::RECOMPUTE, Recompute::Selective, SOURCE);
            claims.assume(field::RECOMPUTE_MODULES, modules.split(',').collect::<Vec<_>>(), SOURCE);
        }
        None => claims.assume(field::RECOMPUTE, Recompute::None, SOURCE),
    }
}
