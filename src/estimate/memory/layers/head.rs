//! The head after the last layer: the final norm, the output layer, the loss.
//!
//! Bytes of one logit alive at once, two bytes per number: 10 in the forward pass of PyTorch's cross-entropy (the
//! logits, their fp32 copy, the logarithm of their softmax), 12 in its backward pass (the logarithm, its gradient, the
//! gradient of the fp32 logits). 4 are kept in between. In fp32: 8 and 12. The final norm keeps 8h.
//! Capped logits, `c·tanh(x/c)`, keep the tanh's output: 2 more.
//! In chunks, as in torchtune's recipes: 6 kept, 7 alive. `LitGPT` runs the output layer once for each chunk of 128
//! tokens (`litgpt/finetune/lora.py`, `lm_head_chunk_size`). A fused loss keeps gradients instead of logits.
//! Compiled with the model, two bytes per number: 2 kept, 6 alive in either pass.
//! In place, as in flash-attn's cross-entropy (`ops/triton/cross_entropy.py`, `inplace_backward`): the logits alone, whose
//! gradient replaces them.
//! Without logits of the vocabulary only the final norm counts; other losses on logits: [`log_probabilities`].
//! Source: `transformers/loss/loss_utils.py`, `transformers/models/llama/modeling_llama.py` (5.24); before 4.49 the
//! fp32 logits were copied once more: 14 forward, and 18 backward before 4.46, where the model returned them. torchtune's `modules/loss/ce_chunked_output_loss.py`;
//! Liger's `ops/fused_linear_cross_entropy.py`.

use super::super::super::objective::{Head, ObjectiveProfile};
use super::super::super::plan::Plan;
use super::super::quantization;
use super::super::tape::{Tape, Tensor, Weight};
use super::modules::{capped, layer_norm, rms_norm};
use super::{Program, compiled, joint_projection, log_probabilities};
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::job::Loss;
use crate::units::Bytes;

/// Tokens of a sequence in each chunk of logits (`lm_head_chunk_size` of `LitGPT`).
const LOSS_CHUNK: u64 = 128;

/// The memory of the head's passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct HeadRun {
    /// Kept from the forward to the backward pass.
    pub(in super::super) kept: Bytes,
    /// The peak of the forward pass.
    pub(in super::super) forward: Bytes,
    /// The peak of the backward pass.
    pub(in super::super) backward: Bytes,
    /// Casts of weights, kept until the end of the forward pass.
    pub(in super::super) cached: Bytes,
    /// Gradients of the weights of the final norm and the output layer.
    pub(in super::super) gradients: Bytes,
    /// Logits that the caller holds until the end of the backward pass.
    pub(in super::super) held_logits: Bytes,
    /// The peak while the reference runs, with the kept tensors. Zero if no other model runs.
    pub(in super::super) compared: Bytes,
}

/// Runs the forward and backward pass of the head.
pub(in super::super) fn head(program: &Program<'_>, plan: &Plan) -> HeadRun {
    let h = program.shape.hidden;
    let mut tape = Tape::new(program.formats, program.tokens);
    let x = tape.input(h, program.formats.parameter, true);
    let normed = match (program.layers, program.shape.layer_norm) {
        (_, true) => layer_norm(&mut tape, x, h, program.trained),
        (Layers::JointProjection, false) => joint_projection::rms_norm(&mut tape, x, h, program.trained),
        (_, false) => rms_norm(&mut tape, program, x, h),
    };
    tape.free(x);
    let head = ObjectiveProfile::of(plan.objective).head;
    if head == Head::Numbers {
        return numbers(&tape);
    }
    if plan.loss == Loss::Fused {
        return fused(tape, program, plan, normed);
    }
    if head != Head::NextToken {
        return log_probabilities::run(tape, program, plan, normed);
    }
    if plan.loss == Loss::InPlace {
        return in_place(tape, program, plan, normed);
    }
    next_token(tape, program, plan, normed)
}

/// Logits that their gradient replaces.
fn in_place(mut tape: Tape, program: &Program<'_>, plan: &Plan, normed: Tensor) -> HeadRun {
    let mut logits = output_layer(&mut tape, program, plan, normed);
    tape.free(normed);
    if copies(plan).upcast {
        let wide = tape.cast(logits, 4);
        tape.free(std::mem::replace(&mut logits, wide));
    }
    let forward = tape.take_fullest();
    let (kept, gradients) = (tape.live(), gradient(program));
    let backward = kept + gradients + unpacked_output(plan);
    HeadRun { kept, forward, backward, cached: tape.cached(), gradients, ..HeadRun::default() }
}

/// The logits of the vocabulary and their cross-entropy.
fn next_token(mut tape: Tape, program: &Program<'_>, plan: &Plan, normed: Tensor) -> HeadRun {
    let logits = output_layer(&mut tape, program, plan, normed);
    let mut logits = if program.shape.capped_logits { capped(&mut tape, logits) } else { logits };
    let casts = further_casts(program, plan);
    // A model that computes the loss itself still holds the norm's output.
    let computes_loss = !matches!(program.layers, Layers::JointProjection | Layers::LossInRecipe);
    if !computes_loss {
        tape.free(normed);
    }
    let copies = copies(plan);
    if copies.upcast {
        let wide = tape.cast(logits, 4);
        tape.free(std::mem::replace(&mut logits, wide));
    }
    // A loss that casts the logits itself holds the cast until it returns.
    let cast = (copies.shifted && !copies.upcast).then(|| tape.cast(logits, 4));
    // A compiled loss keeps only the logits and recomputes their logarithm.
    let source = match (copies.shifted, compiled(plan)) {
        (true, _) => tape.map(cast.unwrap_or(logits)),
        (false, true) => tape.cast(logits, tape.width(logits)),
        (false, false) => tape.cast(logits, 4),
    };
    let log_softmax =
        if compiled(plan) { tape.view(source, tape.tokens()) } else { tape.map_saving_output(source, 4) };
    tape.free(source);
    let forward = tape.take_fullest();
    let cached = tape.cached();
    if let Some(cast) = cast {
        tape.free(cast);
    }
    if computes_loss {
        tape.free(normed);
    }
    if !copies.held {
        tape.free(logits);
    }
    tape.free(log_softmax);
    let kept = tape.live();
    let held_logits = if copies.held { tape.bytes_of(logits) } else { Bytes::ZERO };
    if let Some(chunk) = chunk(plan) {
        let (kept, forward, gradients) = (kept + casts, forward + casts, gradient(program));
        let run = HeadRun { kept, forward, cached, gradients, held_logits, ..HeadRun::default() };
        return chunked(&tape, plan, chunk, run, logits);
    }
    tape.take_fullest();
    tape.seed(log_softmax);
    tape.backward();
    let backward = tape.take_fullest();
    let gradients = tape.gradients();
    let run = HeadRun { kept, forward, backward, cached, gradients, held_logits, compared: Bytes::ZERO };
    if compiled::is_compiled(plan) && !copies.shifted { compiled_loss(&tape, logits, run) } else { run }
}

/// A few numbers for each token: nothing that counts besides the norm's own tensors.
fn numbers(tape: &Tape) -> HeadRun {
    HeadRun { kept: tape.live(), forward: tape.live(), backward: tape.live(), ..HeadRun::default() }
}

/// A loss compiled with the model keeps the logits, not the logarithm of their softmax. Its backward pass writes one
/// gradient, in fp32.
fn compiled_loss(tape: &Tape, logits: Tensor, run: HeadRun) -> HeadRun {
    let (elements, width) = (tape.elements(logits), tape.width(logits));
    let less = |bytes: u64| Bytes(elements.saturating_mul(bytes));
    let narrower = 4u64.saturating_sub(width);
    HeadRun {
        kept: run.kept - less(narrower),
        forward: run.forward - less(4),
        backward: run.backward - less(narrower.saturating_add(4)),
        ..run
    }
}

pub(super) fn output_layer(tape: &mut Tape, program: &Program<'_>, plan: &Plan, x: Tensor) -> Tensor {
    let weight = weight(program);
    if quantization::covers_output(plan) {
        return tape.unpacked_linear(x, weight.outputs, unpacked_output(plan), program.input_kept);
    }
    tape.linear(x, weight)
}

fn weight(program: &Program<'_>) -> Weight {
    let vocab = program.shape.vocab.div_ceil(program.tensor);
    // A copy that is trained whole beside adapters.
    let saved = program.adapters.map(|adapters| &adapters.saved).filter(|saved| saved.modules.output);
    // FSDP and DeepSpeed cast it with all others, so that a module sees the format of the others.
    let width = saved.map_or(0, |saved| saved.widths.parameter.round() as u64).max(program.formats.parameter);
    Weight {
        elements: program.shape.hidden.saturating_mul(vocab),
        outputs: vocab,
        bias: 0,
        width,
        trained: program.trained || saved.is_some(),
    }
}

/// `LitGPT` runs its output layer once per chunk. Autocast keeps only the casts of trained weights, so it casts a
/// frozen weight for each chunk. The chunks' backward passes need all these casts; this counts all but the first.
fn further_casts(program: &Program<'_>, plan: &Plan) -> Bytes {
    let narrow = program.formats.compute < program.formats.parameter;
    let in_chunks = program.layers == Layers::JointProjection;
    if !in_chunks || program.trained || !narrow || quantization::covers_output(plan) {
        return Bytes::ZERO;
    }
    let further = plan.sequence.div_ceil(LOSS_CHUNK).saturating_sub(1);
    Bytes(weight(program).elements.saturating_mul(program.formats.compute)) * further
}

/// The gradient of the output layer.
pub(super) fn gradient(program: &Program<'_>) -> Bytes {
    let weight = weight(program);
    if weight.trained { Bytes(weight.elements.saturating_mul(weight.width)) } else { Bytes::ZERO }
}

/// The memory of the unpacked output layer, if it is quantized.
pub(super) fn unpacked_output(plan: &Plan) -> Bytes {
    if !quantization::covers_output(plan) {
        return Bytes::ZERO;
    }
    let elements = plan.shape.hidden.saturating_mul(plan.shape.vocab.div_ceil(plan.tensor.max(1)));
    Bytes(elements.saturating_mul(quantization::unpacked(plan)))
}

/// The copies of the logits between the output layer and the loss.
#[derive(Clone, Copy, Debug)]
struct Copies {
    /// The model returns fp32 logits.
    upcast: bool,
    /// The logits are copied once more, without the last token's.
    shifted: bool,
    /// The training loop holds the model's output until the end of the backward pass.
    held: bool,
}

fn copies(plan: &Plan) -> Copies {
    match plan.profile.layers {
        Layers::JointProjection => Copies { upcast: true, shifted: false, held: true },
        _ if plan.loss == Loss::Chunked => Copies { upcast: false, shifted: false, held: true },
        Layers::LossInRecipe => Copies { upcast: true, shifted: true, held: true },
        Layers::Transformers { run_by, logits } => {
            let upcast = plan.is_of(logits.returned_in_fp32);
            Copies { upcast, shifted: plan.is_of(logits.shifted), held: upcast && run_by == Loop::Own }
        }
        Layers::Fused | Layers::Unfused => Copies { upcast: false, shifted: false, held: false },
    }
}

/// The share of tokens whose loss is differentiated at once, if not all: LitGPT's chunks have 128 tokens, torchtune's
/// recipes use eight chunks.
fn chunk(plan: &Plan) -> Option<f64> {
    match plan.profile.layers {
        Layers::JointProjection => Some((LOSS_CHUNK as f64 / plan.sequence as f64).min(1.0)),
        _ if plan.loss == Loss::Chunked => Some(1.0 / 8.0),
        _ => None,
    }
}

/// Whether the loss is compiled with the model.
fn compiled(plan: &Plan) -> bool {
    plan.profile.layers == Layers::LossInRecipe && plan.compile && plan.loss == Loss::Chunked
}

/// The backward pass in chunks. First the loss of each chunk, which makes two gradients of its logits. Then the output
/// layer of each chunk, after the logarithms are freed and while two-byte gradients of all logits are alive.
fn chunked(tape: &Tape, plan: &Plan, chunk: f64, run: HeadRun, logits: Tensor) -> HeadRun {
    let elements = tape.elements(logits);
    let logarithms = if compiled(plan) { Bytes::ZERO } else { Bytes(elements.saturating_mul(4)) };
    let losses = run.kept + Bytes(elements.saturating_mul(8)).scale(chunk);
    let output =
        run.kept - logarithms + Bytes(elements.saturating_mul(2)) + unpacked_output(plan) + run.gradients;
    HeadRun { backward: losses.max(output), ..run }
}

/// Liger's fused output layer and cross-entropy. The forward pass computes the gradients, in chunks of tokens whose
/// logits are about as large as the hidden states: `2^⌈log2(T / (V/h))⌉` tokens.
fn fused(mut tape: Tape, program: &Program<'_>, plan: &Plan, x: Tensor) -> HeadRun {
    let weight = weight(program);
    let parts = weight.outputs.div_ceil(program.shape.hidden.max(1)).max(1);
    let rows = program.tokens.div_ceil(parts).checked_next_power_of_two().unwrap_or(u64::MAX);
    let chunk = Bytes(rows.min(program.tokens).saturating_mul(weight.outputs).saturating_mul(tape.width(x)));
    let gradients = gradient(program);
    let stream = tape.bytes_of(x);
    tape.take_fullest();
    let kept = tape.live() + stream + gradients;
    HeadRun {
        kept,
        forward: kept + chunk + gradients + unpacked_output(plan),
        backward: kept + stream,
        gradients,
        ..HeadRun::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;
    use crate::model::{Block, Channel};

    fn in_chunks(sequence: u32) -> Plan {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512, "attentionHeads": 8, "vocabSize": 1_000},
            "framework": "LitGPT", "precision": "BF16", "parameterPrecision": "FP32",
            "finetuning": {"method": "LoRA", "rank": 1, "targets": ["q_proj"]},
            "batch": {"microBatchSize": 1, "sequenceLength": sequence},
        }))
        .unwrap();
        assume(&job, Device { bf16: true }).unwrap().likely
    }

    #[test]
    fn a_loss_in_the_output_layer_is_computed_in_chunks_of_128_tokens() {
        assert_eq!(chunk(&in_chunks(1_024)), Some(0.125));
        assert_eq!(chunk(&in_chunks(64)), Some(1.0));
    }

    #[test]
    fn such_a_loss_casts_a_frozen_output_layer_once_for_each_chunk() {
        let casts = |sequence| {
            let plan = in_chunks(sequence);
            further_casts(&Program::of(&plan, Block::plain(Channel::Dense)), &plan)
        };
        assert_eq!(casts(128), Bytes::ZERO);
        // Eight chunks of 128 tokens and one with the rest: all but the first cast of 512 × 1,000 numbers.
        assert_eq!(casts(1_025), Bytes(8 * 2 * 512 * 1_000));
    }

    #[test]
    fn a_loss_in_place_holds_the_logits_alone() {
        const LOGITS: u64 = 2 * 1_024 * 32_000;
        let run = |objective: &str, loss: &str| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512, "attentionHeads": 8, "vocabSize": 32_000},
                "framework": "FSDP", "precision": "BF16", "parameterPrecision": "BF16", "loss": loss,
                "objective": objective, "finetuning": {"method": "LoRA", "rank": 1, "targets": ["q_proj"]},
                "batch": {"microBatchSize": 1, "sequenceLength": 1_024},
            }))
            .unwrap();
            let plan = assume(&job, Device { bf16: true }).unwrap().likely;
            head(&Program::of(&plan, Block::plain(Channel::Dense)), &plan)
        };
        for objective in ["Supervised", "GRPO"] {
            let (in_place, eager) = (run(objective, "InPlace"), run(objective, "Eager"));
            assert!((LOGITS..LOGITS * 5 / 4).contains(&in_place.kept.0), "{objective}: {in_place:?}");
            assert_eq!(in_place.backward, in_place.kept, "{objective}");
            assert!(eager.backward.0 > in_place.backward.0 + LOGITS, "{objective}: {eager:?}");
        }
    }
}
