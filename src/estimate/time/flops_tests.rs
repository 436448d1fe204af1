//! The counts against counts by hand and published counts.

use super::*;
use crate::estimate::assume::{Device, assume};
use crate::job::{
    Activation, Batch, DenseLayers, Finetuning, Framework, LatentAttention, Method, TrainingJob,
};
use crate::units::Count;

fn model(layers: u32, hidden: u32, heads: u32, kv: u32, ffn: u32, vocab: u32) -> Model {
    Model {
        layers: Some(layers),
        hidden_size: Some(hidden),
        attention_heads: Some(heads),
        key_value_heads: Some(kv),
        ffn_hidden_size: Some(ffn),
        vocab_size: Some(vocab),
        activation: Some(Activation::SwiGLU),
        ..Model::default()
    }
}

fn deepseek_v3() -> Model {
    Model {
        experts: Some(256),
        experts_per_token: Some(8),
        expert_ffn_hidden_size: Some(2048),
        shared_experts: Some(1),
        dense_layers: Some(DenseLayers::Count(3)),
        latent_attention: Some(LatentAttention {
            query_rank: Some(1536),
            key_value_rank: Some(512),
            rope_head_size: Some(64),
            nope_head_size: Some(128),
            value_head_size: Some(128),
        }),
        ..model(61, 7168, 128, 128, 18432, 129_280)
    }
}

fn job(model: Model, sequence: u32) -> TrainingJob {
    TrainingJob {
        model: Some(model),
        batch: Some(Batch { sequence_length: Some(sequence), ..Batch::default() }),
        framework: Some(Framework::Torchtitan),
        ..TrainingJob::default()
    }
}

fn forward(job: &TrainingJob) -> Forward {
    let plan = assume(job, Device { bf16: true }).unwrap().likely;
    Forward::of(&plan, job.model.as_ref())
}

fn close(counted: f64, expected: f64, within: f64) {
    assert!((counted / expected - 1.0).abs() <= within, "{counted:e} against {expected:e}");
}

/// Megatron-LM's `num_floating_point_operations` of a dense Transformer for one token, in its own terms: 12·h²·((1 +
/// kv/a + 3/2·f/h·(gate) + s/(2h))·ratio)·L + 6·h·V, with half of the attention's square.
#[test]
fn a_dense_model_matches_megatrons_count() {
    let (layers, h, heads, kv, f, vocab, s) = (80.0, 8192.0, 64.0, 8.0, 28672.0, 128_256.0, 8192.0);
    let gated = 1.5;
    let megatron =
        12.0 * layers * h * h * (1.0 + kv / heads + f / h * gated + s / (2.0 * h)) + 6.0 * h * vocab;
    let counted = forward(&job(model(80, 8192, 64, 8, 28672, 128_256), 8192)).model();
    close(counted, megatron, 1e-9);
}

/// Narayanan et al. 2021, equation 3, counts the whole square of attention and recomputes every layer: 96·B·s·L·h²·(1 +
/// s/6h + V/16Lh), here for GPT-3 with 175B parameters.
#[test]
fn full_recomputation_and_the_whole_square_match_narayanans_formula() {
    let gpt3 = Model { activation: Some(Activation::GELU), ..model(96, 12288, 96, 96, 49152, 51_200) };
    let (l, h, v, s) = (96.0, 12288.0, 51_200.0, 2048.0);
    let published = 96.0 * l * h * h * (1.0 + s / (6.0 * h) + v / (16.0 * l * h));
    let mut job = job(gpt3, 2048);
    job.recompute = Some(Recompute::Full);
    let plan = assume(&job, Device { bf16: true }).unwrap().likely;
    let forward = Forward::of(&plan, job.model.as_ref());
    let second_half_of_the_square = 4.0 * forward.core;
    close(forward.model() + forward.recomputed(&plan) + second_half_of_the_square, published, 1e-9);
}

/// By hand: Llama 3 8B has 32 layers of 2·4096² + 2·4096·1024 + 3·4096·14336 weights, and 4096·128256 in its output
/// layer: 7 504 658 432, and a core of 2·4096·8192 a layer.
#[test]
fn llama_3_8b_matches_a_count_by_hand() {
    let forward = forward(&job(model(32, 4096, 32, 8, 14336, 128_256), 8192));
    close(forward.layers + forward.head, 2.0 * 7_504_658_432.0, 1e-12);
    close(forward.core, 32.0 * 2.0 * 4096.0 * 8192.0, 1e-12);
    close(forward.model(), 6.0 * 7_504_658_432.0 + 6.0 * 32.0 * 4096.0 * 8192.0, 1e-12);
}

/// The DeepSeek-V3 report trains 14.8T tokens. Its 37e9 active parameters include an embedding of 0.93e9, which is a
/// look-up.
#[test]
fn deepseek_v3_multiplies_its_active_parameters() {
    let forward = forward(&job(deepseek_v3(), 4096));
    close(forward.layers + forward.head, 2.0 * (37e9 - 129_280.0 * 7168.0), 0.02);
    // 61 layers of 128 heads, 192 wide for keys and 128 for values, causal.
    close(forward.core, 61.0 * 4096.0 * 128.0 * (192.0 + 128.0), 1e-12);
}

#[test]
fn a_prediction_layer_is_one_more_layer_and_one_more_output_layer() {
    let without = forward(&job(deepseek_v3(), 4096));
    let with = forward(&job(Model { multi_token_prediction_layers: Some(1), ..deepseek_v3() }, 4096));
    // 7168·1536 + 1536·24576 + 7168·576 + 512·32768 + 16384·7168 of attention.
    let layer = 187_105_280.0 + 9.0 * 3.0 * 7168.0 * 2048.0 + 7168.0 * 256.0;
    close(with.layers - without.layers, 2.0 * (layer + 2.0 * 7168.0 * 7168.0), 1e-9);
    close(with.head, 2.0 * without.head, 1e-12);
}

/// Frozen weights have no gradient: 4·P instead of 6·P. The adapters cost 6 times their own size.
#[test]
fn adapters_need_two_thirds_of_the_operations() {
    let llama = model(80, 8192, 64, 8, 28672, 32_000);
    let full = forward(&job(llama.clone(), 512));
    let mut adapted = job(llama, 512);
    adapted.finetuning =
        Some(Finetuning { method: Some(Method::LoRA), rank: Some(16), ..Finetuning::default() });
    let adapted = forward(&adapted);
    // 16·(h+q + h+κ + h+κ + q+h + 3·(h+f)) per layer.
    let rank = 16.0 * 80.0 * (4.0 * 8192.0 + 2.0 * (8192.0 + 1024.0) + 3.0 * (8192.0 + 28672.0));
    close(adapted.adapters, 2.0 * rank, 1e-12);
    let expected = 2.0 * (full.layers + full.head) + 3.0 * (full.core + 2.0 * rank);
    close(adapted.model(), expected, 1e-12);
    assert!(adapted.model() / full.model() < 0.68);
}

/// Samples shorter than the allowed maximum attend to fewer tokens.
#[test]
fn attention_counts_the_typical_length() {
    let llama = model(32, 4096, 32, 8, 14336, 128_256);
    let mut short = job(llama.clone(), 8192);
    if let Some(batch) = &mut short.batch {
        batch.typical_sequence_length = Some(1024);
    }
    close(forward(&short).core * 8.0, forward(&job(llama, 8192)).core, 1e-12);
}

/// If only the size is known: six per parameter, or per active parameter if given. The embedding is not multiplied.
#[test]
fn a_size_alone_counts_six_per_parameter() {
    let dense = Model { parameters: Some(Count(70_000_000_000)), ..Model::default() };
    let counted = forward(&job(dense, 2048));
    close(3.0 * (counted.layers + counted.head), 6.0 * 70e9, 0.02);
    let sparse = Model {
        parameters: Some(Count(671_000_000_000)),
        active_parameters: Some(Count(37_000_000_000)),
        ..Model::default()
    };
    let counted = forward(&job(sparse, 2048));
    close(3.0 * (counted.layers + counted.head), 6.0 * 37e9, 0.1);
}

/// Llama 4 Maverick: 400B parameters, 17B active, 48 layers, width 5120, like a dense model of 17B.
#[test]
fn experts_do_not_widen_attention() {
    let sparse = Model {
        parameters: Some(Count(400_000_000_000)),
        active_parameters: Some(Count(17_000_000_000)),
        ..Model::default()
    };
    close(forward(&job(sparse, 4096)).core, 48.0 * 2.0 * 5120.0 * 4096.0, 0.15);
}

/// A model of 70M parameters cannot have an output layer of 90M.
#[test]
fn a_model_has_at_most_as_many_products_as_parameters() {
    for size in [1_000_000, 70_000_000, 160_000_000] {
        let small = Model { parameters: Some(Count(size)), ..Model::default() };
        let counted = forward(&job(small, 2048));
        assert!(counted.layers + counted.head <= 2.0 * size as f64 * 1.001, "{size}: {counted:?}");
    }
}
