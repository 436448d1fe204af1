//! A layer with one product for queries, keys and values, and its adapters: those of LitGPT.
//!
//! Bytes per token that it keeps under adapters on queries and values, two bytes per number (`h` hidden, `q`, `κ`
//! widths of queries and keys, `f` feed-forward, `a` heads):
//!
//! ```text
//! Llama-like   8h + 3h + 2(q + κ) + 6q + 2(q + 2κ) + 6f + 4a     with as many keys as queries
//!              8h + 3h + 2(q + κ) + 8q + 6f + 4a                 with fewer, which are copied to every query head
//! GPT-NeoX     2h + 3h + 2(q + κ) + … + 2f + 4a                  parallel attention and feed-forward
//! ```
//!
//! RMS norms compute in fp32 and keep their input's cast (4h); layer norms keep their input. Queries, keys and values
//! are one product, and the view of the values keeps all three. An adapter on only some of them is padded with zeros,
//! and this keeps the tensor before padding. An adapter's dropout keeps a one-byte mask and its output. Source:
//! `litgpt/lora.py` and `litgpt/model.py` (0.5), whose saved tensors were compared with PyTorch's own. The models with
//! layer norms and rotary positions (Pythia, Falcon, Phi, `StableLM`) have parallel residuals.

use super::super::tape::{Tape, Tensor, Weight};
use super::Program;
use super::attention::attention;
use super::llama::rotary;
use super::modules::{adapter_dropout, base, layer_norm};
use crate::units::Bytes;

/// The layer.
pub(super) fn layer(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    if program.shape.layer_norm { parallel(tape, program, x) } else { sequential(tape, program, x) }
}

fn parallel(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let normed = layer_norm(tape, x, program.shape.hidden, program.trained);
    let attended = self_attention(tape, program, normed);
    let fed = feed_forward(tape, program, normed);
    tape.free(normed);
    let both = tape.add(attended, fed);
    tape.free(attended);
    tape.free(fed);
    let output = tape.add(both, x);
    tape.free(both);
    output
}

fn sequential(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let normed = rms_norm(tape, x, program.shape.hidden, program.trained);
    let attended = self_attention(tape, program, normed);
    tape.free(normed);
    let middle = tape.add(attended, x);
    tape.free(attended);
    let normed = rms_norm(tape, middle, program.shape.hidden, program.trained);
    let fed = feed_forward(tape, program, normed);
    tape.free(normed);
    let output = tape.add(fed, middle);
    tape.free(fed);
    tape.free(middle);
    output
}

/// Root mean square norm; its weight is applied in fp32.
pub(super) fn rms_norm(tape: &mut Tape, x: Tensor, features: u64, trained: bool) -> Tensor {
    let wide = tape.cast(x, 4);
    let square = tape.multiply(wide, wide);
    let mean = tape.mean(square);
    tape.free(square);
    let scale = tape.map_saving_output(mean, 4);
    tape.free(mean);
    let normed = tape.multiply(wide, scale);
    tape.free(wide);
    tape.free(scale);
    let weighted = tape.multiply_weight(normed, features, trained);
    tape.free(normed);
    let y = tape.cast(weighted, tape.width(x));
    tape.free(weighted);
    y
}

fn self_attention(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let shape = program.shape;
    let (h, q, k) = (shape.hidden, program.query_width(), program.key_width());
    let joint = queries_keys_values(tape, program, x);
    let tokens = tape.tokens();
    let [query, key, value] = [q, k, k].map(|width| tape.view(joint, tokens.saturating_mul(width)));
    tape.free(joint);
    let (rotated_query, rotated_key) = (rotary(tape, program, query), rotary(tape, program, key));
    tape.free(query);
    tape.free(key);
    let (rotated_key, value) = if q == k {
        (rotated_key, value)
    } else {
        (to_every_head(tape, rotated_key, rotated_query), to_every_head(tape, value, rotated_query))
    };
    let attended = attention(tape, program, rotated_query, rotated_key, value);
    for states in [rotated_query, rotated_key, value] {
        tape.free(states);
    }
    let biased = shape.biases;
    let output = linear(tape, program, attended, q, h, biased, program.targets().output);
    tape.free(attended);
    output
}

/// Copies keys or values to every query head.
fn to_every_head(tape: &mut Tape, states: Tensor, query: Tensor) -> Tensor {
    let size = (tape.elements(query), tape.width(query));
    let copied = tape.fused(size, &[states], &[], Bytes::ZERO, false);
    tape.free(states);
    copied
}

fn queries_keys_values(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (h, q, k) = (program.shape.hidden, program.query_width(), program.key_width());
    let targets = program.targets();
    let outputs = q.saturating_add(k.saturating_mul(2));
    let y = base(tape, program, x, h, outputs, program.shape.qkv_biases);
    let parts = [(targets.query, q), (targets.key, k), (targets.value, k)];
    let enabled: u64 = parts.iter().filter(|(on, _)| *on).count() as u64;
    let adapted: u64 =
        parts.iter().filter(|(on, _)| *on).fold(0, |sum, (_, width)| sum.saturating_add(*width));
    let Some(adapters) = program.adapters.filter(|_| enabled > 0) else { return y };
    let rank = adapters.rank.saturating_mul(enabled);
    let weight =
        |elements, outputs| Weight { elements, outputs, bias: 0, width: adapters.width, trained: true };
    let dropped = adapter_dropout(tape, program, x);
    let low = tape.linear(dropped, weight(h.saturating_mul(rank), rank));
    tape.free(dropped);
    let mut high = tape.linear(low, weight(adapted.saturating_mul(adapters.rank), adapted));
    tape.free(low);
    if enabled < 3 {
        let size = (tape.elements(y), tape.width(high));
        let padded = tape.fused(size, &[high], &[high], Bytes::ZERO, false);
        tape.free(std::mem::replace(&mut high, padded));
    }
    scale_and_add(tape, y, high)
}

fn linear(
    tape: &mut Tape,
    program: &Program<'_>,
    x: Tensor,
    inputs: u64,
    outputs: u64,
    biased: bool,
    adapted: bool,
) -> Tensor {
    let y = base(tape, program, x, inputs, outputs, biased);
    let Some(adapters) = program.adapters.filter(|_| adapted) else { return y };
    let weight =
        |elements, outputs| Weight { elements, outputs, bias: 0, width: adapters.width, trained: true };
    let dropped = adapter_dropout(tape, program, x);
    let low = tape.linear(dropped, weight(inputs.saturating_mul(adapters.rank), adapters.rank));
    tape.free(dropped);
    let high = tape.linear(low, weight(outputs.saturating_mul(adapters.rank), outputs));
    tape.free(low);
    scale_and_add(tape, y, high)
}

fn scale_and_add(tape: &mut Tape, y: Tensor, adapter: Tensor) -> Tensor {
    let scaled = tape.map(adapter);
    tape.free(adapter);
    let sum = tape.add(y, scaled);
    tape.free(y);
    tape.free(scaled);
    sum
}

fn feed_forward(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (shape, targets) = (program.shape, program.targets());
    let (h, f, biased) = (shape.hidden, shape.ffn.div_ceil(program.tensor), shape.biases);
    let up = linear(tape, program, x, h, f, biased, targets.up);
    let product = if shape.gated {
        let gate = linear(tape, program, x, h, f, biased, targets.gate);
        let activated = tape.map_saving_input(gate, 0);
        let product = tape.multiply(activated, up);
        tape.free(gate);
        tape.free(activated);
        product
    } else {
        tape.map_saving_input(up, 0)
    };
    tape.free(up);
    let output = linear(tape, program, product, f, h, biased, targets.down);
    tape.free(product);
    output
}

#[cfg(test)]
mod tests {
    use crate::estimate::assume::{Device, assume};
    use crate::estimate::memory::layers::Program;
    use crate::job::{Recompute, TrainingJob};
    use crate::model::{Block, Channel};

    fn job(heads: u32, keys: u32, method: &str) -> TrainingJob {
        serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 4096, "attentionHeads": heads, "keyValueHeads": keys,
                      "headSize": 128, "ffnHiddenSize": 11_008, "vocabSize": 32_000, "activation": "SwiGLU"},
            "framework": "LitGPT", "precision": "BF16",
            "finetuning": {"method": method, "rank": 1, "targets": ["q_proj", "v_proj"]},
            "batch": {"microBatchSize": 1, "sequenceLength": 1000},
        }))
        .unwrap()
    }

    /// Bytes per token that a layer keeps, and those that outlive its backward pass.
    fn kept(job: &TrainingJob) -> (u64, u64) {
        let plan = assume(job, Device { bf16: true }).unwrap().likely;
        let run = Program::of(&plan, Block::plain(Channel::Dense)).run(Recompute::None, true);
        (run.kept.0 / 1000, run.outliving.0 / 1000)
    }

    #[test]
    fn a_layer_keeps_the_bytes_of_its_formula() {
        let (h, f, a) = (4096, 11_008, 32);
        // Each of the two norms keeps one fp32 number per token, each adapter its two-byte low-rank output.
        let (statistics, low_rank) = (8, 4);
        let all_heads = 11 * h + 2 * (2 * h) + 6 * h + 2 * (3 * h) + 6 * f + 4 * a;
        assert_eq!(kept(&job(32, 32, "LoRA")).0, all_heads + statistics + low_rank);
        let k = 1024;
        let grouped = 11 * h + 2 * (h + k) + 8 * h + 6 * f + 4 * a;
        assert_eq!(kept(&job(32, 8, "LoRA")).0, grouped + statistics + low_rank);
    }

    #[test]
    fn four_bit_layers_keep_their_inputs_until_the_next_loss() {
        let (h, f) = (4096, 11_008);
        let (four_bit, outliving) = kept(&job(32, 32, "QLoRA"));
        assert_eq!(outliving, 3 * 2 * h + 2 * f);
        // Attention keeps its own output in both cases.
        assert_eq!(four_bit - kept(&job(32, 32, "LoRA")).0, 2 * 2 * h + 2 * f);
    }
}
