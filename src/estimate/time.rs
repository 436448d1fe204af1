//! How long training takes.
//!
//! ```text
//! FLOPs a token = 6·(matrix parameters that a token passes) + 6·L·s·q        (every weight trained)
//!               = 4·(frozen matrices) + 6·(adapters) + 6·L·s·q               (adapters)
//! seconds       = FLOPs a token · tokens / (peak · N · MFU) / goodput
//! ```
//!
//! `L` layers, `s` sequence, `q` width of all queries, `N` accelerators. Matrix parameters are the linear layers and
//! the output layer, tied or not; the embedding is a look-up and norms are no products. A product and a sum count two;
//! the backward pass twice the forward one. **Attention is causal and counted once**: half of the full square, which
//! others count whole. Recomputation is work of the hardware, not of the model, and so is in the MFU. Source:
//! Megatron-LM's `num_floating_point_operations`.
//!
//! MFU, the share of the peak that model FLOPs reach, is the user's where given; else the middle of what published runs
//! reach ([`super::calibration`]), with their interval.

use super::calibration::Calibration;
use super::plan::{Plan, Targets};
use crate::judgement::Time;
use crate::model::{Parameters, Shape};
use crate::units::{FlopRate, Flops};
use crate::workload::TrainingJob;

/// Model FLOPs of one token, forward and backward, causal attention counted once.
pub fn flops_per_token(plan: &Plan) -> u64 {
    let shape = &plan.shape;
    let counted = Parameters::of(shape);
    let matrices = matrix_parameters(shape, &counted);
    let attention =
        6u64.saturating_mul(shape.layers).saturating_mul(plan.sequence).saturating_mul(shape.query_width());
    let products = match &plan.adapters {
        None => matrices.saturating_mul(6),
        Some(adapters) => {
            let share = adapted_share(adapters.targets);
            let trained = adapters.rank.saturating_mul(shape.hidden).saturating_mul(2 * 7 * shape.layers);
            matrices.saturating_mul(4).saturating_add((6.0 * share * trained as f64) as u64)
        }
    };
    products.saturating_add(attention)
}

/// Parameters of the matrices that one token passes: of experts, those it is sent to.
fn matrix_parameters(shape: &Shape, counted: &Parameters) -> u64 {
    let norms_of_a_layer = if shape.layer_norm { 4 } else { 2 } * shape.hidden;
    let output = shape.vocab.saturating_mul(shape.hidden);
    counted
        .active
        .saturating_sub(counted.embedding)
        .saturating_sub(counted.output)
        .saturating_sub(norms_of_a_layer.saturating_mul(shape.layers))
        .saturating_add(output)
}

fn adapted_share(targets: Targets) -> f64 {
    let on =
        [targets.query, targets.key, targets.value, targets.output, targets.gate, targets.up, targets.down];
    on.iter().filter(|on| **on).count() as f64 / on.len() as f64
}

/// Model FLOPs utilization with a 90 % interval, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// The middle.
    pub middle: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// Whether nobody gave it.
    pub assumed: bool,
}

/// The user's utilization, or the usual one.
pub fn utilization(job: &TrainingJob, plan: &Plan, calibration: &Calibration) -> Utilization {
    let usual = &calibration.utilization;
    let given = job.efficiency.as_ref().and_then(|e| e.mfu_percent).map(|percent| percent.as_f64() / 100.0);
    match given.filter(|mfu| *mfu > 0.0) {
        Some(mfu) => Utilization {
            middle: mfu,
            low: mfu * (1.0 - usual.given_spread),
            high: mfu * (1.0 + usual.given_spread),
            assumed: false,
        },
        None if plan.shape.experts.is_some() => Utilization {
            middle: usual.experts,
            low: usual.experts_low,
            high: usual.experts_high,
            assumed: true,
        },
        None => {
            Utilization { middle: usual.dense, low: usual.dense_low, high: usual.dense_high, assumed: true }
        }
    }
}

/// Tokens of the whole training: given, or steps × global batch × sequence.
pub fn tokens(job: &TrainingJob) -> Option<u64> {
    let dataset = job.dataset.as_ref()?;
    let epochs = dataset.epochs.map_or(1, |e| u64::from(e).max(1));
    if let Some(tokens) = dataset.tokens {
        return Some(tokens.0.saturating_mul(epochs));
    }
    let batch = job.batch.as_ref()?;
    let step = u64::from(batch.global_batch_size?).saturating_mul(u64::from(batch.sequence_length?));
    Some(dataset.steps?.saturating_mul(step))
}

/// How long a plan takes at a peak rate.
pub fn time(job: &TrainingJob, plan: &Plan, peak: FlopRate, calibration: &Calibration) -> Time {
    let per_token = flops_per_token(plan);
    let mfu = utilization(job, plan, calibration);
    let goodput = job
        .efficiency
        .as_ref()
        .and_then(|e| e.goodput_percent)
        .map_or(1.0, |percent| (percent.as_f64() / 100.0).clamp(0.01, 1.0));
    let accelerators = job.accelerator.as_ref().and_then(|a| a.count).map(|count| f64::from(count.max(1)));
    let flops = tokens(job).map(|tokens| Flops(u128::from(per_token)) * tokens);
    let hours = |mfu: f64| flops.map(|flops| flops.seconds_at(peak.at_utilization(mfu)) / 3600.0 / goodput);
    let (gpu_hours, gpu_hours_low, gpu_hours_high) = (hours(mfu.middle), hours(mfu.high), hours(mfu.low));
    let days = |hours: Option<f64>| Some(hours? / accelerators? / 24.0);
    let step_tokens = job
        .batch
        .as_ref()
        .and_then(|batch| Some(f64::from(batch.global_batch_size?) * f64::from(batch.sequence_length?)));
    let rate = peak.0 as f64 * mfu.middle;
    Time {
        days: days(gpu_hours),
        days_low: days(gpu_hours_low),
        days_high: days(gpu_hours_high),
        gpu_hours,
        gpu_hours_low,
        gpu_hours_high,
        step_seconds: step_tokens
            .zip(accelerators)
            .map(|(tokens, count)| tokens * per_token as f64 / (rate * count)),
        tokens_per_second_per_gpu: rate / per_token.max(1) as f64,
        mfu: mfu.middle,
        flops_per_token: per_token as f64,
        flops,
    }
}

/// How many accelerators finish `flops` within `days`, rounded up.
pub fn accelerators_for(flops: Flops, days: f64, peak: FlopRate, mfu: f64) -> u64 {
    let seconds = flops.seconds_at(peak.at_utilization(mfu));
    (seconds / (days * 86_400.0)).ceil() as u64
}
