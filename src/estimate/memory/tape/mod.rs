//! The tensors that automatic differentiation keeps and allocates, counted operation by operation.
//!
//! A layer is a program of calls on a [`Tape`], in the same order as in its library. The tape does to sizes what
//! PyTorch's autograd does to tensors.
//!
//! - Forward, an operation allocates its output and saves the tensors for its derivative
//!   (`tools/autograd/derivatives.yaml`). A tensor is freed when neither the program nor a saved reference holds it.
//! - Backward, nodes run in the reverse order of their creation. A node holds its saved tensors and the gradient of its
//!   output while it allocates the gradients of its inputs. Two gradients of one tensor are added into a third.
//!   Gradients of weights stay.
//! - The tape records the fullest moment of each pass.
//!
//! PyTorch adds out of place on tensor subclasses (FSDP's, fake tensors), and so does the tape. Elsewhere PyTorch adds
//! the second gradient in place, so the count is one tensor of the residual stream too high.
//! Sizes are bytes of the whole microbatch on one rank. Source: `torch/csrc/autograd/engine.cpp`, checked tensor by
//! tensor against PyTorch's MemTracker in `tests/accuracy`.

mod backward;
mod operations;

use crate::units::Bytes;

/// A handle of a tensor. The program frees it when the library's own variable goes out of scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tensor(usize);

#[derive(Clone, Copy, Debug)]
struct Value {
    elements: u64,
    width: u64,
    storage: usize,
    gradient: Option<usize>,
    differentiable: bool,
}

#[derive(Clone, Copy, Debug)]
struct Storage {
    bytes: Bytes,
    references: u32,
}

/// How long a product of an unpacked matrix keeps its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputKept {
    /// It does not keep it.
    Never,
    /// Until its own backward pass.
    UntilItsBackward,
    /// Until the graph is freed.
    WithTheGraph,
}

/// How a node treats the gradient of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derivative {
    /// Allocates one gradient for each input.
    Computed,
    /// Passes the same storage on if sizes agree: additions, views.
    PassedOn,
    /// Writes into one gradient of the input's size that all views of it share.
    Shared,
    /// Writes the gradients over the saved inputs.
    OverInputs,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    output: usize,
    inputs: [Option<usize>; 3],
    saved: [Option<usize>; 5],
    scratch: Bytes,
    weights: WeightGradient,
    derivative: Derivative,
}

/// The bytes of a weight's gradient: as computed, and as kept.
#[derive(Clone, Copy, Debug, Default)]
struct WeightGradient {
    computed: Bytes,
    kept: Bytes,
}

/// Number formats of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Formats {
    /// Bytes of a parameter in the modules.
    pub(super) parameter: u64,
    /// Bytes of a number inside matrix products: narrower than the parameter under autocast.
    pub(super) compute: u64,
    /// Whether autocast is on: matrix products run in the narrow format whatever their inputs have; powers, softmax and
    /// PyTorch's own norms run in fp32.
    pub(super) autocast: bool,
    /// Whether gradients are added to those of earlier microbatches, or reduced at once.
    pub(super) accumulates: bool,
}

/// A linear layer's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    /// Elements of the matrix.
    pub(super) elements: u64,
    /// Output features.
    pub(super) outputs: u64,
    /// Elements of the bias.
    pub(super) bias: u64,
    /// Bytes of a stored element.
    pub(super) width: u64,
    /// Whether it is trained.
    pub(super) trained: bool,
}

/// The record of a program.
#[derive(Debug)]
pub(super) struct Tape {
    formats: Formats,
    tokens: u64,
    values: Vec<Value>,
    storages: Vec<Storage>,
    nodes: Vec<Node>,
    live: Bytes,
    fullest: Bytes,
    /// The most memory alive until the last tensor was saved.
    fullest_saving: Bytes,
    /// Gradients of weights.
    gradients: Bytes,
    /// Casts of weights that autocast keeps until its region ends.
    cached: Bytes,
    /// Storages that nodes hold until the graph is freed, each once.
    outliving: Vec<(usize, Bytes)>,
}

impl Tape {
    /// An empty record for a microbatch of `tokens`.
    pub(super) fn new(formats: Formats, tokens: u64) -> Self {
        Self {
            formats,
            tokens,
            values: Vec::with_capacity(96),
            storages: Vec::with_capacity(96),
            nodes: Vec::with_capacity(96),
            live: Bytes::ZERO,
            fullest: Bytes::ZERO,
            fullest_saving: Bytes::ZERO,
            gradients: Bytes::ZERO,
            cached: Bytes::ZERO,
            outliving: Vec::new(),
        }
    }

    /// Tokens of the microbatch.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Runs a part of the program on another number of tokens.
    pub(super) fn on<T>(&mut self, tokens: u64, part: impl FnOnce(&mut Self) -> T) -> T {
        let own = std::mem::replace(&mut self.tokens, tokens);
        let result = part(self);
        self.tokens = own;
        result
    }

    /// Number formats.
    pub(super) fn formats(&self) -> Formats {
        self.formats
    }

    /// The memory alive now.
    pub(super) fn live(&self) -> Bytes {
        self.live
    }

    /// The most memory alive at once since the last call.
    pub(super) fn take_fullest(&mut self) -> Bytes {
        std::mem::replace(&mut self.fullest, self.live)
    }

    /// The most memory alive until the last tensor was saved, where recomputation stops.
    pub(super) fn fullest_saving(&self) -> Bytes {
        self.fullest_saving
    }

    /// Gradients of weights that the backward pass has computed.
    pub(super) fn gradients(&self) -> Bytes {
        self.gradients
    }

    /// Casts of weights that stay until the forward pass ends.
    pub(super) fn cached(&self) -> Bytes {
        self.cached
    }

    /// The memory that stays from this pass until the next microbatch's loss replaces this one's.
    pub(super) fn outliving(&self) -> Bytes {
        self.outliving.iter().fold(Bytes::ZERO, |sum, (_, bytes)| sum + *bytes)
    }

    fn note(&mut self) {
        self.fullest = self.fullest.max(self.live);
    }

    fn allocate(&mut self, bytes: Bytes) -> usize {
        self.storages.push(Storage { bytes, references: 1 });
        self.live += bytes;
        self.note();
        self.storages.len() - 1
    }

    fn hold(&mut self, storage: usize) {
        if let Some(storage) = self.storages.get_mut(storage) {
            storage.references += 1;
        }
    }

    fn release(&mut self, storage: usize) {
        if let Some(storage) = self.storages.get_mut(storage) {
            storage.references = storage.references.saturating_sub(1);
            if storage.references == 0 {
                self.live = self.live - storage.bytes;
                storage.bytes = Bytes::ZERO;
            }
        }
    }

    fn value(&self, tensor: Tensor) -> Value {
        let nothing =
            Value { elements: 0, width: 0, storage: usize::MAX, gradient: None, differentiable: false };
        self.values.get(tensor.0).copied().unwrap_or(nothing)
    }

    fn differentiable(&self, tensor: Tensor) -> bool {
        self.value(tensor).differentiable
    }

    /// Bytes per element of the tensor.
    pub(super) fn width(&self, tensor: Tensor) -> u64 {
        self.value(tensor).width
    }

    /// Bytes of the tensor.
    pub(super) fn bytes_of(&self, tensor: Tensor) -> Bytes {
        Self::bytes(self.elements(tensor), self.width(tensor))
    }

    /// Elements of the tensor.
    pub(super) fn elements(&self, tensor: Tensor) -> u64 {
        self.value(tensor).elements
    }

    fn bytes(elements: u64, width: u64) -> Bytes {
        Bytes(elements.saturating_mul(width))
    }

    fn push(&mut self, elements: u64, width: u64, storage: usize, differentiable: bool) -> Tensor {
        self.values.push(Value { elements, width, storage, gradient: None, differentiable });
        Tensor(self.values.len() - 1)
    }

    /// A tensor from outside, with `per_token` elements per token.
    pub(super) fn input(&mut self, per_token: u64, width: u64, differentiable: bool) -> Tensor {
        let elements = self.tokens.saturating_mul(per_token);
        let storage = self.allocate(Self::bytes(elements, width));
        self.push(elements, width, storage, differentiable)
    }

    /// A tensor that outlives the layer, and counts elsewhere.
    pub(super) fn outside(&mut self, elements: u64, width: u64) -> Tensor {
        let storage = self.allocate(Bytes::ZERO);
        self.push(elements, width, storage, true)
    }

    /// Ends the scope of the program's variable.
    pub(super) fn free(&mut self, tensor: Tensor) {
        let storage = self.value(tensor).storage;
        self.release(storage);
    }

    /// Records an operation: its output, its differentiable inputs, and the tensors saved for its derivative.
    fn operation(
        &mut self,
        (elements, width): (u64, u64),
        inputs: &[Tensor],
        saved: &[Tensor],
        scratch: Bytes,
        weights: WeightGradient,
    ) -> Tensor {
        let differentiable =
            weights.computed > Bytes::ZERO || inputs.iter().any(|input| self.differentiable(*input));
        if differentiable && !saved.is_empty() {
            self.fullest_saving = self.fullest;
        }
        let storage = self.allocate(Self::bytes(elements, width));
        let output = self.push(elements, width, storage, differentiable);
        if differentiable {
            self.record(output, inputs, saved, scratch, weights, Derivative::Computed);
        }
        output
    }

    fn record(
        &mut self,
        output: Tensor,
        inputs: &[Tensor],
        saved: &[Tensor],
        scratch: Bytes,
        weights: WeightGradient,
        derivative: Derivative,
    ) {
        let mut node =
            Node { output: output.0, inputs: [None; 3], saved: [None; 5], scratch, weights, derivative };
        for (slot, input) in node.inputs.iter_mut().zip(inputs) {
            *slot = self.differentiable(*input).then_some(input.0);
        }
        for (slot, tensor) in node.saved.iter_mut().zip(saved) {
            let storage = self.value(*tensor).storage;
            self.hold(storage);
            *slot = Some(storage);
        }
        self.nodes.push(node);
    }
}
