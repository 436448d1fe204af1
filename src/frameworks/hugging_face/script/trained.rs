//! What trains in a program: a trainer of Transformers, TRL or Lightning, or a loop of the program's own.

use super::super::{lightning, objective, training_loop};
use crate::job::{Cause, Objective};
use crate::python::{Call, Program};

/// Transformers' own trainers, without the word `Trainer`, and what people call classes derived from them. The last is of
/// dlrover: it saves checkpoints in another way.
const OWN_TRAINERS: &[&str] = &["", "Seq2Seq", "Custom", "My", "Model", "HF", "Base", "FlashCkpt"];
/// Parts of the names of trainers with another loss, or with another model.
const OTHER_LOSSES: &[&str] = &["distil", "kd", "teacher", "contrast", "ppo", "grpo", "dpo", "reward"];
/// The same among the names of arguments.
const OTHER_MODELS: &[&str] = &["teacher", "ref_model", "reference", "reward", "critic"];
/// The most classes that are followed to the first one.
const MOST_BASES: usize = 8;
/// Trainers of Ray Train 2, which start a function on each worker, and of dlrover, which counts the steps of a loop. They train
/// nothing themselves.
const LOOPS_OF_OTHERS: &[&str] =
    &["ElasticTrainer", "TorchTrainer", "DataParallelTrainer", "LightningTrainer", "AccelerateTrainer"];

/// What trains in a program.
pub(super) struct Trained<'p> {
    /// The call that makes a trainer of Transformers or TRL.
    pub(super) trainer: Option<&'p Call>,
    /// The names of its class and of those that the program derives it from, without the word `Trainer`.
    names: Vec<&'p str>,
    /// Whether one of these classes computes a loss of its own.
    pub(super) has_own_loss: bool,
    /// Whether that loss may ask another model.
    has_other_model: bool,
    /// The call that makes Lightning's trainer, which has the batches of a loop.
    pub(super) lightning: Option<&'p Call>,
    /// Whether Ray starts a process for each device.
    pub(super) by_ray: bool,
}

impl<'p> Trained<'p> {
    /// What trains in this program, if anything does.
    pub(super) fn find(program: &'p Program) -> Option<Self> {
        let by_ray = made(program).any(|call| is_trainer(call.name()) && is_of_ray(call));
        let trainer = made(program).rfind(|call| Self::makes(call) && !is_of_others(call, program));
        let lightning = trainer.filter(|call| lightning::is_trainer(call));
        let trainer = trainer.filter(|_| lightning.is_none());
        let found = trainer.is_some() || lightning.is_some() || training_loop::is_in(program);
        let (names, has_own_loss) = trainer.map(|call| names(call.name(), program)).unwrap_or_default();
        let given = trainer.iter().flat_map(|call| call.named.keys());
        let set = program.sets.iter().filter(|_| has_own_loss);
        let has_other_model = given.chain(set).any(|name| contains(name, OTHER_MODELS));
        found.then_some(Self { trainer, names, has_own_loss, has_other_model, lightning, by_ray })
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

    /// Whether the trainer is one of TRL's, or derived from one.
    pub(super) fn is_trl(&self) -> bool {
        self.named_objective().is_some()
    }

    /// Why the trainer is not covered: its name says another loss, or it is given another model, or its name is not known.
    pub(super) fn why_not_covered(&self) -> Option<Cause> {
        let other_loss = self.names.iter().any(|name| contains(name, OTHER_LOSSES));
        let is_known = self.names.last().is_none_or(|name| OWN_TRAINERS.contains(name));
        match self.named_objective() {
            Some(_) => None,
            None if other_loss || self.has_other_model => Some(Cause::OtherStage),
            None => (!is_known).then_some(Cause::OtherTrainer),
        }
    }

    /// The objective in the name of the trainer, or of a class that it is derived from.
    pub(super) fn named_objective(&self) -> Option<Objective> {
        let named = |name: &&str| objective::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        self.names.iter().find_map(named).map(|(_, objective)| *objective)
    }
}

/// Whether a name has one of these parts.
fn contains(name: &str, parts: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    parts.iter().any(|part| name.contains(part))
}

/// A class without its path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

/// The names of a trainer's class and of those that it is derived from, without the word `Trainer`: `DPO` of
/// `UnslothDPOTrainer`. And whether one of them computes a loss of its own.
fn names<'p>(class: &'p str, program: &'p Program) -> (Vec<&'p str>, bool) {
    let mut names = Vec::new();
    let mut has_own_loss = false;
    let mut class = Some(class);
    while let Some(name) = class.filter(|_| names.len() < MOST_BASES) {
        names.push(name.trim_end_matches("Trainer").trim_start_matches("Unsloth"));
        let derived = program.derived.get(name);
        has_own_loss |= derived.is_some_and(|derived| derived.members.contains("compute_loss"));
        let mut bases = derived.iter().flat_map(|derived| &derived.bases).map(|base| last(base));
        class = bases.clone().find(|base| base.ends_with("Trainer")).or_else(|| bases.next());
    }
    (names, has_own_loss)
}

/// The calls that the program may make.
pub(super) fn made(program: &Program) -> impl DoubleEndedIterator<Item = &Call> {
    program.calls.iter().filter(|call| call.runs != Some(false))
}

/// `Trainer`, `SFTTrainer`, and classes derived from them by name.
fn is_trainer(name: &str) -> bool {
    name.ends_with("Trainer")
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && !LOOPS_OF_OTHERS.contains(&name)
}

/// Whether a class named `Trainer` alone is that of a package which has nothing of Transformers beside it.
fn is_of_others(call: &Call, program: &Program) -> bool {
    const THEIRS: &[&str] = &["transformers", "trl", "unsloth", "lightning", "pytorch_lightning"];
    let has_theirs = THEIRS.iter().any(|package| program.packages.contains(*package));
    call.name() == "Trainer" && call.function.contains('.') && !has_theirs
}

/// Whether Ray defines what is called.
fn is_of_ray(call: &Call) -> bool {
    call.function.starts_with("ray.")
}
