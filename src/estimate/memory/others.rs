//! Memory of the other models of a job: the reference, a reward model, a teacher, a critic.
//!
//! ```text
//! resident    P × width / (t·p)            P: the model's parameters; experts over their own ranks
//! sharded     P × width / (t·p·N)
//! critic      the same with its gradients and optimizer states: as those of the trained model, if all is trained
//! offloaded, adapters off, asleep, trained, elsewhere: 0
//! ```
//!
//! An offloaded model is on the device layer by layer, in the place of the trained model's gathered layers. Sources:
//! TRL 0.24, `prepare_deepspeed` (a reference is divided under ZeRO 3 alone) and `prepare_fsdp`; OpenRLHF 0.8,
//! `get_ds_eval_config`.

use super::super::objective::Role;
use super::super::plan::{Other, Plan, RankParameters, Stage};
use super::{gradients, optimizer};
use crate::job::{Placement, Sharding};
use crate::judgement::Component;
use crate::model::Parameters;
use crate::units::Bytes;

/// The other models on a rank of `stage`, each with its bytes.
pub(super) fn others(plan: &Plan, stage: Stage) -> Vec<Component> {
    let of = |other: &Other| Component { name: other.role.name(), bytes: bytes(plan, other, stage) };
    plan.others.iter().map(of).filter(|component| component.bytes > Bytes::ZERO).collect()
}

fn bytes(plan: &Plan, other: &Other, stage: Stage) -> Bytes {
    let divides = match other.placement {
        Placement::Resident => false,
        Placement::Sharded => true,
        Placement::Offloaded
        | Placement::AdaptersOff
        | Placement::Asleep
        | Placement::Trained
        | Placement::Elsewhere => return Bytes::ZERO,
    };
    let shape = other.shape.clone().unwrap_or_else(|| plan.shape.clone());
    let sharding = if divides { plan.sharding } else { Sharding::None };
    let whole = Plan { shape, adapters: None, sharding, ..plan.clone() };
    // A model of another depth is divided into stages of its own.
    let stage = if other.shape.is_some() { whole.stage(stage.index) } else { stage };
    let rank = RankParameters::of(&whole, &Parameters::of(&whole.shape), stage);
    let n = if divides { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    // DeepSpeed casts what it holds. Elsewhere a frozen model stays as it was loaded, like the trained one.
    let zero = matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3);
    let width = if zero { plan.widths.compute } else { plan.widths.parameter };
    let weights = Bytes::of(rank.dense.div_ceil(n.0), width) + Bytes::of(rank.experts.div_ceil(n.1), width);
    match other.role {
        Role::Critic if plan.adapters.is_none() => {
            let trained = Plan { sharding: plan.sharding, ..whole };
            weights + gradients::gradients(&trained, rank) + optimizer::optimizer_states(&trained, rank)
        }
        _ => weights,
    }
}
