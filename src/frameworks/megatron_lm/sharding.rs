//! The sharding of Megatron-LM's data-parallel ranks, by its own options or by DeepSpeed's.
//!
//! | options | sharding |
//! | --- | --- |
//! | none of these | none: every rank holds all optimizer states |
//! | `--use-distributed-optimizer`, and Megatron-LLaMA's `--overlapped-distributed-optimizer` | the distributed optimizer |
//! | `--use-torch-fsdp2` | FSDP |
//! | `--use-megatron-fsdp` with `--data-parallel-sharding-strategy` | `no_shard` none, `optim` ZeRO 1, `optim_grads` ZeRO 2, `optim_grads_params` FSDP |
//! | `--use-megatron-fsdp` alone | FSDP since 0.18, none before: open |
//! | `--num-distributed-optimizer-instances` of the distributed optimizer | as many groups, each of which has all states |
//! | `--deepspeed` with the configuration's `zero_optimization.stage`, or `--zero-stage` | ZeRO of that stage |
//! | stage 0 with bf16 | DeepSpeed's `BF16_Optimizer` divides fp32 weights and moments as stage 1 does: so in a pipeline, else open |
//!
//! The stage of an unknown configuration is open. `--zero-stage` alone counts, because scripts with this option write the
//! configuration from it.

use crate::command::Launch;
use crate::frameworks::megatron_deepspeed;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::Settings;
use crate::job::{Field, OpenField, Precision, Sharding, ValueOf as _, field};

/// Whether it runs on DeepSpeed.
pub(crate) fn is_deepspeed(launch: &Launch) -> bool {
    ["deepspeed", "deepspeed-config", "zero-stage"].iter().any(|name| launch.arguments.has(name))
        || launch.launcher("deepspeed").is_some()
}

/// Claims the sharding.
pub(crate) fn read(settings: &Settings<'_>, deepspeed: bool, claims: &mut Claims) {
    const FIELD: Field<Sharding> = field::parallelism::SHARDING;
    if deepspeed {
        return zero(settings, claims);
    }
    // A switch of a front end with values may be off.
    let on = |names: &[&str]| settings.get(names).filter(|setting| setting.truth() != Some(false));
    if let Some(setting) = on(&["use-torch-fsdp2"]) {
        setting.says(claims, FIELD, Sharding::FSDP);
    } else if on(&["use-megatron-fsdp"]).or_else(|| on(&["use-custom-fsdp"])).is_some() {
        let Some(setting) = settings.get(&["data-parallel-sharding-strategy"]) else {
            return by_release(claims);
        };
        let sharding = match setting.text().as_deref() {
            Some("no_shard") => Sharding::None,
            Some("optim") => Sharding::ZeRO1,
            Some("optim_grads") => Sharding::ZeRO2,
            Some("optim_grads_params") => Sharding::FSDP,
            _ => return,
        };
        setting.says(claims, FIELD, sharding);
    } else if let Some(setting) = on(&["use-distributed-optimizer", "overlapped-distributed-optimizer"]) {
        setting.says(claims, FIELD, Sharding::DistributedOptimizer);
        instances(settings, claims);
    }
}

/// Megatron's FSDP without a strategy. Its default divides everything since 0.18, and nothing before.
fn by_release(claims: &mut Claims) {
    claims.assume(field::parallelism::SHARDING, Sharding::FSDP, "Megatron-LM core_v0.18 default");
    claims.open_field(OpenField {
        field: field::parallelism::SHARDING.erased(),
        leanest: None,
        heaviest: Some(Sharding::None.json()),
        although_given: true,
    });
}

/// Several instances of the optimizer: the ranks that divide its states are fewer. Without the number of processes, the
/// option stays unread, and the states open.
fn instances(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(processes) = claims.processes else { return };
    let degree = |field| claims.get(field).map_or(1, u64::from).max(1);
    let replicas = processes
        / degree(field::parallelism::TENSOR).saturating_mul(degree(field::parallelism::PIPELINE)).max(1);
    let Some(setting) = settings.get(&["num-distributed-optimizer-instances"]) else { return };
    if let Some(instances) = setting.number().filter(|instances| *instances > 0) {
        setting.says(claims, field::parallelism::SHARDING_DEGREE, (replicas / instances).max(1));
    }
}

/// The stage in DeepSpeed's configuration beats the option. Pipelines with bf16 run `BF16_Optimizer` at stage 0
/// (DeepSpeed 0.17, `runtime/engine.py`, `_do_optimizer_sanity_check`).
fn zero(settings: &Settings<'_>, claims: &mut Claims) {
    stage(settings, claims);
    megatron_deepspeed::gradients_of_stage_one(claims);
    let bf16 = claims.values(field::PRECISION).any(|format| format == Precision::BF16);
    if !bf16 || claims.get(field::parallelism::SHARDING) != Some(Sharding::None) {
        return;
    }
    if claims.get(field::parallelism::PIPELINE).is_some_and(|stages| stages > 1) {
        claims.all.retain(|claim| claim.field != field::parallelism::SHARDING);
        claims.argument(field::parallelism::SHARDING, Sharding::ZeRO1, "DeepSpeed's BF16_Optimizer");
    } else {
        claims.open_anyway(field::parallelism::SHARDING, Sharding::ZeRO1);
    }
}

fn stage(settings: &Settings<'_>, claims: &mut Claims) {
    if claims.get(field::parallelism::SHARDING).is_none()
        && let Some(setting) = settings.get(&["zero-stage"])
        && let Some(sharding) = setting.number().and_then(of_stage)
    {
        setting.says(claims, field::parallelism::SHARDING, sharding);
    }
}

fn of_stage(stage: u64) -> Option<Sharding> {
    [Sharding::None, Sharding::ZeRO1, Sharding::ZeRO2, Sharding::ZeRO3]
        .get(usize::try_from(stage).ok()?)
        .copied()
}
