//! What a framework holds in memory.

use super::versions::Versions;

/// Which way activations are counted: whose layers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// Kernels that fuse norms and activations: closed formulas.
    Fused,
    /// torchtitan's own: closed formulas.
    Torchtitan,
    /// Transformers' modules, written out operation by operation.
    Transformers {
        /// The training loop around them.
        run_by: Loop,
        /// The versions that copy the logits in fp32 once more.
        copies_logits: Versions,
    },
    /// LitGPT's own modules, with a loss in chunks of the output layer.
    LitGPT,
    /// torchtune's own modules, with a loss in the recipe.
    Torchtune,
}

/// The training loop around Transformers' modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// Transformers' Trainer. The allocator's holes and compiled layers are known of it by measurements.
    Trainer,
    /// A loop of the user's own, which holds what the model returned until the backward pass is over.
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
    /// Whether ZeRO 1 without a pipeline flattens all gradients to reduce them, and gathers into a second copy.
    pub flattened_by_zero_1: bool,
}

/// Where gradients are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientBuffer {
    /// In tensors that the first backward pass makes.
    Lazy,
    /// In buffers that are allocated once.
    Once,
    /// In Megatron's buffers, allocated once: products add to them themselves, and ranks reduce them in place.
    Megatrons,
}

/// The optimizer's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptimizerStep {
    /// Whose it is.
    pub by: Stepper,
    /// Whether it makes the fp32 copy of the gradients and frees it after.
    pub copies_gradients: bool,
    /// Whether each tensor's step runs inside the backward pass, where all weights are trained on one device.
    pub in_backward: bool,
    /// The versions whose default is PyTorch's fused step where PyTorch has it, which leaves open which one runs.
    pub fused: Versions,
}

/// Whose step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepper {
    /// PyTorch's, over lists of tensors unless told otherwise.
    PyTorch,
    /// The framework's own, fused.
    Own,
    /// Not known: taken for PyTorch's in memory, for a fused one in time.
    Unpublished,
}

/// How the framework uses FSDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fsdp {
    /// Whether gradients are reduced at the last microbatch only (`no_sync`), and whole until then.
    pub delays_reduction: bool,
    /// Whether a layer's frozen and trained parameters are flattened together, and so their gradients.
    pub flattens_frozen: bool,
    /// Whether embedding and output layer are groups of their own.
    pub wraps_output: bool,
    /// The versions that come with FSDP's first version, which makes flat parameters of whole modules.
    pub first: Versions,
}

/// What pipeline stages send and keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// A few messages at once.
    Messages,
    /// `torch.distributed.pipelining` over FSDP2: buffers for every microbatch; parameters stay gathered, and whole
    /// gradients are summed, until the last.
    PyTorch {
        /// The versions whose stages keep every microbatch's output until the next step.
        keeps_outputs: Versions,
        /// The versions whose last stage keeps every microbatch's logits.
        keeps_logits: Versions,
    },
}
