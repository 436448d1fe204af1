//! The figures of a judgement, out of an estimate.

use crate::estimate::calibration::Calibration;
use crate::estimate::{Estimate, time};
use crate::judgement::{Input, Memory, Time};
use crate::units::{Bytes, Decimal};
use crate::verdict::Distribution;
use crate::workload::{Precision, TrainingJob};

use super::capacity::Capacity;

/// Peak memory with its interval of 90 %.
pub(super) fn memory(estimate: &Estimate, need: &Distribution, capacity: Option<Bytes>) -> Memory {
    let (peak, pipeline) = (&estimate.peak, estimate.assumed.likely.pipeline);
    let (lower, upper) = need.bounds();
    Memory {
        peak_bytes: peak.needed,
        lower_bytes: lower.min(peak.needed),
        upper_bytes: upper.max(peak.needed),
        allocated_bytes: peak.allocated,
        reserved_bytes: peak.reserved,
        process_bytes: peak.process,
        capacity_bytes: capacity,
        worst_rank: if pipeline > 1 {
            format!("pipeline stage {} of {pipeline}", peak.stage)
        } else {
            "every rank".into()
        },
        instant: peak.instant.to_owned(),
        components: peak.components.clone(),
    }
}

/// How long it takes; nothing where the accelerator's speed is not known.
///
/// A format that the accelerator does not multiply is computed in one that it does: fp8 and fp4 in bf16, bf16 in fp16,
/// and all of them in fp32 at last. A part of an accelerator has its share of the speed.
pub(super) fn time(job: &TrainingJob, estimate: &Estimate, capacity: &Capacity<'_>) -> Option<Time> {
    let plan = &estimate.assumed.likely;
    let instead: &[Precision] = match plan.precision {
        Precision::FP32 | Precision::TF32 => &[Precision::FP32],
        _ => &[Precision::BF16, Precision::FP16, Precision::FP32],
    };
    let rate = |precision: &Precision| capacity.accelerator?.peak(*precision);
    let peak = rate(&plan.precision).or_else(|| instead.iter().find_map(rate))?;
    let peak = capacity.compute_milli.map_or(peak, |share| peak.at_utilization(share as f64 / 1000.0));
    let time = time::time(job, plan, peak, Calibration::builtin());
    (time.tokens_per_second_per_gpu > 0.0).then_some(time)
}

/// The utilization, as an input, where nobody gave it.
pub(super) fn assumed_utilization(job: &TrainingJob, estimate: &Estimate) -> Option<Input> {
    let utilization = time::utilization(job, &estimate.assumed.likely, Calibration::builtin());
    let percent = Decimal::from_f64(utilization.middle * 100.0).to_string();
    let source = "assumed".to_owned();
    utilization.assumed.then(|| Input { field: "efficiency.mfuPercent".into(), value: percent, source })
}
