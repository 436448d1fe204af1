//! What a recipe of Megatron-Bridge's catalogue sets without an option: `--recipe llama3_8b_pretrain_config`.
//!
//! Read from NVIDIA-NeMo/Megatron-Bridge 0.7.0, `src/megatron/bridge/recipes`: every recipe whose degrees are numbers in its text.
//! A command does not say its release, and releases before set other values. So these are assumptions, and every field stays
//! open at its leanest value.

use crate::frameworks::reading::claims::Claims;
use crate::job::{Recompute, Sharding, field};

const SOURCE: &str = "Megatron-Bridge 0.7 recipe";

/// A line each: the recipe; degrees of tensor, pipeline, virtual pipeline, context, expert and expert tensor parallelism;
/// sequence parallelism; the length of a sequence; sequences of a step and of a microbatch; recomputation. A dash is no value.
const ROWS: &str = include_str!("recipes.tsv");

/// Claims the settings of a recipe as defaults.
pub(super) fn assume(recipe: &str, claims: &mut Claims) {
    let rows = ROWS.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let Some(row) = rows.into_iter().find(|row| row.first() == Some(&recipe)) else { return };
    let cell = |at: usize| row.get(at).copied().filter(|cell| *cell != "-");
    for (at, field) in [
        (1, field::parallelism::TENSOR),
        (2, field::parallelism::PIPELINE),
        (3, field::parallelism::VIRTUAL_PIPELINE),
        (4, field::parallelism::CONTEXT),
        (5, field::parallelism::EXPERT),
        (6, field::parallelism::EXPERT_TENSOR),
        (8, field::batch::SEQUENCE_LENGTH),
        (9, field::batch::GLOBAL_BATCH_SIZE),
        (10, field::batch::MICRO_BATCH_SIZE),
    ] {
        if let Some(value) = cell(at).and_then(|cell| cell.parse::<u64>().ok()) {
            claims.assume(field, value, SOURCE);
        }
    }
    if let Some(on) = cell(7) {
        claims.assume(field::parallelism::SEQUENCE, on == "true", SOURCE);
    }
    let recompute = match cell(11) {
        Some("full") => Recompute::Full,
        Some(_) => Recompute::Selective,
        None => Recompute::None,
    };
    claims.assume(field::RECOMPUTE, recompute, SOURCE);
    claims.assume(field::parallelism::SHARDING, Sharding::DistributedOptimizer, SOURCE);
}
