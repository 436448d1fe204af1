//! The other models of a job, and the engine that generates its samples: where they are, if the job does not say.
//!
//! ```text
//! reference   the trained model without its adapters; if all weights are trained: a copy, divided as the weights are
//! reward, teacher, critic   a model of the trained model's size, or of its own name's, divided as the weights are
//! engine      on other devices
//! ```
//!
//! A placement that the job leaves open is nowhere in the leanest plan, and whole on every device in the heaviest.

use super::given::Given;
use super::{Choice, Notes, choice};
use crate::estimate::objective::{ObjectiveProfile, Role};
use crate::estimate::plan::{Other, Plan, Rollout};
use crate::estimate::states;
use crate::job::{Field, Placement, field};
use crate::model::{Shape, known};

/// The field of a role's placement.
const fn placement_of(role: Role) -> Field<Placement> {
    match role {
        Role::Reference => field::roles::REFERENCE_MODEL,
        Role::Reward => field::roles::REWARD_MODEL,
        Role::Teacher => field::roles::TEACHER_MODEL,
        Role::Critic => field::roles::CRITIC_MODEL,
    }
}

fn stated(given: &Given<'_>, role: Role) -> Option<Placement> {
    let roles = &given.roles;
    match role {
        Role::Reference => roles.reference_model,
        Role::Reward => roles.reward_model,
        Role::Teacher => roles.teacher_model,
        Role::Critic => roles.critic_model,
    }
}

/// The shape of a role's own model. `None` if it has the trained model's.
fn own_shape(given: &Given<'_>, role: Role, plan: &Plan) -> Option<Shape> {
    let roles = &given.roles;
    let name = match role {
        Role::Reward => roles.reward_model_name.as_deref(),
        Role::Teacher => roles.teacher_model_name.as_deref(),
        Role::Critic => roles.critic_model_name.as_deref(),
        Role::Reference => None,
    }?;
    let known = known::find(name)?;
    Shape::complete(&known.model, plan.sequence, plan.shape.vocab, 1.0).ok()
}

/// The other models that the job's objective needs or that the job names.
pub(super) fn others(given: &Given<'_>, plan: &Plan, notes: &mut Notes) -> Vec<Other> {
    let facts = ObjectiveProfile::of(plan.objective);
    let roles = [Role::Reference, Role::Reward, Role::Teacher, Role::Critic];
    let roles = roles.into_iter().filter(|role| facts.roles.contains(role) || stated(given, *role).is_some());
    let usual = if states::divided(plan.sharding).0 { Placement::Sharded } else { Placement::Resident };
    let other = |role: Role| {
        let placement = stated(given, role).unwrap_or_else(|| {
            let adapters_off = role == Role::Reference && plan.adapters.is_some();
            let placement = if adapters_off { Placement::AdaptersOff } else { usual };
            notes.assume(placement_of(role), placement);
            placement
        });
        Other { role, placement, shape: own_shape(given, role, plan) }
    };
    roles.map(other).collect()
}

/// How samples are generated, if the job generates them on the devices that train.
pub(super) fn rollout(given: &Given<'_>, plan: &Plan, notes: &mut Notes) -> Option<Rollout> {
    let roles = &given.roles;
    if !ObjectiveProfile::of(plan.objective).generates && roles.rollout_engine.is_none() {
        return None;
    }
    let placement = roles.rollout_engine.unwrap_or_else(|| {
        notes.assume(field::roles::ROLLOUT_ENGINE, Placement::Elsewhere);
        Placement::Elsewhere
    });
    let share = roles.rollout_memory_percent.map_or(0.0, |percent| percent.as_f64() / 100.0).clamp(0.0, 1.0);
    let leaves = [Placement::Asleep, Placement::Offloaded, Placement::Elsewhere];
    let alone = roles.trained_model.is_some_and(|placement| leaves.contains(&placement));
    let engine = |awake| Some(Rollout::Engine { share, awake, alone });
    match placement {
        Placement::Trained | Placement::AdaptersOff => Some(Rollout::Trained),
        Placement::Resident | Placement::Sharded => engine(true),
        Placement::Asleep | Placement::Offloaded => engine(false),
        Placement::Elsewhere => None,
    }
}

/// The placements that are open.
pub(super) fn open(given: &Given<'_>, likely: &Plan) -> Vec<Choice> {
    let open = likely.others.iter().map(|other| other.role).filter(|role| stated(given, *role).is_none());
    let set = |plan: &mut Plan, role: Role, placement: Placement| {
        for other in plan.others.iter_mut().filter(|other| other.role == role) {
            other.placement = placement;
        }
    };
    open.map(|role| {
        choice(
            placement_of(role),
            move |plan| set(plan, role, Placement::Elsewhere),
            move |plan| set(plan, role, Placement::Resident),
        )
    })
    .collect()
}
