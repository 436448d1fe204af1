//! The file of fms-acceleration, `--acceleration_framework_config_file`, as settings under the names of PEFT.
//!
//! ```text
//! plugins.peft.quantization.bitsandbytes | auto_gptq        weights of four bits
//! plugins.training.fused_ops_and_kernels.fast_loss          the loss without the logits
//! plugins.training.moe.scattermoe.ep_degree                 expert parallelism
//! ```
//!
//! Read from foundation-model-stack/fms-acceleration: the `acceleration.yaml` of its plugins and `sample-configurations`.

use serde_json::{Map, Value as Json};

use super::peft;
use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::settings::{Place, Settings};
use crate::job::{Loss, field};

/// Adds the settings of the file, if the launch names one that is known.
pub(super) fn add(launch: &Launch, settings: &mut Settings<'_>, claims: &mut Claims) {
    let Some(path) = settings.text(&[peft::ACCELERATION]) else { return };
    let known = launch.files.meant(&path).is_some();
    let Some(file) =
        known.then(|| config::named(launch, &path, "--acceleration_framework_config_file", claims)).flatten()
    else {
        return;
    };
    let quantizes = ["bitsandbytes", "auto_gptq"]
        .iter()
        .any(|kind| file.get(&format!("plugins.peft.quantization.{kind}")).is_some());
    let fused = file.get("plugins.training.fused_ops_and_kernels.fast_loss").cloned();
    let mut keys = Map::new();
    keys.insert("load_in_4bit".to_owned(), quantizes.into());
    keys.insert("fast_loss".to_owned(), fused.unwrap_or(Json::Bool(false)));
    if let Some(degree) = file.get("plugins.training.moe.scattermoe.ep_degree") {
        keys.insert("ep_degree".to_owned(), degree.clone());
    }
    settings.add(Place::File(Config::new(file.source.clone(), Json::Object(keys))));
}

/// Claims what the file, or an unknown one, sets beside the method.
pub(super) fn read(settings: &Settings<'_>, claims: &mut Claims) {
    if !settings.has(&[peft::ACCELERATION]) {
        return;
    }
    match settings.get(&["fast_loss"]) {
        None => claims.open(field::LOSS, Loss::Fused),
        // It is on, or names a kernel.
        Some(fused) if fused.truth() != Some(false) => fused.says(claims, field::LOSS, Loss::Fused),
        Some(_) => {}
    }
    if let Some(degree) = settings.get(&["ep_degree"])
        && let Some(number) = degree.number()
    {
        degree.says(claims, field::parallelism::EXPERT, number);
    }
}
