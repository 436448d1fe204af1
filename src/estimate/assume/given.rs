//! What a job gives, group by group. A group that the job leaves out is empty here, so that a rule asks for a field and
//! never for its group.

use crate::frameworks::{Profile, profile};
use crate::job::{Accelerator, Batch, Finetuning, Method, Model, Offload, Parallelism, Roles, TrainingJob};

/// The fields that a job gives.
pub(super) struct Given<'a> {
    /// The fields outside the groups.
    pub job: &'a TrainingJob,
    /// The facts of the framework that the job names. If it names none, those of a job without a framework.
    pub named: &'static Profile,
    pub model: Model,
    pub parallelism: Parallelism,
    pub batch: Batch,
    pub offload: Offload,
    pub finetuning: Finetuning,
    pub roles: Roles,
    pub accelerator: Accelerator,
}

impl<'a> Given<'a> {
    pub(super) fn of(job: &'a TrainingJob) -> Self {
        Self {
            job,
            named: profile(job.framework),
            model: job.model.clone().unwrap_or_default(),
            parallelism: job.parallelism.clone().unwrap_or_default(),
            batch: job.batch.clone().unwrap_or_default(),
            offload: job.offload.clone().unwrap_or_default(),
            finetuning: job.finetuning.clone().unwrap_or_default(),
            roles: job.roles.clone().unwrap_or_default(),
            accelerator: job.accelerator.clone().unwrap_or_default(),
        }
    }

    /// The number of accelerators.
    pub(super) fn count(&self) -> Option<u64> {
        self.accelerator.count.map(u64::from)
    }

    /// Whether the language model is frozen whole, without adapters.
    pub(super) fn freezes_language_model(&self) -> bool {
        let adapted = matches!(self.finetuning.method, Some(Method::LoRA | Method::QLoRA));
        self.finetuning.freeze_language_model == Some(true) && !adapted
    }

    /// Whether adapters are trained instead of the weights, or beside a frozen language model nothing of it.
    pub(super) fn is_adapted(&self) -> bool {
        if self.freezes_language_model() {
            return true;
        }
        match self.finetuning.method {
            Some(Method::Full) => false,
            Some(Method::LoRA | Method::QLoRA) => true,
            None => self.finetuning.rank.is_some(),
        }
    }
}

/// A degree: 1 if it is not given.
pub(super) fn degree(value: Option<u32>) -> u64 {
    value.map_or(1, u64::from).max(1)
}
