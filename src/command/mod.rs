//! The effective command: the programs that a workload's containers run, behind their shells, wrappers and launchers.
//!
//! ```text
//! command + args ─► words ─► [shell script ─► statements] ─► wrappers skipped ─► launchers ─► target and its arguments
//! ```
//!
//! Nothing is ever executed. A word that depends on an unknown value is kept and marked as incomplete, and no reader
//! uses it.

mod arguments;
mod container;
pub(crate) mod downloads;
mod environment;
pub(crate) mod files;
#[cfg(test)]
mod hostile;
pub(crate) mod known;
pub(crate) mod launchers;
mod options;
mod prepared;
mod programs;
pub(crate) mod purpose;
pub(crate) mod python;
mod run;
mod shell;
#[cfg(test)]
mod tests;
mod text;
mod wrappers;

pub(crate) use arguments::{Arguments, Word};
pub(crate) use environment::Environment;
pub use shell::set_by_others;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use self::container::Container;
use self::run::{Budget, Run, Start};
use crate::command::downloads::Downloads;
use crate::command::files::Files;
use crate::command::prepared::Prepared;
use crate::command::python::Script;
use crate::job::Gap;
use crate::kinds::requests::Request;
use crate::kinds::{Entrypoint, PodGroup};
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// The most programs that are kept.
const MOST_LAUNCHES: usize = 64;

/// One program that trains, as it is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// The place of the command, for provenance: `container trainer`, `entrypoint`.
    pub(crate) place: String,
    /// The path of the template of its pods. None for a command that no pod template holds.
    pub(crate) group: Option<String>,
    /// Its launchers, the outermost first: `mpirun`, `torchrun`, `accelerate launch`.
    pub(crate) launchers: Vec<Launcher>,
    /// The program that is started.
    pub(crate) target: Target,
    /// The target's own arguments.
    pub(crate) arguments: Arguments,
    /// Its environment.
    pub(crate) environment: Environment,
    /// The files that it can read, as far as they are known.
    pub(crate) files: Files,
    /// The models that the object downloads, by folder.
    pub(crate) downloads: Arc<Downloads>,
    /// The branches around it, the outermost first. It is started only if all of them are taken.
    pub(crate) branches: Vec<Branch>,
    /// Whether something before it was not read. It may then start in another way than it was read.
    pub(crate) behind_gap: bool,
    /// Whether it reads a file that only a branch writes.
    pub(crate) reads_of_branches: bool,
    /// How many accelerators its container asks for.
    pub(crate) accelerators: u64,
    /// Whether it stands in an init container.
    pub(crate) init: bool,
    /// The image whose own program it is, for a container without a command.
    pub(crate) image: Option<String>,
    /// The Python program, if its text is known.
    pub(crate) script: Option<Arc<Script>>,
}

/// The programs that the pods run, as far as their commands can be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    /// The programs.
    pub(crate) launches: Vec<Launch>,
    /// The first part that was not read.
    pub(crate) gap: Option<Gap>,
}

/// A program that starts the target once for each accelerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Launcher {
    /// Its name without a path: `torchrun`. A subcommand belongs to the name: `accelerate launch`.
    pub(crate) name: String,
    /// Its own arguments.
    pub(crate) arguments: Arguments,
}

/// One branch of a decision in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// The number of the decision.
    pub(crate) decision: usize,
    /// The number of the branch.
    pub(crate) number: usize,
}

/// The program that a launch starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// A Python file, with its path: `/workspace/pretrain_gpt.py`.
    Script(String),
    /// A Python module: `axolotl.cli.train`.
    Module(String),
    /// A program, without its path, with its subcommands: `llamafactory-cli train`.
    Program(String),
    /// A program without a name: an image's own entrypoint, a script from standard input.
    #[default]
    Unknown,
}

impl Launch {
    /// The launcher of this name.
    pub(crate) fn launcher(&self, name: &str) -> Option<&Launcher> {
        self.launchers.iter().find(|launcher| launcher.name == name)
    }

    /// Whether it stands in a branch that may not be taken.
    pub(crate) fn perhaps(&self) -> bool {
        !self.branches.is_empty()
    }

    /// Whether only one of the two can be started: they stand in different branches of one decision.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        let differs = |one: &Branch| {
            other
                .branches
                .iter()
                .any(|another| one.decision == another.decision && one.number != another.number)
        };
        self.branches.iter().any(differs)
    }

    /// Whether each run that starts the one in more branches also starts the other.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.branches.starts_with(&other.branches) || other.branches.starts_with(&self.branches)
    }

    /// Whether it starts processes in other pods.
    pub(crate) fn reaches_others(&self) -> bool {
        const REACHING: &[&str] = &["mpirun", "horovodrun", "srun", "colossalai run", "ray job submit"];
        let hostfile = |launcher: &Launcher| {
            ["--hostfile", "-H", "--deepspeed_hostfile"].iter().any(|option| launcher.arguments.has(option))
        };
        self.launchers.iter().any(|launcher| REACHING.contains(&launcher.name.as_str()) || hostfile(launcher))
    }

    /// Whether another launch runs the same program in the same way, with any arguments.
    pub(crate) fn runs_the_same(&self, other: &Self) -> bool {
        let names = |launch: &Self| launch.launchers.iter().map(|l| l.name.clone()).collect::<Vec<_>>();
        let same_target = match (&self.target, &other.target) {
            (Target::Script(one), Target::Script(another)) => basename(one) == basename(another),
            (one, another) => one == another,
        };
        same_target && names(self) == names(other)
    }

    /// Whether the target is a Python file of one of these names, in any folder.
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

    /// The first program that these words start.
    #[cfg(test)]
    pub(crate) fn of_words(words: &[&str]) -> Self {
        Self::started(words, &[], &[])
    }

    /// The same, in an environment and with files.
    #[cfg(test)]
    pub(crate) fn started(words: &[&str], variables: &[(&str, &str)], texts: &[(&str, &str)]) -> Self {
        let words: Vec<Word> = words.iter().map(|word| Word::known(*word)).collect();
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).into(), Some((*value).into()))).collect();
        let mut files = Files::default();
        for (path, text) in texts {
            files.add(path, (*text).into(), "ConfigMap training-config".into());
        }
        let mut budget = Budget::new();
        let mut run = Run::new("", files, &mut budget);
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

/// Every program that the pods run. Containers that ask for accelerators come first.
///
/// Variables and files come from known ConfigMaps of the namespace, and never from Secrets.
pub(crate) fn launches(
    groups: &[PodGroup<'_>],
    entrypoint: Option<Entrypoint<'_>>,
    requests: &[Request<'_>],
    around: &Surroundings,
    namespace: &str,
) -> Commands {
    let (containers, more) = container::ordered(groups, requests);
    let mut budget = Budget::of_preparations();
    let prepared: BTreeMap<_, _> = groups
        .iter()
        .map(|group| (group.path.as_str(), prepared::prepared(group, &mut budget, around, namespace)))
        .collect();
    let (launches, downloads) = (Vec::new(), Downloads::default());
    let mut read = Read { launches, downloads, prepared, budget: Budget::new() };
    if let Some(entrypoint) = entrypoint {
        // The first group is the head, where an entrypoint runs.
        let head = groups.first().map(|group| group.path.as_str());
        let in_head = containers.iter().find(|container| Some(container.group.path.as_str()) == head);
        read.entrypoint(entrypoint, in_head.or(containers.first()), around, namespace);
    }
    for container in &containers {
        if read.launches.len() >= MOST_LAUNCHES {
            read.budget.leave_out(Gap::Programs);
            break;
        }
        read.container(container, around, namespace);
    }
    if more {
        read.budget.leave_out(Gap::Containers);
    }
    read.finished()
}

/// What was read of the pods so far.
struct Read<'g> {
    launches: Vec<Launch>,
    downloads: Downloads,
    /// By the path of the group.
    prepared: BTreeMap<&'g str, Vec<Prepared>>,
    budget: Budget,
}

impl Read<'_> {
    /// Reads a script that starts in a container of the head.
    fn entrypoint(
        &mut self,
        entrypoint: Entrypoint<'_>,
        container: Option<&Container<'_>>,
        around: &Surroundings,
        namespace: &str,
    ) {
        let own = entrypoint.environment.into_iter().map(|(name, value)| (name, Word::known(value)));
        let environment = container.map(|container| Environment::of(container.spec, around, namespace));
        let files = container.map(|container| self.files(container, around, namespace));
        let environment = environment.unwrap_or_default();
        let started = shell::with(&environment, own.collect());
        let mut run = Run::new("entrypoint", files.unwrap_or_default(), &mut self.budget);
        run.starts_in(&environment);
        entrypoint.gap.into_iter().for_each(|gap| run.budget.leave_out(gap));
        run.downloads = std::mem::take(&mut self.downloads);
        shell::read(entrypoint.script, &[], &Start::of(&started, None), &mut run);
        self.launches.append(&mut run.launches);
        self.downloads = run.downloads;
    }

    /// The files that a container finds.
    fn files(&self, container: &Container<'_>, around: &Surroundings, namespace: &str) -> Files {
        let mut files = Files::of(container.group.template, container.spec, around, namespace);
        if let Some(prepared) = self.prepared.get(container.group.path.as_str()) {
            prepared::add(&mut files, prepared, container.spec);
        }
        files
    }

    /// Reads what a container starts.
    fn container(&mut self, container: &Container<'_>, around: &Surroundings, namespace: &str) {
        let spec = container.spec;
        let name = spec.get("name").and_then(Value::as_str).unwrap_or_default();
        let place = format!("container {}", printable(name, 63));
        let environment = Environment::of(spec, around, namespace);
        let directory = spec.get("workingDir").and_then(Value::as_str).map(str::to_owned);
        let start = Start::of(&environment, directory);
        let files = self.files(container, around, namespace);
        let mut run = Run::new(&place, files, &mut self.budget);
        run.starts_in(&environment);
        run.downloads = std::mem::take(&mut self.downloads);
        run.container(spec, &start);
        self.downloads = std::mem::take(&mut run.downloads);
        for launch in &mut run.launches {
            launch.group = Some(container.group.path.clone());
            launch.accelerators = container.accelerators;
            launch.init = container.init;
        }
        self.launches.append(&mut run.launches);
    }

    /// The launches, each with the downloads of all.
    fn finished(mut self) -> Commands {
        if self.launches.len() > MOST_LAUNCHES {
            self.budget.leave_out(Gap::Programs);
            self.launches.truncate(MOST_LAUNCHES);
        }
        for launch in &self.launches {
            self.downloads.of_program(launch);
        }
        let downloads = Arc::new(self.downloads);
        for launch in &mut self.launches {
            launch.downloads = downloads.clone();
        }
        Commands { launches: self.launches, gap: self.budget.into_gap() }
    }
}

/// A program's name without its path.
pub(crate) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
