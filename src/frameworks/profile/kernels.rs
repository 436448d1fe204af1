//! The kernels of a framework, as far as they decide the time of a step.
//!
//! | framework                     | attention                 | between the products | launches         |
//! | ----------------------------- | ------------------------- | -------------------- | ---------------- |
//! | Megatron                      | the vendor's              | fused                | few, large       |
//! | Megatron-DeepSpeed            | unfused                   | fused                | as in early ones |
//! | torchtitan                    | `FlashAttention`-2        | compiled             | few, large       |
//! | LLM Foundry                   | first fused kernels       | fused                | few, large       |
//! | Hugging Face                  | the vendor's              | one by one           | one by one       |
//! | DeepSpeed                     | `FlashAttention`-2        | one by one           | as in early ones |
//! | all others                    | `FlashAttention`-2        | one by one           | few, large       |
//!
//! The vendor's attention is cuDNN's or `FlashAttention`-3, from Transformer Engine or a recent `PyTorch`.
//! `FlashAttention`-2 is the kernel of `PyTorch` in most published runs. LLM Foundry's tables were measured with the
//! first versions of `FlashAttention` and of Triton's kernel, which depend less on the head size.

/// The kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// The attention kernel, unless a job states one.
    pub attention: AttentionKernel,
    /// Whether attention may be unfused if the job states no kernel.
    pub may_run_unfused: bool,
    /// The operations between the products.
    pub between: Between,
    /// The kernel launches.
    pub launches: Launches,
    /// Whether experts' products are one kernel, and sharded optimizer steps are PyTorch's own, which take longer.
    pub native: bool,
    /// The operations that selective recomputation repeats.
    pub selective: Selective,
    /// Whether Transformer Engine runs the matrix products.
    pub transformer_engine: bool,
}

impl Kernels {
    /// FlashAttention-2, and all other operations one by one.
    pub const FLASH_ATTENTION_2: Self = Self {
        attention: AttentionKernel::FlashAttention2,
        may_run_unfused: false,
        between: Between::OneByOne,
        launches: Launches::Few,
        native: false,
        selective: Selective::Attention,
        transformer_engine: false,
    };
}

/// The attention kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionKernel {
    /// The kernel of the accelerator's vendor.
    Vendors,
    /// `FlashAttention`-2.
    FlashAttention2,
    /// The first fused kernels.
    FirstFused,
    /// Several kernels. A job that asks for a fused one gets `FlashAttention`-2.
    Unfused,
}

/// The operations between the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Fused kernels.
    Fused,
    /// Compiled kernels, unless the job turns compilation off.
    Compiled,
    /// One by one, unless the job compiles.
    OneByOne,
}

/// The kernel launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launches {
    /// Few launches of large kernels.
    Few,
    /// Few launches on accelerators with fused attention, otherwise as in early frameworks.
    FewWithFusedAttention,
    /// As in early frameworks.
    Early,
    /// One launch per operation.
    OneByOne,
}

/// The operations that selective recomputation repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selective {
    /// The attention's core.
    Attention,
    /// Every second product, not the attention's core.
    Products,
}
