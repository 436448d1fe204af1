//! The terms of a step's time, and the fitted coefficient of each.
//!
//! A term is a number of seconds from the data sheets: operations over the peak rate, or bytes over a memory's or a
//! link's rate. Its coefficient is the ratio of a real step's seconds to these. The coefficients and their origin are
//! in `data/time.toml`.

/// Declares the terms with their names in the file and the prior of each coefficient: its middle, and its standard
/// deviation in logarithms.
macro_rules! terms {
    ($($(#[$doc:meta])* $term:ident = $name:literal, $middle:literal, $spread:literal;)+) => {
        /// A coefficient of the step's time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
        pub enum Term { $($(#[$doc])* #[serde(rename = $name)] $term),+ }

        impl Term {
            /// Every term, in the file's order.
            pub const ALL: &'static [Self] = &[$(Self::$term),+];

            /// The name in the file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$term => $name),+ }
            }

            /// The expectation before any measurement: middle, and standard deviation of the logarithm.
            pub const fn prior(self) -> (f64, f64) {
                match self { $(Self::$term => ($middle, $spread)),+ }
            }
        }
    };
}

terms! {
    /// Attention in one fused kernel, relative to the reach of its generation.
    Attention = "attention", 1.2, 0.15;
    /// The same in the first fused kernels.
    AttentionEarly = "attention-early", 1.5, 0.3;
    /// The two products of unfused attention.
    AttentionUnfused = "attention-unfused", 2.0, 0.3;
    /// Operands of matrix products, read and written.
    Traffic = "traffic", 1.0, 0.4;
    /// Norms, activations, residuals: fused operations that the memory bounds.
    Elementwise = "elementwise", 1.3, 0.4;
    /// The same, without fusion.
    ElementwiseEager = "elementwise-eager", 1.0, 0.3;
    /// The same, for adapters.
    Adapters = "adapters", 1.0, 0.4;
    /// Casts of parameters and gradients between the stored format and that of the computation.
    Cast = "cast", 1.0, 0.3;
    /// The sequence × sequence matrix of unfused attention.
    Softmax = "softmax", 1.2, 0.4;
    /// Gradients added to those of earlier microbatches.
    Accumulation = "accumulation", 1.5, 0.4;
    /// Logits and loss.
    Logits = "logits", 1.1, 0.4;
    /// Tokens sorted by expert and back.
    Permutation = "permutation", 1.5, 0.5;
    /// Casts to narrow formats.
    Quantization = "quantization", 1.0, 0.5;
    /// Four-bit weights unpacked.
    Dequantization = "dequantization", 2.0, 0.6;
    /// The ends of matrix products, when some of the accelerator's units have no more work.
    Start = "start", 1.0, 0.4;
    /// The kernel launches of a layer.
    Launch = "launch", 2.0, 0.4;
    /// The same in the layers of Megatron-DeepSpeed's time.
    LaunchEarly = "launch-early", 5.0, 0.4;
    /// The same in Hugging Face's modules.
    LaunchEager = "launch-eager", 12.0, 0.4;
    /// The same in layers with experts, beyond those of a dense layer.
    LaunchExperts = "launch-experts", 6.0, 0.5;
    /// The launches for each expert of a rank, whose products are kernels of their own.
    LaunchOwn = "launch-own", 0.3, 0.5;
    /// The kernel launches of a layer where the host is slow.
    LaunchSlow = "launch-slow", 15.0, 0.7;
    /// The host's own work for a microbatch.
    Microbatch = "microbatch", 1.0, 0.7;
    /// Matrix products of experts, relative to dense ones.
    Experts = "experts", 1.2, 0.3;
    /// The exponent of the ranks by which the busiest rank of an unbalanced router has more tokens than the mean.
    Imbalance = "imbalance", 0.5, 0.4;
    /// Tensor parallelism's exchange.
    Tensor = "tensor", 1.2, 0.4;
    /// Context parallelism's exchange.
    Context = "context", 0.5, 0.5;
    /// Tokens sent to experts and back, inside a node or by a library that knows nodes, or gathered.
    Exchange = "exchange", 1.2, 0.5;
    /// Tokens sent to experts on other nodes by a plain all-to-all.
    ExchangePlain = "exchange-plain", 1.5, 0.5;
    /// Activations between pipeline stages.
    Pipeline = "pipeline", 1.0, 0.5;
    /// Parameters gathered and gradients scattered, inside a node.
    ShardsNear = "shards-near", 1.4, 0.3;
    /// The same between nodes.
    ShardsFar = "shards-far", 1.2, 0.3;
    /// The same between nodes by ZeRO's third stage, relative to FSDP.
    ZeroThree = "zero-three", 2.0, 0.3;
    /// The share of that exchange that no computation hides.
    ShardsExposed = "shards-exposed", 0.15, 0.4;
    /// The same, if the exchange passes through the host.
    ShardsExposedHost = "shards-exposed-host", 0.5, 0.4;
    /// Gradients summed once a step, inside a node.
    GradientsNear = "gradients-near", 1.4, 0.3;
    /// The same between nodes.
    GradientsFar = "gradients-far", 1.2, 0.3;
    /// The share of that exchange that no computation hides.
    GradientsExposed = "gradients-exposed", 0.3, 0.4;
    /// The optimizer's states, read and written.
    Optimizer = "optimizer", 1.3, 0.4;
    /// Transfers to the host and back.
    Offload = "offload", 1.0, 0.5;
    /// The constant time of every step, in hundredths of a second.
    Step = "step", 1.0, 0.7;
    /// More of it, with torchtitan's sharded tensors.
    StepSharded = "step-sharded", 8.0, 0.7;
    /// The pipeline's bubble.
    Bubble = "bubble", 1.0, 0.06;
    /// More time, for each doubling of accelerators above eight.
    Scale = "scale", 0.01, 0.7;
    /// The rate of fp8's products in training, relative to that of measured kernels.
    Fp8 = "fp8", 1.0, 0.2;
    /// The same on Hopper.
    Fp8Hopper = "fp8-hopper", 1.0, 0.12;
    /// The same on Blackwell.
    Fp8Blackwell = "fp8-blackwell", 1.0, 0.12;
    /// The same of fp4's products.
    Fp4 = "fp4", 1.0, 0.2;
}

/// The number of terms.
pub const COUNT: usize = Term::ALL.len();

/// A coefficient for each term.
pub type Terms = [f64; COUNT];

/// A term's coefficient.
pub(super) fn of(terms: &Terms, term: Term) -> f64 {
    terms.get(term as usize).copied().unwrap_or(1.0)
}
