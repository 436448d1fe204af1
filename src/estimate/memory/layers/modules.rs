//! The modules of layers: linear layers with their adapters, norms, dropout.
//!
//! Liger's root mean square norm is one kernel. It keeps its input in the input's own format, and one fp32 number per
//! row. Its backward pass writes over the gradient of its output. Source: `torch.nn`; bitsandbytes'
//! `autograd/_functions.py`; PEFT's `tuners/lora/layer.py`; Unsloth's `kernels/fast_lora.py`; `transformers/models/llama/modeling_llama.py`
//! (`LlamaRMSNorm`); `liger_kernel/ops/rms_norm.py` (0.8.5).

use super::super::tape::{InputKept, Tape, Tensor, Weight};
use super::Program;
use crate::units::Bytes;

/// A linear layer, with its adapter if it has one.
///
/// An adapter computes `y + B(A(dropout(x)))` in its own format. It keeps `x` after dropout and in this format, a mask
/// of one byte per number if there is dropout, and `r` numbers per token. A kernel that computes layer and adapter
/// together keeps `x` alone, in its own format.
pub(super) fn linear(
    tape: &mut Tape,
    program: &Program<'_>,
    x: Tensor,
    inputs: u64,
    outputs: u64,
    biased: bool,
    adapted: bool,
) -> Tensor {
    if adapted && program.joined_adapters {
        let matrix = Bytes(inputs.saturating_mul(outputs).saturating_mul(program.unpacked.unwrap_or(0)));
        return tape.unpacked_linear(x, outputs, matrix, InputKept::UntilItsBackward);
    }
    let y = base(tape, program, x, inputs, outputs, biased);
    let Some(adapters) = program.adapters.filter(|_| adapted) else { return y };
    let adapter =
        |elements, outputs| Weight { elements, outputs, bias: 0, width: adapters.width, trained: true };
    let wide = tape.cast(x, adapters.width);
    let dropped = adapter_dropout(tape, program, wide);
    tape.free(wide);
    let low = tape.linear(dropped, adapter(inputs.saturating_mul(adapters.rank), adapters.rank));
    tape.free(dropped);
    let high = tape.linear(low, adapter(outputs.saturating_mul(adapters.rank), outputs));
    tape.free(low);
    let narrow = tape.cast(high, tape.width(y));
    tape.free(high);
    let sum = tape.add(y, narrow);
    tape.free(y);
    tape.free(narrow);
    sum
}

/// A linear layer of the model itself.
///
/// A quantized layer unpacks its matrix for each product.
pub(super) fn base(
    tape: &mut Tape,
    program: &Program<'_>,
    x: Tensor,
    inputs: u64,
    outputs: u64,
    biased: bool,
) -> Tensor {
    let elements = inputs.saturating_mul(outputs);
    if let Some(unpacked) = program.unpacked {
        let matrix = Bytes(elements.saturating_mul(unpacked));
        return tape.unpacked_linear(x, outputs, matrix, program.input_kept);
    }
    let weight = Weight {
        elements,
        outputs,
        bias: if biased { outputs } else { 0 },
        width: program.formats.parameter,
        trained: program.trained,
    };
    tape.linear(x, weight)
}

/// Root mean square norm, in fp32 for any input.
pub(super) fn rms_norm(tape: &mut Tape, program: &Program<'_>, x: Tensor, features: u64) -> Tensor {
    let trained = program.trained;
    if program.liger {
        let rows = Bytes(tape.elements(x).checked_div(features).unwrap_or(0).saturating_mul(4));
        let y = tape.fused((tape.elements(x), tape.width(x)), &[x], &[x], rows, false);
        let y = tape.over_output(y);
        return if trained { tape.with_weight(y, features, tape.formats().parameter) } else { y };
    }
    let wide = tape.cast(x, 4);
    let square = tape.power(wide);
    let mean = tape.mean(square);
    tape.free(square);
    let scale = tape.map_saving_output(mean, 4);
    tape.free(mean);
    let normed = tape.multiply(wide, scale);
    tape.free(wide);
    tape.free(scale);
    let narrow = tape.cast(normed, tape.width(x));
    tape.free(normed);
    let y = tape.multiply_weight(narrow, features, trained);
    tape.free(narrow);
    y
}

/// PyTorch's own layer norm, one kernel. It keeps its input, and the mean and deviation of each token in fp32. Autocast
/// runs it in fp32.
pub(super) fn layer_norm(tape: &mut Tape, x: Tensor, features: u64, trained: bool) -> Tensor {
    let statistics = Bytes(tape.tokens().saturating_mul(8));
    let input = wide_under_autocast(tape, x);
    let size = (tape.elements(input), tape.width(input));
    let y = tape.fused(size, &[input], &[input], statistics, false);
    tape.free(input);
    if trained { tape.with_weight(y, features.saturating_mul(2), tape.formats().parameter) } else { y }
}

/// The tensor in the format that autocast gives to fp32 operations.
pub(super) fn wide_under_autocast(tape: &mut Tape, x: Tensor) -> Tensor {
    let width = if tape.formats().autocast { 4 } else { tape.width(x) };
    tape.cast(x, width)
}

/// `c·tanh(x/c)` in separate operations: the tanh keeps its output.
pub(super) fn capped(tape: &mut Tape, x: Tensor) -> Tensor {
    let divided = tape.map(x);
    tape.free(x);
    let bent = tape.map_saving_output(divided, tape.width(divided));
    tape.free(divided);
    let y = tape.map(bent);
    tape.free(bent);
    y
}

/// An adapter's dropout keeps a mask of one byte per number. Without dropout the input passes unchanged.
pub(super) fn adapter_dropout(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let size = (tape.elements(x), tape.width(x));
    if !program.adapters.is_some_and(|adapters| adapters.dropout) {
        return tape.cast(x, size.1);
    }
    tape.fused(size, &[x], &[], Bytes(size.0), false)
}

/// Dropout keeps a mask of one byte per number. Without dropout the tensor stays unchanged.
pub(super) fn dropout(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    if !program.hidden_dropout {
        return x;
    }
    let mask = Bytes(tape.elements(x));
    let size = (tape.elements(x), tape.width(x));
    let y = tape.fused(size, &[x], &[], mask, false);
    tape.free(x);
    y
}
