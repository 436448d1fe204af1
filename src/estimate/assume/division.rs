//! How the accelerators divide the model and its states: the parallel degrees, and the rest for data parallelism.

use super::given::{Given, degree};
use super::{Choice, Notes, choice};
use crate::frameworks::Profile;
use crate::job::{Dispatcher, Placement, Schedule, Sharding, field};

use crate::estimate::plan::Plan;

/// The data parallel ranks of a job that states no number of accelerators, at its leanest. With so many the divided states of a 70B
/// model are 1 GiB a rank (16 bytes a parameter); more ranks save less than that.
const MANY_RANKS: u64 = 1024;

/// The parallel degrees.
#[derive(Clone, Copy)]
pub(super) struct Division {
    pub tensor: u64,
    pub pipeline: u64,
    pub virtual_pipeline: u64,
    pub context: u64,
    pub expert: u64,
    pub data: u64,
}

impl Division {
    /// The degrees that the job gives or implies.
    pub(super) fn of(given: &Given<'_>, notes: &mut Notes) -> Self {
        let parallelism = &given.parallelism;
        let (tensor, pipeline) = (degree(parallelism.tensor), degree(parallelism.pipeline));
        let context = match implied(given) {
            Some(implied) => {
                notes.assume(field::parallelism::CONTEXT, implied);
                implied
            }
            None => degree(parallelism.context),
        };
        let model = tensor.saturating_mul(pipeline).saturating_mul(context);
        Self {
            tensor,
            pipeline,
            virtual_pipeline: degree(parallelism.virtual_pipeline),
            context,
            expert: degree(parallelism.expert),
            data: data_parallel(given, model, notes),
        }
    }

    /// The order of microbatches.
    pub(super) fn schedule(self, given: &Given<'_>) -> Schedule {
        given.parallelism.schedule.unwrap_or(if self.virtual_pipeline > 1 {
            Schedule::Interleaved
        } else {
            Schedule::OneForwardOneBackward
        })
    }

    /// The states that the ranks divide.
    pub(super) fn sharding(self, given: &Given<'_>, profile: &Profile, notes: &mut Notes) -> Sharding {
        given.parallelism.sharding.unwrap_or_else(|| {
            let several = self.data * self.context > 1;
            let sharding = if several { profile.sharding.usual } else { Sharding::None };
            notes.assume(field::parallelism::SHARDING, sharding);
            sharding
        })
    }

    /// Whether tensor parallelism also divides the activations between matrix products.
    pub(super) fn sequence_parallel(self, given: &Given<'_>, notes: &mut Notes) -> bool {
        let divides = given.parallelism.sequence.unwrap_or_else(|| {
            if self.tensor > 1 {
                notes.assume(field::parallelism::SEQUENCE, true);
            }
            true
        });
        divides && self.tensor > 1
    }
}

/// How many ranks must share one replica when the global batch is smaller than the number of replicas and no degree is
/// given. Every replica computes at least one microbatch. It counts as context parallelism, which leaves each rank the
/// most memory.
fn implied(given: &Given<'_>) -> Option<u64> {
    let parallelism = &given.parallelism;
    let stated = [parallelism.tensor, parallelism.pipeline, parallelism.context, parallelism.data];
    if stated.iter().any(Option::is_some) {
        return None;
    }
    let count = given.count()?;
    let micro_batch = u64::from(given.batch.micro_batch_size?);
    let global = u64::from(given.batch.global_batch_size?).max(1);
    let ranks = count.saturating_mul(micro_batch).div_ceil(global);
    (ranks > 1).then_some(ranks.min(count))
}

/// The data parallel degree: the accelerators over those of one model replica.
fn data_parallel(given: &Given<'_>, model: u64, notes: &mut Notes) -> u64 {
    let stated = given.parallelism.data.map(u64::from);
    let Some(count) = given.count() else { return stated.unwrap_or(1).max(1) };
    if count < model {
        notes.warnings.push(format!(
            "tensor × pipeline × context parallel is {model}, but only {count} accelerators are asked for"
        ));
        return stated.unwrap_or(1).max(1);
    }
    if !count.is_multiple_of(model) {
        notes.warnings.push(format!(
            "{count} accelerators are no multiple of tensor × pipeline × context parallel = {model}"
        ));
    }
    let data = count / model;
    match stated {
        // Other models of the job have accelerators of their own.
        Some(stated) if stated < data && has_models_elsewhere(given) => stated.max(1),
        Some(stated) if stated != data => {
            notes.warnings.push(format!(
                "data-parallel is {stated}, but {count} accelerators and {model} a model replica make {data}"
            ));
            stated.max(1)
        }
        _ => data.max(1),
    }
}

/// Whether a model that the objective needs has accelerators of its own.
fn has_models_elsewhere(given: &Given<'_>) -> bool {
    let roles = &given.roles;
    let places = [roles.reference_model, roles.reward_model, roles.critic_model, roles.rollout_engine];
    places.contains(&Some(Placement::Elsewhere))
}

/// The open degrees.
pub(super) fn open_degrees(given: &Given<'_>, likely: &Plan) -> [Option<Choice>; 3] {
    [accelerators(given, likely), shared_replica(given), dispatcher(given, likely)]
}

/// The number of sharing ranks is open if neither accelerators nor data parallelism are given.
fn accelerators(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.count().is_some() || given.parallelism.data.is_some() {
        return None;
    }
    // Sharding that is not stated is the framework's usual one, if there is more than one rank.
    let unstated = given.parallelism.sharding.is_none();
    let sharding = likely.profile.sharding.usual;
    Some(choice(
        field::accelerator::COUNT,
        move |plan| {
            plan.data = MANY_RANKS;
            if unstated {
                plan.sharding = sharding;
            }
        },
        |plan| plan.data = 1,
    ))
}

/// Ranks that must share a replica may also share its weights.
fn shared_replica(given: &Given<'_>) -> Option<Choice> {
    let implied = implied(given)?;
    Some(choice(
        field::parallelism::TENSOR,
        move |plan| {
            plan.context = 1;
            plan.tensor = implied;
            plan.sequence_parallel = true;
        },
        |_| {},
    ))
}

/// Guides replace the default that gathers all tokens by one that sends them.
fn dispatcher(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.parallelism.dispatcher.is_some()
        || likely.profile.experts.dispatcher != Dispatcher::AllGather
        || likely.expert <= 1
        || likely.shape.experts.is_none()
    {
        return None;
    }
    let (gather, send) = (Dispatcher::AllGather, Dispatcher::AllToAll);
    let many = likely.expert >= 8;
    let (lean, heavy) = if many { (send, gather) } else { (gather, send) };
    Some(choice(
        field::parallelism::DISPATCHER,
        move |plan| plan.dispatcher = lean,
        move |plan| plan.dispatcher = heavy,
    ))
}

/// The open sharding.
pub(super) fn open_sharding(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.parallelism.sharding.is_some() || likely.data * likely.context <= 1 {
        return None;
    }
    let ends = likely.profile.sharding.open?;
    // A model-parallel job of an unknown framework may shard everything, as torchtitan does.
    let model_parallel = likely.tensor > 1 || likely.pipeline > 1;
    let lean = if given.job.framework.is_none() && model_parallel { Sharding::FSDP } else { ends.lean };
    let heavy = ends.heavy;
    Some(choice(
        field::parallelism::SHARDING,
        move |plan| plan.sharding = lean,
        move |plan| plan.sharding = heavy,
    ))
}

/// The open sequence parallelism.
pub(super) fn open_sequence_parallel(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.parallelism.sequence.is_some() || likely.tensor <= 1 {
        return None;
    }
    Some(choice(
        field::parallelism::SEQUENCE,
        |plan| plan.sequence_parallel = true,
        |plan| plan.sequence_parallel = false,
    ))
}
