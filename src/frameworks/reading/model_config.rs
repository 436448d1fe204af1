//! A model that the job names by a path.
//!
//! If the object downloads a model to this path, that model's name counts. If a file `config.json` is known at the path,
//! because its folder is mounted from a ConfigMap or written by the command, the model's dimensions are read from it
//! ([`crate::model::config`]). They are the file's, as strong as those of any file that the command names.

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::job::{TrainingJob, field};
use crate::model;
use crate::printable::printable;

/// Reads the dimensions of the model that the launch names, if its `config.json` is known.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(name) = claims.get(field::model::NAME) else { return };
    if let Some(model) = launch.downloads.model_in(&name) {
        let named = claims
            .all
            .iter_mut()
            .filter(|claim| claim.field == field::model::NAME && claim.value == name.as_str());
        named.for_each(|claim| claim.value = model.into());
    }
    // The name may be that of the file itself.
    let is_file = config::is_config(&name);
    let path = if is_file { name } else { format!("{}/config.json", name.trim_end_matches('/')) };
    let Some(config) = launch.files.meant(&path).and_then(|file| config::of(file, claims)) else { return };
    of(&config, claims);
}

/// Claims the dimensions of a configuration.
pub(crate) fn of(config: &Config, claims: &mut Claims) {
    // Keys that are not read say nothing about the training.
    config
        .asked
        .borrow_mut()
        .extend(config.tree.as_object().into_iter().flatten().map(|(key, _)| key.clone()));
    match model::config::read(&config.tree) {
        Ok(model) => {
            let job = TrainingJob { model: Some(model), ..TrainingJob::default() };
            for (field, value) in job.values() {
                claims.file(field, value, &config.source, field.member().name());
            }
        }
        Err(error) => claims.warn(printable(&format!("{} {error}", config.source), 120)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Source;

    fn read_beside(path: &str, text: &str) -> Claims {
        let mut claims = Claims::default();
        claims.argument(field::model::NAME, "/models/own/", "--model");
        let launch = Launch::of_words(&["python", "a.py"]).with_file(path, text);
        read(&launch, &mut claims);
        claims
    }

    const LLAMA: &str =
        r#"{"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 256, "vocab_size": 99}"#;

    #[test]
    fn a_config_at_the_models_path_gives_its_dimensions() {
        let claims = read_beside("/models/own/config.json", LLAMA);
        assert_eq!(claims.get(field::model::LAYERS), Some(4));
        assert_eq!(claims.get(field::model::VOCAB_SIZE), Some(99));
        let source = Source::from("ConfigMap training-config").key("layers");
        assert!(claims.all.iter().any(|claim| claim.source == source));
        assert!(claims.files.iter().all(|file| file.unasked().is_empty()));
        assert_eq!(read_beside("/models/other/config.json", LLAMA).get(field::model::LAYERS), None);
    }

    #[test]
    fn a_config_of_no_known_family_is_a_warning() {
        let claims = read_beside("/models/own/config.json", r#"{"model_type": "acme"}"#);
        assert_eq!(claims.get(field::model::LAYERS), None);
        assert_eq!(claims.warnings.len(), 1, "{:?}", claims.warnings);
        assert!(claims.warnings[0].contains("has model_type acme"), "{:?}", claims.warnings);
    }
}
