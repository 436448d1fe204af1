//! What automatic differentiation keeps and allocates, counted operation by operation.
//!
//! A layer is written as its library writes it, as calls on a [`Tape`]; the tape does to sizes what PyTorch's autograd
//! does to tensors. Forwards, an operation allocates its output and saves what its derivative needs
//! (`tools/autograd/derivatives.yaml`); a tensor is freed when neither the program nor a saved reference holds it.
//! Backwards, nodes run in the reverse order of their creation: a node holds its saved tensors and the gradient of its
//! output while it allocates the gradients of its inputs; two gradients of one tensor are added into a third. Gradients
//! of weights stay. The fullest moment of either pass is remembered.
//!
//! Counted out of place where PyTorch adds out of place on tensor subclasses (FSDP's, fake tensors); elsewhere the
//! second gradient is added in place, and the count is one tensor of the residual stream too high.
//! Sizes are bytes of the whole microbatch on one rank. Source: `torch/csrc/autograd/engine.cpp`, checked tensor by
//! tensor against PyTorch's MemTracker in `tests/accuracy`.

use crate::units::Bytes;

/// A tensor of the program: a handle that must be freed when the library's own variable goes out of scope.
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

/// What a node does with its output's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derivative {
    /// Allocates one gradient for each input.
    Computed,
    /// Hands the same storage on where sizes agree: additions, views.
    HandedOn,
    /// Writes into one gradient of the input's size that all views of it share.
    Joined,
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

/// The gradient of a weight: as it is computed, and as it is kept.
#[derive(Clone, Copy, Debug, Default)]
struct WeightGradient {
    computed: Bytes,
    kept: Bytes,
}

/// Number formats of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Formats {
    /// Bytes of a parameter as modules see it.
    pub(super) parameter: u64,
    /// Bytes of a number inside matrix products: narrower than the parameter under autocast.
    pub(super) compute: u64,
    /// Whether gradients are added to ones that are there already, from earlier microbatches.
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

/// A program's record.
#[derive(Debug)]
pub(super) struct Tape {
    formats: Formats,
    tokens: u64,
    values: Vec<Value>,
    storages: Vec<Storage>,
    nodes: Vec<Node>,
    live: Bytes,
    fullest: Bytes,
    /// The most that was alive when the last tensor was saved.
    fullest_saving: Bytes,
    /// Gradients of weights.
    gradients: Bytes,
    /// Casts of weights that autocast keeps until its region ends.
    cached: Bytes,
    /// Storages that nodes hold until they themselves are gone, each once.
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

    /// Number formats.
    pub(super) fn formats(&self) -> Formats {
        self.formats
    }

    /// What is alive now.
    pub(super) fn live(&self) -> Bytes {
        self.live
    }

    /// The most that was alive at once since the last call.
    pub(super) fn take_fullest(&mut self) -> Bytes {
        std::mem::replace(&mut self.fullest, self.live)
    }

    /// The most that was alive until the last tensor was saved: where computing again stops.
    pub(super) fn fullest_saving(&self) -> Bytes {
        self.fullest_saving
    }

    /// Gradients of weights that the backward pass has left.
    pub(super) fn gradients(&self) -> Bytes {
        self.gradients
    }

    /// Casts of weights that stay until the forward pass ends.
    pub(super) fn cached(&self) -> Bytes {
        self.cached
    }

    /// What stays of this pass until the next one's loss takes the place of this one's.
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

    /// Bytes of a number of the tensor.
    pub(super) fn width(&self, tensor: Tensor) -> u64 {
        self.value(tensor).width
    }

    /// Bytes of the tensor.
    pub(super) fn bytes_of(&self, tensor: Tensor) -> Bytes {
        Self::bytes(self.elements(tensor), self.width(tensor))
    }

    /// Numbers of the tensor.
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

    /// A tensor from outside, `per_token` numbers a token.
    pub(super) fn input(&mut self, per_token: u64, width: u64, differentiable: bool) -> Tensor {
        let elements = self.tokens.saturating_mul(per_token);
        let storage = self.allocate(Self::bytes(elements, width));
        self.push(elements, width, storage, differentiable)
    }

    /// The program's variable goes out of scope.
    pub(super) fn free(&mut self, tensor: Tensor) {
        let storage = self.value(tensor).storage;
        self.release(storage);
    }

    /// An operation: its output, the inputs that have derivatives, and what those derivatives need.
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

    /// The tensor in another format; itself where it has that format already.
    pub(super) fn cast(&mut self, x: Tensor, width: u64) -> Tensor {
        if self.width(x) == width {
            let storage = self.value(x).storage;
            self.hold(storage);
            return x;
        }
        self.operation((self.elements(x), width), &[x], &[], Bytes::ZERO, WeightGradient::default())
    }

    /// An element-wise function of one input that saves nothing: scaling, negation, adding a constant.
    pub(super) fn map(&mut self, x: Tensor) -> Tensor {
        let size = (self.elements(x), self.width(x));
        self.operation(size, &[x], &[], Bytes::ZERO, WeightGradient::default())
    }

    /// An element-wise function that saves its input, with `scratch` more tensors of its size in the derivative.
    pub(super) fn map_saving_input(&mut self, x: Tensor, scratch: u64) -> Tensor {
        let size = (self.elements(x), self.width(x));
        let scratch = Self::bytes(size.0, size.1) * scratch;
        self.operation(size, &[x], &[x], scratch, WeightGradient::default())
    }

    /// An element-wise function that saves its output: `tanh`, `rsqrt`, softmax.
    pub(super) fn map_saving_output(&mut self, x: Tensor, width: u64) -> Tensor {
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

    /// A power: the derivative takes two more tensors.
    pub(super) fn power(&mut self, x: Tensor) -> Tensor {
        self.map_saving_input(x, 2)
    }

    /// A mean over features, one fp32 number a token.
    pub(super) fn mean(&mut self, x: Tensor) -> Tensor {
        self.operation((self.tokens, 4), &[x], &[], Bytes::ZERO, WeightGradient::default())
    }

    /// A product of two tensors, each saved for the other's derivative; where one is smaller, its gradient is computed
    /// in full and then summed.
    pub(super) fn multiply(&mut self, a: Tensor, b: Tensor) -> Tensor {
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
        let scratch = if broadcast && count > 1 { Self::bytes(size.0, size.1) } else { Bytes::ZERO };
        let saved = saved.get(..count).unwrap_or_default();
        self.operation(size, &[a, b], saved, scratch, WeightGradient::default())
    }

    /// A product with a weight of one number a feature.
    pub(super) fn multiply_weight(&mut self, x: Tensor, features: u64, trained: bool) -> Tensor {
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

    /// A sum; both inputs get the output's gradient itself.
    pub(super) fn add(&mut self, a: Tensor, b: Tensor) -> Tensor {
        let size = (self.elements(a).max(self.elements(b)), self.width(a).max(self.width(b)));
        let differentiable = self.differentiable(a) || self.differentiable(b);
        let storage = self.allocate(Self::bytes(size.0, size.1));
        let output = self.push(size.0, size.1, storage, differentiable);
        if differentiable {
            let nothing = WeightGradient::default();
            self.record(output, &[a, b], &[], Bytes::ZERO, nothing, Derivative::HandedOn);
        }
        output
    }

    /// A linear layer. A trained weight saves the input, a differentiable input the weight's cast; autocast casts the
    /// input each time and the weight once.
    pub(super) fn linear(&mut self, x: Tensor, weight: Weight) -> Tensor {
        let Formats { parameter, compute, .. } = self.formats;
        let width = if weight.width == compute || compute < parameter { compute } else { weight.width };
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

    /// A frozen linear layer whose matrix is unpacked for each product; it may keep its input, and longer than its
    /// backward pass.
    pub(super) fn unpacked_linear(
        &mut self,
        x: Tensor,
        outputs: u64,
        matrix: Bytes,
        keeps_input: bool,
    ) -> Tensor {
        let width = self.formats.compute;
        let input = self.cast(x, width);
        let storage = self.allocate(matrix);
        let size = (self.tokens.saturating_mul(outputs), width);
        let kept = [input];
        let saved: &[Tensor] = if keeps_input { &kept } else { &[] };
        let output = self.operation(size, &[input], saved, matrix, WeightGradient::default());
        let held = self.value(input).storage;
        if keeps_input && self.outliving.iter().all(|(storage, _)| *storage != held) {
            self.outliving.push((held, self.bytes_of(input)));
        }
        self.release(storage);
        self.free(input);
        output
    }

    /// A grouped matrix product over `rows` rows a token, outside autocast: in the weight's own format.
    pub(super) fn grouped(&mut self, x: Tensor, weight: Weight, rows: u64) -> Tensor {
        let input = self.cast(x, weight.width);
        let numbers = self.tokens.saturating_mul(rows).saturating_mul(weight.outputs);
        let saved: &[Tensor] = if weight.trained { &[input] } else { &[] };
        let bytes = if weight.trained { Self::bytes(weight.elements, weight.width) } else { Bytes::ZERO };
        let gradient = WeightGradient { computed: bytes, kept: bytes };
        let output = self.operation((numbers, weight.width), &[input], saved, Bytes::ZERO, gradient);
        self.free(input);
        output
    }

    /// An operation of several inputs that saves some tensors and `extra` bytes more.
    pub(super) fn fused(
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

    /// `derivative` more bytes of scratch in the derivative of the last operation, and of a weight's gradient.
    pub(super) fn with_scratch(&mut self, output: Tensor, scratch: Bytes) -> Tensor {
        if let Some(node) = self.nodes.last_mut().filter(|node| node.output == output.0) {
            node.scratch = scratch;
        }
        output
    }

    /// A weight's gradient in the derivative of the last operation.
    pub(super) fn with_weight(&mut self, output: Tensor, elements: u64, width: u64) -> Tensor {
        let bytes = Self::bytes(elements, width);
        if let Some(node) = self.nodes.last_mut().filter(|node| node.output == output.0) {
            node.weights = WeightGradient { computed: bytes, kept: bytes };
        }
        output
    }

    /// A view that shares the input's storage.
    pub(super) fn view(&mut self, x: Tensor, elements: u64) -> Tensor {
        let Value { width, storage, differentiable, .. } = self.value(x);
        self.hold(storage);
        let output = self.push(elements, width, storage, differentiable);
        if differentiable {
            let same = elements == self.elements(x);
            let derivative = if same { Derivative::HandedOn } else { Derivative::Joined };
            self.record(output, &[x], &[], Bytes::ZERO, WeightGradient::default(), derivative);
        }
        output
    }

    /// The gradient of `output` arrives from what follows.
    pub(super) fn seed(&mut self, output: Tensor) {
        let value = self.value(output);
        let storage = self.allocate(Self::bytes(value.elements, value.width));
        if let Some(value) = self.values.get_mut(output.0) {
            value.gradient = Some(storage);
        }
    }

    /// Runs the backward pass from the seeded outputs down to the program's inputs.
    pub(super) fn backward(&mut self) {
        while let Some(node) = self.nodes.pop() {
            let gradient = self.values.get_mut(node.output).and_then(|value| value.gradient.take());
            let mut found = [None; 3];
            if let Some(gradient) = gradient {
                for (slot, input) in found.iter_mut().zip(node.inputs) {
                    let Some(input) = input else { continue };
                    *slot = Some((input, self.gradient_of(input, node, gradient)));
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

    fn gradient_of(&mut self, input: usize, node: Node, gradient: usize) -> usize {
        let value = self.value(Tensor(input));
        let output = self.value(Tensor(node.output));
        let same = value.elements == output.elements && value.width == output.width;
        if node.derivative == Derivative::HandedOn && same {
            self.hold(gradient);
            return gradient;
        }
        if let (Derivative::Joined, Some(joined)) = (node.derivative, value.gradient) {
            self.hold(joined);
            return joined;
        }
        self.allocate(Self::bytes(value.elements, value.width))
    }

    fn weight_gradient(&mut self, weights: WeightGradient) {
        self.live += weights.computed;
        self.note();
    }

    /// The computed gradient of a weight becomes the kept one: cast, or added to what earlier microbatches left.
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
