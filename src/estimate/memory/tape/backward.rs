//! The backward pass: nodes in the reverse order of their creation.
//!
//! Source: PyTorch's `torch/csrc/autograd/engine.cpp` (`evaluate_function`) and `input_buffer.cpp`.

use super::{Derivative, Node, Tape, Tensor, Value, WeightGradient};
use crate::units::Bytes;

impl Tape {
    /// Allocates the gradient of `output`, as the operations after it would.
    pub(in super::super) fn seed(&mut self, output: Tensor) {
        let value = self.value(output);
        let storage = self.allocate(Self::bytes(value.elements, value.width));
        if let Some(value) = self.values.get_mut(output.0) {
            value.gradient = Some(storage);
        }
    }

    /// Runs the backward pass from the seeded outputs to the program's inputs.
    pub(in super::super) fn backward(&mut self) {
        while let Some(node) = self.nodes.pop() {
            let gradient = self.values.get_mut(node.output).and_then(|value| value.gradient.take());
            let mut found = [None; 3];
            if let Some(gradient) = gradient {
                for (slot, input) in found.iter_mut().zip(node.inputs) {
                    let Some(input) = input else { continue };
                    *slot = Some((input, self.gradient_of(input, &node, gradient)));
                }
                self.weight_gradient(node.weights);
                self.live += node.scratch;
                self.note();
                self.live = self.live - node.scratch;
            }
            for storage in node.saved.into_iter().flatten() {
                self.release(storage);
            }
            if let Some(gradient) = gradient {
                self.release(gradient);
            }
            self.settle(node.weights, gradient.is_some());
            for (input, storage) in found.into_iter().flatten() {
                self.deliver(input, storage);
            }
        }
    }

    fn gradient_of(&mut self, input: usize, node: &Node, gradient: usize) -> usize {
        let value = self.value(Tensor(input));
        let output = self.value(Tensor(node.output));
        let same = value.elements == output.elements && value.width == output.width;
        if node.derivative == Derivative::PassedOn && same {
            self.hold(gradient);
            return gradient;
        }
        if node.derivative == Derivative::OverInputs {
            self.hold(value.storage);
            return value.storage;
        }
        if let (Derivative::Shared, Some(shared)) = (node.derivative, value.gradient) {
            self.hold(shared);
            return shared;
        }
        self.allocate(Self::bytes(value.elements, value.width))
    }

    fn weight_gradient(&mut self, weights: WeightGradient) {
        self.live += weights.computed;
        self.note();
    }

    /// Casts the computed gradient of a weight, or adds it to the gradient of earlier microbatches.
    fn settle(&mut self, weights: WeightGradient, ran: bool) {
        if !ran || weights.computed == Bytes::ZERO {
            return;
        }
        if weights.kept != weights.computed {
            self.live += weights.kept;
            self.note();
            self.live = self.live - weights.computed;
        }
        if self.formats.accumulates {
            self.live = self.live - weights.kept;
        }
        self.gradients += weights.kept;
    }

    fn deliver(&mut self, input: usize, storage: usize) {
        let Value { elements, width, gradient: earlier, .. } = self.value(Tensor(input));
        let storage = match earlier {
            None => storage,
            Some(earlier) if earlier == storage => {
                self.release(storage);
                storage
            }
            Some(earlier) => {
                let sum = self.allocate(Self::bytes(elements, width));
                self.release(earlier);
                self.release(storage);
                sum
            }
        };
        if let Some(value) = self.values.get_mut(input) {
            value.gradient = Some(storage);
        }
    }
}
