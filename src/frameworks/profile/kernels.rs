//! The kernels that a framework runs, as far as they decide how long a step takes.
//!
//! | framework                     | attention                 | between the products | launches         |
//! | ----------------------------- | ------------------------- | -------------------- | ---------------- |
//! | Megatron                      | the vendor's              | fused                | of few, large    |
//! | Megatron-DeepSpeed            | unfused                   | fused                | of an early time |
//! | torchtitan                    | `FlashAttention`-2        | compiled             | of few, large    |
//! | LLM Foundry                   | the first fused ones      | fused                | of few, large    |
//! | Hugging Face                  | the vendor's              | one by one           | one by one       |
//! | DeepSpeed                     | `FlashAttention`-2        | one by one           | of an early time |
//! | every other                   | `FlashAttention`-2        | one by one           | of few, large    |
//!
//! The vendor's attention is cuDNN's and `FlashAttention`-3, by Transformer Engine or by a `PyTorch` of today;
//! `FlashAttention`-2 is what `PyTorch` ran when most was published; and LLM Foundry's tables were measured with
//! `FlashAttention`'s and Triton's first versions, of which head sizes mattered less.

/// The kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// The attention's, unless a job says otherwise.
    pub attention: AttentionKernel,
    /// Whether a job that does not say may run its attention unfused.
    pub may_run_unfused: bool,
    /// What runs between the products.
    pub between: Between,
    /// How kernels are launched.
    pub launches: Launches,
    /// Whether experts and sharded optimizer steps are PyTorch's own, which take longer.
    pub native: bool,
    /// What selective recomputation computes again.
    pub selective: Selective,
}

/// The attention kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionKernel {
    /// The accelerator's vendor's.
    Vendors,
    /// `FlashAttention`-2.
    FlashAttention2,
    /// The first fused ones.
    FirstFused,
    /// Several kernels; a job that asks for a fused one gets `FlashAttention`-2.
    Unfused,
}

/// What runs between the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Fused kernels.
    Fused,
    /// Compiled kernels, unless the job denies it.
    Compiled,
    /// One operation after the other, unless the job compiles.
    OneByOne,
}

/// How kernels are launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launches {
    /// Few, of large kernels.
    Few,
    /// Few, on accelerators that have fused attention; on earlier ones as in an early time.
    FewWithFusedAttention,
    /// As in an early time.
    Early,
    /// One operation after the other.
    OneByOne,
}

/// What selective recomputation computes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selective {
    /// The attention's core.
    Attention,
    /// Every second product, not the attention's core.
    Products,
}
