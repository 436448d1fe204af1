//! The effective command: what a workload's containers run, once shells, wrappers and launchers are looked through.
//!
//! ```text
//! command + args ─► words ─► [shell script ─► statements] ─► wrappers skipped ─► launchers ─► target and its arguments
//! ```
//!
//! Nothing is ever executed. A word whose value depends on something that the object does not say is kept, marked as
//! incomplete, and believed by nobody.

mod arguments;
mod environment;

pub(crate) use arguments::{Arguments, Word};
pub(crate) use environment::Environment;

use super::accelerator::Request;
use super::files::Files;
use super::kinds::{Entrypoint, PodGroup};
use crate::surroundings::ConfigMaps;

/// One program that trains, as it is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// Where the command stands, for provenance: `container trainer`, `entrypoint`.
    pub(crate) place: String,
    /// What starts it, the outermost first: `mpirun`, `torchrun`, `accelerate launch`.
    pub(crate) launchers: Vec<Launcher>,
    /// What is started.
    pub(crate) target: Target,
    /// The target's own arguments.
    pub(crate) arguments: Arguments,
    /// The environment that it starts in.
    pub(crate) environment: Environment,
    /// The files that it can read, as far as they are known.
    pub(crate) files: Files,
}

/// A program that starts the target once for each accelerator.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    /// Its name without a path: `torchrun`; with its subcommand where it has one: `accelerate launch`.
    pub(crate) name: String,
    /// Its own arguments.
    pub(crate) arguments: Arguments,
}

/// What is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// A Python file, with its path: `/workspace/pretrain_gpt.py`.
    Script(String),
    /// A Python module: `axolotl.cli.train`.
    Module(String),
    /// A program, without its path, with the subcommands behind it: `llamafactory-cli train`.
    Program(String),
    /// Nothing that can be named: an image's own entrypoint, a script from standard input.
    #[default]
    Unknown,
}

impl Launch {
    /// The launcher of this name.
    pub(crate) fn launcher(&self, name: &str) -> Option<&Launcher> {
        self.launchers.iter().find(|launcher| launcher.name == name)
    }

    /// Whether the target is a Python file of one of these names, wherever it lies.
    pub(crate) fn runs_script(&self, names: &[&str]) -> bool {
        matches!(&self.target, Target::Script(path) if names.contains(&basename(path)))
    }

    /// Whether the target is this module.
    pub(crate) fn runs_module(&self, module: &str) -> bool {
        matches!(&self.target, Target::Module(name) if name == module)
    }

    /// A launch out of the words of a command.
    #[cfg(test)]
    pub(crate) fn of_words(words: &[&str]) -> Self {
        let words = words.iter().map(|word| Word::known(*word)).collect();
        of_command(words)
    }

    /// A launch in an environment.
    #[cfg(test)]
    pub(crate) fn with_environment(mut self, variables: &[(&str, &str)]) -> Self {
        self.environment =
            variables.iter().map(|(name, value)| ((*name).into(), Some((*value).into()))).collect();
        self
    }

    /// A launch that can read a file.
    #[cfg(test)]
    pub(crate) fn with_file(mut self, path: &str, text: &str) -> Self {
        self.files.add(path, text.into(), "ConfigMap training-config");
        self
    }
}

/// Every program that the pods run, those of containers that ask for accelerators first.
///
/// Variables and files come from ConfigMaps of the namespace, where these are known; never from Secrets.
pub(crate) fn launches(
    groups: &[PodGroup<'_>],
    _entrypoint: Option<Entrypoint<'_>>,
    _requests: &[Request<'_>],
    _config_maps: &ConfigMaps,
    _namespace: &str,
) -> Vec<Launch> {
    let containers = groups.iter().flat_map(|group| {
        group.template.pointer("/spec/containers").and_then(serde_json::Value::as_array).into_iter().flatten()
    });
    containers
        .map(|container| {
            let list =
                |key: &str| container.get(key).and_then(serde_json::Value::as_array).into_iter().flatten();
            let words = list("command").chain(list("args"));
            let words = words.filter_map(serde_json::Value::as_str).map(Word::known).collect();
            let name = container.get("name").and_then(serde_json::Value::as_str).unwrap_or_default();
            Launch { place: format!("container {name}"), ..of_command(words) }
        })
        .collect()
}

/// Splits a command into its launchers and what they start.
fn of_command(words: Vec<Word>) -> Launch {
    let is_script = |word: &Word| word.text.ends_with(".py");
    let module = words.iter().position(|word| word.text == "-m");
    let script = words.iter().position(is_script);
    let (begin, target) = match (module, script) {
        (Some(at), script) if script.is_none_or(|script| at < script) => {
            let name = words.get(at + 1).map(|word| word.text.clone()).unwrap_or_default();
            (at + 2, Target::Module(name))
        }
        (_, Some(at)) => {
            (at + 1, Target::Script(words.get(at).map(|word| word.text.clone()).unwrap_or_default()))
        }
        _ => (
            1,
            Target::Program(words.first().map(|word| basename(&word.text).to_owned()).unwrap_or_default()),
        ),
    };
    let launcher = words.first().filter(|_| begin > 1).map(|word| Launcher {
        name: basename(&word.text).to_owned(),
        arguments: Arguments::of(words.get(1..begin.saturating_sub(1)).unwrap_or_default().to_vec()),
    });
    Launch {
        launchers: launcher.into_iter().collect(),
        target,
        arguments: Arguments::of(words.get(begin..).unwrap_or_default().to_vec()),
        ..Launch::default()
    }
}

/// A program's name without its path.
pub(crate) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
