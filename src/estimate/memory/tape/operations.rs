//! The operations of layers: the memory that each allocates, and the memory that its derivative needs.
//!
//! Source: PyTorch's `tools/autograd/derivatives.yaml` and `torch/csrc/autograd/FunctionsManual.cpp`.

use super::{Derivative, Formats, InputKept, Tape, Tensor, Value, Weight, WeightGradient};
use crate::units::Bytes;

impl Tape {
    /// The tensor in another format. The same tensor, if it already has that format.
    pub(in super::super) fn cast(&mut self, x: Tensor, width: u64) -> Tensor {
        if self.width(x) == width {
            let storage = self.value(x).storage;
            self.hold(storage);
            return x;
        }
        self.operation((self.elements(x), width), &[x], &[], Bytes::ZERO, WeightGradient::default())
    }

    /// An element-wise function of one input that saves nothing: scaling, negation, adding a constant.
    pub(in super::super) fn map(&mut self, x: Tensor) -> Tensor {
        let size = (self.elements(x), self.width(x));
        self.operation(size, &[x], &[], Bytes::ZERO, WeightGradient::default())
    }

    /// An element-wise function that saves its input, with `scratch` more tensors of its size in the derivative.
    pub(in super::super) fn map_saving_input(&mut self, x: Tensor, scratch: u64) -> Tensor {
        let size = (self.elements(x), self.width(x));
        let scratch = Self::bytes(size.0, size.1) * scratch;
        self.operation(size, &[x], &[x], scratch, WeightGradient::default())
    }

    /// An element-wise function that saves its output: `tanh`, `rsqrt`, softmax.
    pub(in super::super) fn map_saving_output(&mut self, x: Tensor, width: u64) -> Tensor {
        let y = self.operation((self.elements(x), width), &[x], &[], Bytes::ZERO, WeightGradient::default());
        let storage = self.value(y).storage;
        if self.differentiable(y) {
            self.hold(storage);
            if let Some(slot) = self.nodes.last_mut().and_then(|node| node.saved.first_mut()) {
                *slot = Some(storage);
            }
            self.fullest_saving = self.fullest;
        }
        y
    }

    /// A power: the derivative allocates two more tensors.
    pub(in super::super) fn power(&mut self, x: Tensor) -> Tensor {
        self.map_saving_input(x, 2)
    }

    /// A mean over features: one fp32 number per token.
    pub(in super::super) fn mean(&mut self, x: Tensor) -> Tensor {
        self.operation((self.tokens, 4), &[x], &[], Bytes::ZERO, WeightGradient::default())
    }

    /// A product of two tensors. Each is saved for the other's derivative. The gradient of a smaller factor is computed
    /// in full size, then summed.
    pub(in super::super) fn multiply(&mut self, a: Tensor, b: Tensor) -> Tensor {
        let size = (self.elements(a).max(self.elements(b)), self.width(a).max(self.width(b)));
        let mut saved = [a; 2];
        let mut count = 0;
        for (tensor, other) in [(a, b), (b, a)] {
            if let Some(slot) = saved.get_mut(count).filter(|_| self.differentiable(other)) {
                *slot = tensor;
                count += 1;
            }
        }
        let broadcast = self.elements(a) != self.elements(b);
        // A narrower factor's gradient is computed in the product's format. It is cast after the product's gradient is
        // freed.
        let narrower = [a, b].into_iter().filter(|x| self.differentiable(*x)).map(|x| size.1 - self.width(x));
        let wider = Self::bytes(size.0, if broadcast { 0 } else { narrower.sum() });
        let scratch = if broadcast && count > 1 { Self::bytes(size.0, size.1) } else { wider };
        let saved = saved.get(..count).unwrap_or_default();
        self.operation(size, &[a, b], saved, scratch, WeightGradient::default())
    }

    /// A product with a weight that has one number per feature.
    pub(in super::super) fn multiply_weight(&mut self, x: Tensor, features: u64, trained: bool) -> Tensor {
        let stored = self.formats.parameter;
        let size = (self.elements(x), self.width(x).max(stored));
        let (saved, weights, scratch): (&[Tensor], _, _) = if trained {
            let gradient = Self::bytes(features, stored);
            let weights = WeightGradient { computed: gradient, kept: gradient };
            (&[x], weights, Self::bytes(size.0, size.1))
        } else {
            (&[], WeightGradient::default(), Bytes::ZERO)
        };
        self.operation(size, &[x], saved, scratch, weights)
    }

    /// A sum. Both inputs share the output's gradient.
    pub(in super::super) fn add(&mut self, a: Tensor, b: Tensor) -> Tensor {
        let size = (self.elements(a).max(self.elements(b)), self.width(a).max(self.width(b)));
        let differentiable = self.differentiable(a) || self.differentiable(b);
        let storage = self.allocate(Self::bytes(size.0, size.1));
        let output = self.push(size.0, size.1, storage, differentiable);
        if differentiable {
            let nothing = WeightGradient::default();
            self.record(output, &[a, b], &[], Bytes::ZERO, nothing, Derivative::PassedOn);
        }
        output
    }

    /// A linear layer. For a trained weight the input is saved; for a differentiable input, the weight's cast. Autocast
    /// casts the input each time and the weight once.
    pub(in super::super) fn linear(&mut self, x: Tensor, weight: Weight) -> Tensor {
        let Formats { compute, autocast, .. } = self.formats;
        let width = if autocast { compute } else { weight.width };
        let input = self.cast(x, width);
        let cast = (weight.width != width).then(|| {
            let storage = self.allocate(Self::bytes(weight.elements, width));
            if weight.trained {
                self.cached += Self::bytes(weight.elements, width);
            }
            self.push(weight.elements, width, storage, false)
        });
        let size = (self.tokens.saturating_mul(weight.outputs), width);
        let numbers = weight.elements.saturating_add(weight.bias);
        let weights = if weight.trained {
            WeightGradient { computed: Self::bytes(numbers, width), kept: Self::bytes(numbers, weight.width) }
        } else {
            WeightGradient::default()
        };
        let mut saved = [input; 2];
        let mut count = 0;
        let mut save = |tensor: Tensor| {
            if let Some(slot) = saved.get_mut(count) {
                *slot = tensor;
                count += 1;
            }
        };
        if weight.trained {
            save(input);
        }
        if let (Some(cast), true) = (cast, self.differentiable(input)) {
            save(cast);
        }
        let saved = saved.get(..count).unwrap_or_default();
        let output = self.operation(size, &[input], saved, Bytes::ZERO, weights);
        self.free(input);
        if let Some(cast) = cast {
            self.free(cast);
        }
        output
    }

    /// A frozen linear layer that unpacks its matrix for each product. It may keep its input.
    pub(in super::super) fn unpacked_linear(
        &mut self,
        x: Tensor,
        outputs: u64,
        matrix: Bytes,
        kept: InputKept,
    ) -> Tensor {
        let width = self.formats.compute;
        let input = self.cast(x, width);
        let storage = self.allocate(matrix);
        let size = (self.tokens.saturating_mul(outputs), width);
        let inputs = [input];
        let saved: &[Tensor] = if kept == InputKept::Never { &[] } else { &inputs };
        let output = self.operation(size, &[input], saved, matrix, WeightGradient::default());
        let held = self.value(input).storage;
        if kept == InputKept::WithTheGraph && self.outliving.iter().all(|(storage, _)| *storage != held) {
            self.outliving.push((held, self.bytes_of(input)));
        }
        self.release(storage);
        self.free(input);
        output
    }

    /// A grouped matrix product over `rows` rows per token. It runs outside autocast, in the weight's own format.
    pub(in super::super) fn grouped(&mut self, x: Tensor, weight: Weight, rows: u64) -> Tensor {
        let input = self.cast(x, weight.width);
        let numbers = self.tokens.saturating_mul(rows).saturating_mul(weight.outputs);
        let saved: &[Tensor] = if weight.trained { &[input] } else { &[] };
        let bytes = if weight.trained { Self::bytes(weight.elements, weight.width) } else { Bytes::ZERO };
        let gradient = WeightGradient { computed: bytes, kept: bytes };
        let output = self.operation((numbers, weight.width), &[input], saved, Bytes::ZERO, gradient);
        self.free(input);
        output
    }

    /// An operation of several inputs that saves some tensors and `extra` more bytes.
    pub(in super::super) fn fused(
        &mut self,
        size: (u64, u64),
        inputs: &[Tensor],
        saved: &[Tensor],
        extra: Bytes,
        saves_output: bool,
    ) -> Tensor {
        let output = self.operation(size, inputs, saved, Bytes::ZERO, WeightGradient::default());
        if self.differentiable(output) {
            let storage = self.value(output).storage;
            if saves_output {
                self.hold(storage);
            }
            let extra = (extra > Bytes::ZERO).then(|| self.allocate(extra));
            if saves_output || extra.is_some() {
                self.fullest_saving = self.fullest;
            }
            if let Some(node) = self.nodes.last_mut() {
                let free = node.saved.iter_mut().filter(|slot| slot.is_none());
                let more = saves_output.then_some(storage).into_iter().chain(extra);
                for (slot, storage) in free.zip(more) {
                    *slot = Some(storage);
                }
            }
        }
        output
    }

    /// Lets the derivative of the last operation write its gradients over the saved inputs.
    pub(in super::super) fn over_inputs(&mut self, output: Tensor) -> Tensor {
        self.derive(output, Derivative::OverInputs)
    }

    /// Lets the derivative of the last operation write its gradient over the gradient of its output.
    pub(in super::super) fn over_output(&mut self, output: Tensor) -> Tensor {
        self.derive(output, Derivative::PassedOn)
    }

    fn derive(&mut self, output: Tensor, derivative: Derivative) -> Tensor {
        if let Some(node) = self.nodes.last_mut().filter(|node| node.output == output.0) {
            node.derivative = derivative;
        }
        output
    }

    /// Gives the derivative of the last operation `scratch` more bytes.
    pub(in super::super) fn with_scratch(&mut self, output: Tensor, scratch: Bytes) -> Tensor {
        if let Some(node) = self.nodes.last_mut().filter(|node| node.output == output.0) {
            node.scratch = scratch;
        }
        output
    }

    /// Gives the derivative of the last operation a weight's gradient.
    pub(in super::super) fn with_weight(&mut self, output: Tensor, elements: u64, width: u64) -> Tensor {
        self.with_gradient(output, Self::bytes(elements, width))
    }

    /// Gives the derivative of the last operation the gradients of several weights.
    pub(in super::super) fn with_gradient(&mut self, output: Tensor, bytes: Bytes) -> Tensor {
        if let Some(node) = self.nodes.last_mut().filter(|node| node.output == output.0) {
            node.weights = WeightGradient { computed: bytes, kept: bytes };
        }
        output
    }

    /// A view that shares the input's storage.
    pub(in super::super) fn view(&mut self, x: Tensor, elements: u64) -> Tensor {
        let Value { width, storage, differentiable, .. } = self.value(x);
        self.hold(storage);
        let output = self.push(elements, width, storage, differentiable);
        if differentiable {
            let same = elements == self.elements(x);
            let derivative = if same { Derivative::PassedOn } else { Derivative::Shared };
            self.record(output, &[x], &[], Bytes::ZERO, WeightGradient::default(), derivative);
        }
        output
    }
}
