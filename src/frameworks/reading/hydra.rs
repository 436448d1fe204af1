//! Hydra's settings: words of the command, then the files that they choose.
//!
//! ```text
//! data.max_length=2048                        a setting
//! --config-path=/configs --config-name=sft    the file /configs/sft.yaml
//! +override=helm                              the file override/helm.yaml, which lies beside the configuration
//! ${actor.path}                               in a file: what another of its keys says
//! ```

use serde_json::Value;

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::settings::{Place, Settings};

/// The most files that words choose.
const MOST_FILES: usize = 16;

/// The settings of a launch.
pub(crate) fn settings<'l>(launch: &'l Launch, claims: &mut Claims) -> Settings<'l> {
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
pub(crate) fn configuration(launch: &Launch) -> Option<String> {
    let folder = launch.arguments.value("config-path").or_else(|| launch.arguments.value("config-dir"))?;
    let name = launch.arguments.value("config-name")?.trim_end_matches(".yaml");
    Some(format!("{}/{name}.yaml", folder.trim_end_matches('/')))
}

/// Puts in place of every reference to another key, `${actor.path}`, what that key says.
pub(crate) fn resolve(config: &mut Config) {
    let keys = Config::new(config.source.clone(), config.tree.clone());
    put_in_place(&mut config.tree, &keys);
}

fn put_in_place(tree: &mut Value, keys: &Config) {
    match tree {
        Value::Object(group) => group.values_mut().for_each(|value| put_in_place(value, keys)),
        Value::Array(values) => values.iter_mut().for_each(|value| put_in_place(value, keys)),
        Value::String(text) => {
            if let Some(value) = referred(text, keys) {
                *tree = value;
            }
        }
        _ => {}
    }
}

/// The value that a reference leads to, unless it is a group.
fn referred(text: &str, keys: &Config) -> Option<Value> {
    /// The most references that lead from one to the next.
    const FURTHEST: usize = 4;
    fn path(text: &str) -> Option<&str> {
        text.strip_prefix("${")?.strip_suffix('}').filter(|path| !path.contains(['$', ':', '{']))
    }
    let mut value = keys.get(path(text)?)?;
    for _ in 0..FURTHEST {
        match value.as_str().and_then(path) {
            Some(next) => value = keys.get(next)?,
            None => return (!value.is_object()).then(|| value.clone()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_has_the_value_that_it_leads_to() {
        let tree = json!({"a": {"b": "x", "c": "${a.b}", "d": "${a.c}", "e": ["${a.b}"]}, "f": "${a}", "g": "${h}",
            "i": "${i}", "j": "${oc.env:A,1}"});
        let mut config = Config::new("file".into(), tree);
        resolve(&mut config);
        let expected = json!({"a": {"b": "x", "c": "x", "d": "x", "e": ["x"]}, "f": "${a}", "g": "${h}",
            "i": "${i}", "j": "${oc.env:A,1}"});
        assert_eq!(config.tree, expected);
    }
}
