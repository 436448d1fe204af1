//! The effective command: what a workload's containers run, once shells, wrappers and launchers are looked through.
//!
//! ```text
//! command + args ─► words ─► [shell script ─► statements] ─► wrappers skipped ─► launchers ─► target and its arguments
//! ```
//!
//! Nothing is ever executed. A word whose value depends on something that the object does not say is kept, marked as
//! incomplete, and believed by nobody.

mod arguments;
mod container;
mod environment;
#[cfg(test)]
mod hostile;
mod launchers;
mod options;
mod programs;
mod run;
mod shell;
#[cfg(test)]
mod tests;
mod text;
mod wrappers;

pub(crate) use arguments::{Arguments, Word};
pub(crate) use environment::Environment;

use serde_json::Value;

use self::run::{Budget, Run, Start};
use super::accelerator::Request;
use super::files::Files;
use super::kinds::{Entrypoint, PodGroup};
use super::printable;
use crate::surroundings::ConfigMaps;

/// Programs that are kept at most.
const MOST_LAUNCHES: usize = 64;

/// One program that trains, as it is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// Where the command stands, for provenance: `container trainer`, `entrypoint`.
    pub(crate) place: String,
    /// Where the template of the pods that it runs in is; none for a command outside of any.
    pub(crate) group: Option<String>,
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
    /// Whether it stands in a branch that may not be taken.
    pub(crate) perhaps: bool,
}

/// A program that starts the target once for each accelerator.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// Whether the target is this program, with its subcommand: `trl sft`.
    pub(crate) fn runs_program(&self, program: &str) -> bool {
        let Target::Program(name) = &self.target else { return false };
        let first = self.arguments.words().first().map(|word| word.text.as_str());
        name == program
            || program
                .split_once(' ')
                .is_some_and(|(own, subcommand)| name == own && first == Some(subcommand))
    }

    /// A launch out of the words of a command: the first program that it starts.
    #[cfg(test)]
    pub(crate) fn of_words(words: &[&str]) -> Self {
        let words: Vec<Word> = words.iter().map(|word| Word::known(*word)).collect();
        let environment = Environment::default();
        let mut budget = Budget::new();
        let mut run = Run::new("", Files::default(), &mut budget);
        run.command(&words, &Start::of(&environment, None));
        run.launches.into_iter().next().unwrap_or_default()
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
        self.files.add(path, text.into(), "ConfigMap training-config".into());
        self
    }
}

/// Every program that the pods run, those of containers that ask for accelerators first.
///
/// Variables and files come from ConfigMaps of the namespace, where these are known; never from Secrets.
pub(crate) fn launches(
    groups: &[PodGroup<'_>],
    entrypoint: Option<Entrypoint<'_>>,
    requests: &[Request<'_>],
    config_maps: &ConfigMaps,
    namespace: &str,
) -> Vec<Launch> {
    let containers = container::ordered(groups, requests);
    let mut launches = Vec::new();
    let mut budget = Budget::new();
    if let Some(entrypoint) = entrypoint {
        let first = containers.first().copied();
        let own = entrypoint.environment.into_iter().map(|(name, value)| (name, Word::known(value)));
        let environment = first.map(|(_, container)| Environment::of(container, config_maps, namespace));
        let files =
            first.map(|(group, container)| Files::of(group.template, container, config_maps, namespace));
        let environment = shell::with(&environment.unwrap_or_default(), own.collect());
        let start = Start::of(&environment, None);
        let mut run = Run::new("entrypoint", files.unwrap_or_default(), &mut budget);
        shell::read(entrypoint.script, &[], &start, &mut run);
        launches.append(&mut run.launches);
    }
    for (group, container) in containers {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let place = format!("container {}", printable(name, 63));
        let environment = Environment::of(container, config_maps, namespace);
        let directory = container.get("workingDir").and_then(Value::as_str).map(str::to_owned);
        let start = Start::of(&environment, directory);
        let files = Files::of(group.template, container, config_maps, namespace);
        let mut run = Run::new(&place, files, &mut budget);
        run.container(container, &start);
        for launch in &mut run.launches {
            launch.group = Some(group.path.clone());
        }
        launches.append(&mut run.launches);
        if launches.len() >= MOST_LAUNCHES {
            break;
        }
    }
    launches.truncate(MOST_LAUNCHES);
    launches
}

/// A program's name without its path.
pub(crate) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
