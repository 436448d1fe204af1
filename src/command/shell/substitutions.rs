//! Command substitutions that may start a training: `LOG=$(torchrun train.py | tail -1)`.
//!
//! A substitution is a subshell. The programs that it starts count. The text that it prints stays unknown. Most
//! substitutions only look: `$(date)`, `$(nvidia-smi -L | wc -l)`. These are not read, and a look at the hardware is
//! not kept.

use crate::command::options::has_ending;
use crate::command::programs::{SHELLS, is_python};
use crate::command::shell::Shell;
use crate::command::shell::variables::State;
use crate::command::{Launch, Target, basename, known, launchers};

impl Shell<'_, '_, '_> {
    /// Reads the substitutions of the words that were expanded last.
    pub(crate) fn substituted(&mut self, state: &State) {
        for script in std::mem::take(&mut self.substitutions) {
            if !may_start(&script, state) || !self.run.budget.statement(state.size()) {
                continue;
            }
            let (found, gaps) = (self.run.launches.len(), self.run.budget.gaps());
            self.depth += 1;
            self.script(&script, &mut state.clone());
            self.depth -= 1;
            // A subshell cannot change the shell around it, even if a part of it is not read.
            self.run.harmless += self.run.budget.gaps() - gaps;
            let started = self.run.launches.split_off(found.min(self.run.launches.len()));
            self.run.launches.extend(started.into_iter().filter(may_train));
        }
    }
}

/// Whether a substitution names a launcher, Python, a shell, a script or a function.
fn may_start(script: &str, state: &State) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let mut words = script.split(|c: char| !is_part(c)).filter(|word| !word.is_empty());
    script.starts_with('$')
        || words.any(|word| {
            let name = basename(word);
            is_python(name)
                || SHELLS.contains(&name)
                || has_ending(name, "py")
                || has_ending(name, "sh")
                || state.functions.contains_key(word)
                || launchers::begins_with(name)
                || known::begins_with(name)
        })
}

/// Whether it is more than a look: a launcher, a Python file, a program with its subcommand.
fn may_train(launch: &Launch) -> bool {
    let is_named = match &launch.target {
        Target::Script(_) | Target::Module(_) => true,
        Target::Program(name) => name.contains(' '),
        Target::Unknown => false,
    };
    !launch.launchers.is_empty() || is_named
}
