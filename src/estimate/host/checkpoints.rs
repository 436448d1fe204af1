//! The disk that a job's saves take, and the weights that it downloads.
//!
//! ```text
//! save        = weights + optimizer
//! weights     = P × parameter width                              adapters alone, if only they are trained
//! optimizer   = P_trained × (main + moments)                     none, if only weights are saved
//! need        = save × number of saves on the disk
//! downloads   = P × 2                                            the files of the model, in 16 bits
//! ```
//!
//! Weights may be in the cache already, so at least nothing is downloaded. A file of 4 bytes a parameter is usual for models
//! below 2 B parameters, and possible for these alone. A dataset's cache does not count: its size is not known.
//!
//! | sharding | weights | optimizer |
//! | --- | --- | --- |
//! | none | `model.safetensors` | `optimizer.pt`: moments |
//! | ZeRO 1 and 2 | twice: `model.safetensors` and `mp_rank_00_model_states.pt` | main 4 + moments 8, over all ranks |
//! | ZeRO 3 | once if gathered, else none | main 4 + moments 8, over all ranks |
//! | FSDP, full state dict | twice: `model.safetensors` and `pytorch_model_fsdp.bin` | moments |
//! | FSDP, sharded; others | once | main + moments |
//!
//! A save of a 13B model under ZeRO 2 takes 16 bytes a parameter: 208 GB. A framework that keeps the last `k` saves deletes an
//! older one after it has written a new one, so `k + 1` lie on the disk. Without the number of steps, one save is certain.
//! Sources: `Trainer._save_optimizer_and_scheduler` and `rotate_checkpoints` (Transformers), `save_fsdp_model` (accelerate),
//! `DeepSpeedEngine.save_checkpoint`; sizes of files in deepspeedai/DeepSpeed#6598: 90 GiB and 15 GiB for 8.03 B parameters.

use super::{End, HostPlan, Part};
use crate::estimate::states;
use crate::job::{Sharding, TrainingJob};
use crate::units::Bytes;

/// The saves that the heaviest plan counts if neither the steps nor the kept saves are known. It is a
/// guess.
const UNKNOWN_SAVES: u64 = 3;

/// The saves of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saves {
    /// Optimizer steps between two saves.
    pub interval: Option<u64>,
    /// Saves of the whole training.
    pub all: Option<u64>,
    /// Saves that are kept, if older ones are deleted.
    pub kept: Option<u64>,
}

impl Saves {
    /// The saves of a job, with its framework's defaults.
    pub(super) fn of(job: &TrainingJob, host: &HostPlan<'_>) -> Self {
        let saved = job.checkpoint.clone().unwrap_or_default();
        let facts = host.plan.profile.host;
        let interval = saved.interval.map(u64::from).or(facts.save_interval);
        let steps = job.dataset.as_ref().and_then(|dataset| dataset.steps);
        let counted = steps.zip(interval).map(|(steps, interval)| steps / interval.max(1));
        Self {
            interval,
            all: saved.saves.map(u64::from).or(counted),
            kept: saved.kept.map(u64::from).or(facts.kept),
        }
    }

    /// The most saves that lie on the disk at once.
    pub fn at_once(self) -> Option<u64> {
        let kept = self.kept.map(|kept| kept.saturating_add(1));
        match (self.all, kept) {
            (Some(all), Some(kept)) => Some(all.min(kept)),
            (all, kept) => all.or(kept),
        }
    }

    /// The number of saves that the need counts, at this end.
    fn counted(self, end: End) -> u64 {
        match (end, self.all, self.at_once()) {
            (_, Some(0), _) => 0,
            (_, Some(_), Some(number)) => number,
            (End::Lean | End::Likely, None, None) | (End::Lean, None, Some(_)) => 1,
            (End::Heavy, None, None) => UNKNOWN_SAVES,
            (_, _, number) => number.unwrap_or(1),
        }
    }
}

/// The parts of one save.
pub(super) fn save(host: &HostPlan<'_>) -> Vec<Part> {
    let plan = host.plan;
    let zero = matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3);
    let fsdp = matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP);
    let copies = match plan.sharding {
        _ if plan.adapters.is_some() => 1,
        Sharding::ZeRO1 | Sharding::ZeRO2 if host.saves_optimizer => 2,
        Sharding::FSDP | Sharding::HSDP if host.gathers && host.saves_optimizer => 2,
        Sharding::ZeRO3 => u64::from(host.gathers || !host.saves_optimizer),
        _ => 1,
    };
    let (saved, width) = match &plan.adapters {
        Some(adapters) => (host.trained, adapters.width as f64),
        None if zero => (host.parameters, plan.widths.compute),
        None => (host.parameters, plan.widths.parameter),
    };
    let weights = Bytes::of(saved, width) * copies;
    let (main, moment) = match &plan.adapters {
        Some(adapters) => (0.0, adapters.width as f64),
        None if zero => (4.0, 4.0),
        None if fsdp => (0.0, plan.widths.moment),
        None => (plan.widths.main, plan.widths.moment),
    };
    let each = main + states::moments(plan.optimizer, moment);
    let optimizer = if host.saves_optimizer { Bytes::of(host.trained, each) } else { Bytes::ZERO };
    vec![Part::computed("weights", weights), Part::computed("optimizer states", optimizer)]
}

/// The parts of all saves that lie on the disk at once.
pub(super) fn saves(host: &HostPlan<'_>, saves: Saves) -> Vec<Part> {
    let number = saves.counted(host.end);
    save(host).into_iter().map(|part| Part { bytes: part.bytes * number, ..part }).collect()
}

/// The width of the parameters in most files of models.
const FILE_WIDTH: f64 = 2.0;
/// Below this size, models are often stored with 4 bytes a parameter.
const SMALL_MODEL: u64 = 2_000_000_000;

/// The weights that the pod downloads.
pub(super) fn downloads(host: &HostPlan<'_>) -> Vec<Part> {
    let width = match host.end {
        End::Lean => 0.0,
        End::Heavy if host.parameters < SMALL_MODEL => FILE_WIDTH * 2.0,
        End::Likely | End::Heavy => FILE_WIDTH,
    };
    vec![Part::measured("downloaded weights", Bytes::of(host.parameters, width))]
}
