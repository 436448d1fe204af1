//! Options about data loaders and saves. Every framework has them, under its own names.

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
