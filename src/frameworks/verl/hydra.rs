//! Hydra's settings: words of the command, then the files that they choose.
//!
//! ```text
//! data.max_length=2048                        a setting
//! --config-path=/configs --config-name=sft    the file /configs/sft.yaml
//! +override=helm                              the file override/helm.yaml, which lies beside the configuration
//! ```

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::settings::{Place, Settings};

/// The most files that words choose.
const MOST_FILES: usize = 16;

/// The settings of a launch.
pub(super) fn settings<'l>(launch: &'l Launch, claims: &mut Claims) -> Settings<'l> {
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let chosen = launch.arguments.words().iter().filter(|word| word.known).filter_map(|word| {
        let (group, name) = word.text.trim_start_matches('+').split_once('=')?;
        let plain = |text: &str| !text.is_empty() && !text.contains(['.', '/', '-']);
        (plain(group) && plain(name)).then(|| format!("{group}/{name}.yaml"))
    });
    let known = chosen.filter(|path| launch.files.meant(path).is_some());
    let mut paths: Vec<String> = known.take(MOST_FILES).collect();
    paths.extend(configuration(launch));
    for path in paths {
        if let Some(file) = config::named(launch, &path, "--config-name", claims) {
            settings.add(Place::File(file));
        }
    }
    settings
}

/// The file of `--config-path` and `--config-name`, if the folder is not the package's own.
fn configuration(launch: &Launch) -> Option<String> {
    let folder = launch.arguments.value("config-path").or_else(|| launch.arguments.value("config-dir"))?;
    let name = launch.arguments.value("config-name")?.trim_end_matches(".yaml");
    Some(format!("{}/{name}.yaml", folder.trim_end_matches('/')))
}
