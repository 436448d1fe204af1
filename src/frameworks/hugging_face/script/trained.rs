//! What trains in a program: a trainer of Transformers, TRL or Lightning, or a loop of the program's own.

use super::super::{lightning, objective, training_loop};
use crate::job::Objective;
use crate::python::{Call, Program};

/// Transformers' own trainers, without the word `Trainer`, and what people call classes derived from them.
const OWN_TRAINERS: &[&str] = &["", "Seq2Seq", "Custom", "My", "Model", "HF", "Base"];
/// Trainers of Ray Train 2: they start a function on each worker, and train nothing themselves.
const RAY_TRAINERS: &[&str] =
    &["TorchTrainer", "DataParallelTrainer", "LightningTrainer", "AccelerateTrainer"];

/// What trains in a program.
pub(super) struct Trained<'p> {
    /// The call that makes a trainer of Transformers or TRL.
    pub(super) trainer: Option<&'p Call>,
    /// The call that makes Lightning's trainer, which has the batches of a loop.
    pub(super) lightning: Option<&'p Call>,
    /// Whether Ray starts a process for each device.
    pub(super) by_ray: bool,
}

impl<'p> Trained<'p> {
    /// What trains in this program, if anything does.
    pub(super) fn find(program: &'p Program) -> Option<Self> {
        let by_ray = made(program).any(|call| is_trainer(call.name()) && is_of_ray(call));
        let trainer = made(program).rfind(|call| Self::makes(call));
        let lightning = trainer.filter(|call| lightning::is_trainer(call));
        let trainer = trainer.filter(|_| lightning.is_none());
        let found = trainer.is_some() || lightning.is_some() || training_loop::is_in(program);
        found.then_some(Self { trainer, lightning, by_ray })
    }

    /// Whether a call makes a trainer. A trainer of Ray starts a function that has its own.
    fn makes(call: &Call) -> bool {
        is_trainer(call.name()) && !is_of_ray(call)
    }

    /// Whether a call makes a trainer whose arguments are settings.
    pub(super) fn has_settings(&self, call: &Call) -> bool {
        Self::makes(call) && self.lightning.is_none()
    }

    /// Whether the program has a training loop of its own.
    pub(super) fn is_loop(&self) -> bool {
        self.trainer.is_none()
    }

    /// Whether the trainer has arguments that are not known. Adapters may be among them.
    pub(super) fn may_take_adapters(&self) -> bool {
        self.trainer.is_some_and(|call| call.may_have_more && !call.named.contains_key("peft_config"))
    }

    /// Whether the trainer is one of TRL's.
    pub(super) fn is_trl(&self) -> bool {
        !matches!(self.name(), "" | "Seq2Seq")
    }

    /// Whether the trainer's objective is not read.
    pub(super) fn has_other_objective(&self) -> bool {
        self.named_objective().is_none() && !OWN_TRAINERS.contains(&self.name())
    }

    /// The objective in the trainer's name.
    pub(super) fn named_objective(&self) -> Option<Objective> {
        let named = objective::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(self.name()));
        named.map(|(_, objective)| *objective)
    }

    /// The trainer's name: `DPO` of `DPOTrainer` and of `UnslothDPOTrainer`.
    fn name(&self) -> &'p str {
        let name = self.trainer.map_or("", Call::name);
        name.trim_end_matches("Trainer").trim_start_matches("Unsloth")
    }
}

/// The calls that the program may make.
pub(super) fn made(program: &Program) -> impl DoubleEndedIterator<Item = &Call> {
    program.calls.iter().filter(|call| call.runs != Some(false))
}

/// `Trainer`, `SFTTrainer`, and classes derived from them by name.
fn is_trainer(name: &str) -> bool {
    name.ends_with("Trainer")
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && !RAY_TRAINERS.contains(&name)
}

/// Whether Ray defines what is called.
fn is_of_ray(call: &Call) -> bool {
    call.function.starts_with("ray.")
}
