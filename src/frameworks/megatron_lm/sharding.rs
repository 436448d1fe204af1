//! What Megatron-LM's data-parallel ranks divide, and what DeepSpeed divides below it.
//!
//! | options | sharding |
//! | --- | --- |
//! | none of these | none: every rank holds the optimizer's whole states |
//! | `--use-distributed-optimizer` | the distributed optimizer |
//! | `--use-torch-fsdp2` | FSDP |
//! | `--use-megatron-fsdp` with `--data-parallel-sharding-strategy` | `optim` ZeRO 1, `optim_grads` ZeRO 2, `optim_grads_params` FSDP |
//! | `--deepspeed` with the configuration's `zero_optimization.stage`, or `--zero-stage` | ZeRO of that stage |
//!
//! A stage that stands in a configuration that is not known is open; `--zero-stage` alone is believed, since the scripts
//! that take it write the configuration from it.

use crate::command::Launch;
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::Settings;

/// Whether DeepSpeed is below it.
pub(crate) fn is_deepspeed(launch: &Launch) -> bool {
    ["deepspeed", "deepspeed-config", "zero-stage"].iter().any(|name| launch.arguments.has(name))
        || launch.launcher("deepspeed").is_some()
}

/// Says what is divided.
pub(crate) fn read(settings: &Settings<'_>, deepspeed: bool, said: &mut Said) {
    const FIELD: &str = "parallelism.sharding";
    if deepspeed {
        return zero(settings, said);
    }
    if let Some(setting) = settings.get(&["use-torch-fsdp2"]) {
        setting.says(said, FIELD, "FSDP");
    } else if settings.has(&["use-megatron-fsdp", "use-custom-fsdp"]) {
        let Some(setting) = settings.get(&["data-parallel-sharding-strategy"]) else { return };
        let sharding = match setting.text().as_deref() {
            Some("optim") => "ZeRO1",
            Some("optim_grads") => "ZeRO2",
            Some("optim_grads_params") => "FSDP",
            _ => return,
        };
        setting.says(said, FIELD, sharding);
    } else if let Some(setting) = settings.get(&["use-distributed-optimizer"]) {
        setting.says(said, FIELD, "DistributedOptimizer");
    }
}

/// What DeepSpeed's own reader found in the configuration comes before the option.
fn zero(settings: &Settings<'_>, said: &mut Said) {
    if said.get("parallelism.sharding").is_none()
        && let Some(setting) = settings.get(&["zero-stage"])
        && let Some(sharding) = setting.number().and_then(stage_name)
    {
        setting.says(said, "parallelism.sharding", sharding);
    }
}

fn stage_name(stage: u64) -> Option<&'static str> {
    ["None", "ZeRO1", "ZeRO2", "ZeRO3"].get(usize::try_from(stage).ok()?).copied()
}
