//! Accelerate's configuration files that projects ship, by path: `--config_file recipes/accelerate_configs/zero3.yaml`.
//!
//! They are TRL's `examples/accelerate_configs` and `trl/accelerate_configs` (0.9.6 to 1.9, all alike), the alignment
//! handbook's `recipes/accelerate_configs` (0.2 and 0.3, and at 925acdf), and Open-R1's (at 1416fa0). All of them compute in
//! bf16 and move no states to the host.

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::job::{Precision, Sharding, Source, field};

/// The folder that all of them are in.
const FOLDER: &str = "accelerate_configs";

const FILES: &[(&str, Sharding)] = &[
    ("single_gpu", Sharding::None),
    ("multi_gpu", Sharding::None),
    ("ddp", Sharding::None),
    ("fsdp", Sharding::FSDP),
    ("fsdp1", Sharding::FSDP),
    ("fsdp2", Sharding::FSDP),
    ("zero1", Sharding::ZeRO1),
    ("zero2", Sharding::ZeRO2),
    ("zero3", Sharding::ZeRO3),
    ("deepspeed_zero1", Sharding::ZeRO1),
    ("deepspeed_zero2", Sharding::ZeRO2),
    ("deepspeed_zero3", Sharding::ZeRO3),
];

/// Claims the settings of such a file, unless the object itself has a file at its path. Whether it is one.
pub(super) fn assume(launch: &Launch, path: &str, claims: &mut Claims) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    let name = file.trim_end_matches(".yaml");
    let Some((_, sharding)) = FILES.iter().find(|(known, _)| *known == name) else { return false };
    let is_theirs = folder == FOLDER || folder.ends_with(&format!("/{FOLDER}"));
    if !is_theirs || launch.files.meant(path).is_some() {
        return false;
    }
    let source = Source::Argument { place: claims.place.clone(), option: "--config_file".to_owned() };
    claims.handed_on(field::parallelism::SHARDING, *sharding, source.clone());
    claims.handed_on(field::PRECISION, Precision::BF16, source.clone());
    claims.handed_on(field::offload::OPTIMIZER, false, source.clone());
    claims.handed_on(field::offload::PARAMETERS, false, source);
    true
}
