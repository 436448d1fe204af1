//! States that are offloaded to host memory, for the whole training.
//!
//! ```text
//! ZeRO 1 and 2, optimizer    main 4 + gradients 4 + moments 8 + copy in the parameters' format
//!                            (+ gradients in the parameters' format, with several microbatches a step)
//! ZeRO 3, optimizer          main 4 + gradients 4 + moments 8 + gradients in the parameters' format
//! ZeRO 3, parameters         parameters in their format
//! FSDP, parameters           parameters + gradients + moments, each in its format
//! others, optimizer          main 4 + gradients 4 + moments 8
//! adapters, optimizer        weights and gradients, 4 numbers in the computation's format, + moments 8
//! activations                inputs of all layers, in the computation's format
//! ```
//!
//! Bytes for each trained parameter of a rank's share, times the ranks of the pod. Frozen parameters have their own
//! format and nothing else: quantized ones take their bits, and their scales stay on the accelerator.
//!
//! PyTorch rounds every page-locked buffer up to a power of two (`CachingHostAllocator.h`), so a buffer of 65 GB takes
//! 128 GiB. ZeRO 1 and 2 lock main parameters, copies and gradients, one buffer each. ZeRO 3 locks both kinds of gradients
//! (those of fp32 in pieces of 10⁹ numbers), and the flat buffer of parameters even if page-locking is off. FSDP locks
//! parameters and gradients. Moments are never locked.
//!
//! On a disk only buffers stay in memory: four pieces of up to 10⁹ numbers for optimizer states, five of 10⁸ for
//! parameters, and the gradients of ZeRO 3 (`offload_config.py`, `partitioned_optimizer_swapper.py`).
//!
//! Source: DeepSpeed 0.19.6 `runtime/zero/stage_1_and_2.py`, `stage3.py`; PyTorch's `_flat_param.py`. DeepSpeed's own
//! estimators count 16 bytes for an optimizer and 18 with parameters, without rounding. They are the least here.

use super::{End, HostPlan, Part};
use crate::estimate::states;
use crate::job::Sharding;
use crate::units::Bytes;

/// The numbers of one piece of ZeRO 3's states: the default of `sub_group_size`.
const SUBGROUP: u64 = 1_000_000_000;
/// The buffers of swapped optimizer states, and of swapped parameters: the defaults of `buffer_count`.
const SWAPPED_STATES: u64 = 4;
const SWAPPED_PARAMETERS: u64 = 5;
/// The numbers of one buffer of swapped parameters: the default of `buffer_size`.
const SWAPPED_NUMBERS: u64 = 100_000_000;

/// The offloaded states of a pod.
pub(super) fn offloaded(host: &HostPlan<'_>) -> Vec<Part> {
    let plan = host.plan;
    let shards_both = matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP);
    let mut parts = Vec::new();
    if plan.offload_optimizer || (shards_both && plan.offload_parameters) {
        parts.push(Part::computed("offloaded optimizer states", optimizer(host) * host.ranks));
    }
    if plan.offload_parameters {
        parts.push(Part::computed("offloaded parameters", parameters(host) * host.ranks));
    }
    if plan.offload_activations {
        parts.push(Part::measured("offloaded activations", activations(host) * host.ranks));
    }
    parts
}

/// The optimizer's states of one rank, with the gradients that its step reads.
fn optimizer(host: &HostPlan<'_>) -> Bytes {
    let plan = host.plan;
    let number = host.trained_share;
    let of = |width: f64| Bytes::of(number, width);
    if plan.adapters.is_some() {
        return of(plan.widths.compute * 4.0 + states::moments(plan.optimizer, 4.0));
    }
    let moments = of(states::moments(plan.optimizer, 4.0));
    let narrow = plan.widths.parameter.min(plan.widths.compute);
    let lean = host.end == End::Lean;
    match plan.sharding {
        Sharding::ZeRO1 | Sharding::ZeRO2 => {
            let copies = if lean { Bytes::ZERO } else { locked(host, of(narrow)) };
            let accumulated =
                if plan.micro_batches > 1 && !lean { of(plan.widths.gradient) } else { Bytes::ZERO };
            locked(host, of(4.0)) * 2 + moments + copies + accumulated
        }
        Sharding::ZeRO3 if host.on_disk => {
            let piece = Bytes::of(number.min(SUBGROUP), 4.0);
            let gradients = if lean { Bytes::ZERO } else { locked(host, of(narrow)) };
            if lean { Bytes::ZERO } else { locked(host, piece) * SWAPPED_STATES + gradients }
        }
        Sharding::ZeRO3 => {
            let gradients = if lean { Bytes::ZERO } else { locked(host, of(narrow)) };
            of(4.0) + moments + pieces(host, number) + gradients
        }
        Sharding::FSDP | Sharding::HSDP => {
            locked(host, of(plan.widths.gradient)) + of(states::moments(plan.optimizer, plan.widths.moment))
        }
        Sharding::None | Sharding::DistributedOptimizer => of(8.0) + moments,
    }
}

/// The gradients of ZeRO 3 in fp32, one buffer for each piece of the states.
fn pieces(host: &HostPlan<'_>, number: u64) -> Bytes {
    let (whole, rest) = (number / SUBGROUP, number % SUBGROUP);
    locked(host, Bytes::of(SUBGROUP, 4.0)) * whole + locked(host, Bytes::of(rest, 4.0))
}

/// The parameters of one rank.
fn parameters(host: &HostPlan<'_>) -> Bytes {
    let plan = host.plan;
    if plan.sharding == Sharding::ZeRO3 && host.on_disk {
        return Bytes::of(SWAPPED_NUMBERS, 2.0) * SWAPPED_PARAMETERS;
    }
    let quantized = plan.adapters.as_ref().and_then(|adapters| adapters.quantized);
    let width = quantized.map_or(plan.widths.parameter, |quantized| quantized.bits as f64 / 8.0);
    let bytes = Bytes::of(host.rank_share, width);
    match plan.sharding {
        // The flat buffer is locked in any case.
        Sharding::ZeRO3 if host.end != End::Lean => power_of_two(bytes),
        _ => locked(host, bytes),
    }
}

/// The saved inputs of all layers of one rank.
fn activations(host: &HostPlan<'_>) -> Bytes {
    let plan = host.plan;
    let layers = plan.shape.layers.div_ceil(plan.pipeline.max(1));
    let input = Bytes::of(plan.tokens().saturating_mul(plan.shape.hidden), plan.widths.compute);
    locked(host, input) * layers
}

/// A buffer as PyTorch allocates it: page-locked, it is a power of two.
fn locked(host: &HostPlan<'_>, bytes: Bytes) -> Bytes {
    if host.pinned { power_of_two(bytes) } else { bytes }
}

fn power_of_two(bytes: Bytes) -> Bytes {
    if bytes == Bytes::ZERO { bytes } else { Bytes(bytes.0.checked_next_power_of_two().unwrap_or(bytes.0)) }
}
