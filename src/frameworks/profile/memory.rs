//! The memory behaviour of a framework.

use super::versions::Versions;

/// The layers that run, which decide how activations are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// Kernels that fuse norms and activations: closed formulas.
    Fused,
    /// Modules whose norms and activations are separate operations, eager or compiled: closed formulas.
    Unfused,
    /// Transformers' modules, counted operation by operation.
    Transformers {
        /// The training loop around them.
        run_by: Loop,
        /// The copies of the logits before the loss.
        logits: Logits,
    },
    /// Modules with one product for queries, keys and values, and a loss in chunks of the output layer.
    JointProjection,
    /// Modules that return logits, with a loss in the training recipe.
    LossInRecipe,
}

impl Layers {
    /// Whether the modules are the framework's own, with every operation counted. Closed formulas sum up published
    /// figures too. Transformers' modules are run by other programs, which replace parts of them.
    pub fn are_its_own(self) -> bool {
        match self {
            Self::JointProjection | Self::LossInRecipe => true,
            Self::Transformers { .. } | Self::Fused | Self::Unfused => false,
        }
    }
}

/// The copies of the logits before the loss, by the versions that make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logits {
    /// The model returns them in fp32.
    pub returned_in_fp32: Versions,
    /// The loss copies all but the last token's.
    pub shifted: Versions,
}

impl Logits {
    /// Transformers' models returned fp32 logits until 4.45. Since 4.46 the loss casts them. It shifts the labels instead
    /// of the logits since 4.49. Source: `modeling_llama.py` of 4.44 to 4.46, `loss/loss_utils.py` of 4.46 to 4.49.
    pub const TRANSFORMERS: Self =
        Self { returned_in_fp32: Versions::Within((4, 46)), shifted: Versions::Within((4, 49)) };
}

/// The training loop around Transformers' modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// Transformers' Trainer. The allocator's holes and compiled layers were measured with it.
    Trainer,
    /// The user's own loop, which holds the model's output until the end of the backward pass.
    Own,
    /// DeepSpeed's engine, whose instants are not known.
    Engine,
}

/// Gradients between the backward pass and the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gradients {
    /// When they are allocated.
    pub buffer: GradientBuffer,
    /// Whether ZeRO casts a microbatch's gradient, adds it and clears it.
    pub cast_by_zero: bool,
    /// Whether ZeRO 1 without a pipeline flattens all gradients before it reduces them, and gathers into a second copy.
    pub flattened_by_zero_1: bool,
    /// The versions whose fused products return an empty gradient, one for each shape of weights, which stays.
    pub placeholders: Versions,
}

impl Gradients {
    /// The first backward pass allocates them, and nothing copies them: PyTorch's own (`torch/csrc/autograd`, `AccumulateGrad`).
    pub const LAZY: Self = Self::kept(GradientBuffer::Lazy);
    /// Buffers that are allocated once (DeepSpeed's and nanotron's flat buffers).
    pub const ONCE: Self = Self::kept(GradientBuffer::Once);
    /// Megatron's buffers (`gradient_accumulation_fusion`, `param_and_grad_buffer.py`).
    pub const FUSED_ACCUMULATION: Self = Self::kept(GradientBuffer::FusedAccumulation);

    const fn kept(buffer: GradientBuffer) -> Self {
        Self { buffer, cast_by_zero: false, flattened_by_zero_1: false, placeholders: Versions::Never }
    }
}

/// The place of gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientBuffer {
    /// Tensors that the first backward pass allocates.
    Lazy,
    /// Buffers that are allocated once.
    Once,
    /// Buffers that are allocated once. Products add to them directly, and ranks reduce them in place.
    FusedAccumulation,
}

/// The optimizer's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptimizerStep {
    /// The implementation.
    pub by: Stepper,
    /// Whether the step copies the gradients to fp32 and frees the copy after it.
    pub copies_gradients: bool,
    /// Whether each tensor's step runs inside the backward pass if one device trains all weights.
    pub in_backward: bool,
    /// The versions whose default is PyTorch's fused step, if PyTorch has it. In them the implementation is open.
    pub fused: Versions,
}

impl OptimizerStep {
    /// PyTorch's step after the backward pass (`torch.optim`).
    pub const PYTORCH: Self = Self::after_the_backward_pass(Stepper::PyTorch);
    /// A fused step of the framework's own, such as Apex's and DeepSpeed's `FusedAdam`.
    pub const OWN: Self = Self::after_the_backward_pass(Stepper::Own);
    /// A step whose implementation is not published.
    pub const UNPUBLISHED: Self = Self::after_the_backward_pass(Stepper::Unpublished);

    const fn after_the_backward_pass(by: Stepper) -> Self {
        Self { by, copies_gradients: false, in_backward: false, fused: Versions::Never }
    }
}

/// The implementation of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepper {
    /// PyTorch's, over lists of tensors by default.
    PyTorch,
    /// The framework's own, fused.
    Own,
    /// Not published. It counts as PyTorch's in memory and as fused in time.
    Unpublished,
}

/// The use of FSDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fsdp {
    /// Whether gradients are reduced only at the last microbatch (`no_sync`), and stay whole until then.
    pub delays_reduction: bool,
    /// Whether a layer's frozen and trained parameters are flattened together, and so their gradients too.
    pub flattens_frozen: bool,
    /// Whether embedding and output layer are separate groups.
    pub wraps_output: bool,
    /// The versions that use FSDP's first version, which makes flat parameters of whole modules.
    pub first: Versions,
    /// The versions that recompute layers by a reentrant checkpoint around FSDP's modules.
    pub reentrant: Versions,
}

impl Fsdp {
    /// FSDP without features of its own, or none at all.
    pub const PLAIN: Self = Self {
        delays_reduction: false,
        flattens_frozen: false,
        wraps_output: false,
        first: Versions::Never,
        reentrant: Versions::Never,
    };
}

/// The tensors that pipeline stages send and keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// A few messages at once, between stages of as many layers each.
    Messages,
    /// The same, and the stages may differ by a layer: DeepSpeed's `partition_balanced` of `runtime/pipe/module.py`
    /// (0.17), for which GPT-NeoX and Megatron-DeepSpeed give `type:transformer`, and nanotron's blocks by their cost
    /// (`models/base.py`).
    Balanced,
    /// `torch.distributed.pipelining` over FSDP2: buffers for every microbatch. Until the last one, parameters stay
    /// gathered and whole gradients are summed.
    PyTorch {
        /// The versions whose stages keep every microbatch's output until the next step.
        keeps_outputs: Versions,
        /// The versions whose last stage keeps every microbatch's logits.
        keeps_logits: Versions,
    },
}
