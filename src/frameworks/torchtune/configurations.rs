//! The configurations that torchtune ships: `--config llama3_2/1B_full`.
//!
//! `configurations.tsv` has a line for each: its name, then its settings that decide memory as `key=value`, with values in
//! JSON. Source: `recipes/configs` of the releases 0.4.0, 0.5.0 and 0.6.1, which have the same values.

use serde_json::{Map, Value};

use crate::frameworks::reading::config::Config;

const CONFIGURATIONS: &str = include_str!("configurations.tsv");
const SOURCE: &str = "torchtune 0.6 configuration";

/// The settings of a configuration that is shipped under this name.
pub(super) fn named(name: &str) -> Option<Config> {
    let line = CONFIGURATIONS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'))?;
    let settings = line.split('\t').filter_map(|setting| {
        let (key, value) = setting.split_once('=')?;
        Some((key.to_owned(), serde_json::from_str(value).ok()?))
    });
    Some(Config::new(SOURCE.into(), Value::Object(settings.collect::<Map<_, _>>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_name_with_settings() {
        for line in CONFIGURATIONS.lines().skip(1) {
            let name = line.split('\t').next().unwrap_or_default();
            let settings = named(name).map_or(0, |config| config.tree.as_object().map_or(0, Map::len));
            assert_eq!(settings, line.split('\t').count() - 1, "{name}");
        }
        assert!(named("").is_none() && named("llama3_2/1B").is_none());
    }
}
