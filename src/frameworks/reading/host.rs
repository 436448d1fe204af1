//! Options about data loaders and saves, and the variables of downloads. Every framework has the options, under its own names.
//!
//! `huggingface_hub` downloads to the first of these: `HF_HUB_CACHE` and its older names, `$HF_HOME/hub`,
//! `$XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub` (`constants.py`). If it is told to stay offline, it downloads
//! nothing.

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::Settings;
use crate::job::{Field, SavedStates, field};

/// A framework's names of the options. An empty list: it has no such option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// Worker processes of one rank's data loader.
    pub(crate) workers: &'static [&'static str],
    /// Batches that one worker holds ready.
    pub(crate) prefetch: &'static [&'static str],
    /// The directory of the saves.
    pub(crate) directory: &'static [&'static str],
    /// Steps between two saves.
    pub(crate) interval: &'static [&'static str],
    /// The most saves that are kept.
    pub(crate) kept: &'static [&'static str],
    /// A switch that leaves the optimizer's states out.
    pub(crate) weights_only: &'static [&'static str],
}

impl Names {
    /// No options.
    pub(crate) const NONE: Self =
        Self { workers: &[], prefetch: &[], directory: &[], interval: &[], kept: &[], weights_only: &[] };
}

/// Claims the options. A value that is no number of steps, such as a share of the training, is not known.
pub(crate) fn read(names: &Names, settings: &Settings<'_>, claims: &mut Claims) {
    let mut number = |names: &[&str], field: Field<u32>, least: u64| {
        if let Some(setting) = settings.get(names)
            && let Some(number) = setting.number().filter(|number| (least..=1_000_000_000).contains(number))
        {
            setting.says(claims, field, number);
        }
    };
    number(names.workers, field::host::DATALOADER_WORKERS, 0);
    number(names.prefetch, field::host::PREFETCH, 1);
    number(names.interval, field::checkpoint::INTERVAL, 1);
    number(names.kept, field::checkpoint::KEPT, 1);
    if let Some(setting) = settings.get(names.directory)
        && let Some(path) = setting.text().filter(|path| !path.is_empty() && path.len() <= 253)
    {
        setting.says(claims, field::checkpoint::DIRECTORY, path);
    }
    if let Some(setting) = settings.get(names.weights_only).filter(|setting| setting.truth() == Some(true)) {
        setting.says(claims, field::checkpoint::STATES, SavedStates::Weights);
    }
}

/// The variables that name the directory of downloaded weights, the strongest first, each with the path below its own.
const CACHES: &[(&str, &str)] = &[
    ("HF_HUB_CACHE", ""),
    ("HUGGINGFACE_HUB_CACHE", ""),
    ("TRANSFORMERS_CACHE", ""),
    ("HF_HOME", "/hub"),
    ("XDG_CACHE_HOME", "/huggingface/hub"),
];
/// The variables that forbid downloads.
const OFFLINE: &[&str] = &["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"];

/// Claims where weights are downloaded to, and whether they are.
pub(crate) fn downloads(launch: &Launch, claims: &mut Claims) {
    if !claims.knows(field::model::NAME) {
        return;
    }
    let variable = |name: &str| launch.environment.get(name).map(str::trim).filter(|text| !text.is_empty());
    let offline = OFFLINE.iter().find_map(|name| Some((*name, variable(name)?)));
    if let Some((name, text)) = offline
        && ["1", "on", "yes", "true"].contains(&text.to_ascii_lowercase().as_str())
    {
        claims.environment(field::host::DOWNLOADS, false, name);
    }
    if let Some((name, path)) = CACHES.iter().find_map(|(name, below)| {
        let path = variable(name)?.trim_end_matches('/');
        Some((*name, format!("{path}{below}")))
    }) && path.len() <= 253
    {
        claims.environment(field::host::HUB_CACHE, path, name);
    }
}
