//! Commands that print and write files without a redirection: `cat FILE`, `tee FILE`, `cp`, `mv` and `ln`.

use crate::command::options::has_ending;
use crate::command::shell::variables::State;
use crate::command::shell::{Shell, builtins};
use crate::command::text::Text;
use crate::job::Gap;

/// The most files that one command copies.
const MOST: usize = 256;

impl Shell<'_, '_, '_> {
    /// The output of a command, if it is known. `cat` with known files counts.
    pub(crate) fn printed(&mut self, words: &[Text], input: Option<&Text>, state: &State) -> Option<Text> {
        let operands = words.iter().skip(1).filter(|word| !word.shown().starts_with('-'));
        let operands: Vec<&Text> = operands.collect();
        if words.first().and_then(Text::as_known) != Some("cat") || operands.is_empty() {
            return builtins::printed(words, input);
        }
        let mut all = Text::default();
        for path in operands {
            all.append(&self.file(path, state)?);
        }
        Some(all)
    }

    /// The text of a file, if it is known.
    pub(crate) fn file(&mut self, path: &Text, state: &State) -> Option<Text> {
        let file = self.run.files.get(&state.path(path.as_known()?))?;
        if !file.is_certain_in(&self.run.branches) {
            return None;
        }
        // Programs may read large files, too, so a copy must be cheap. It still counts.
        self.run.budget.bytes(64 + file.text.len() / 16).then(|| Text::known(&file.text))
    }

    /// `tee`: writes its input into files.
    pub(crate) fn tee(&mut self, rest: &[Text], input: Option<&Text>, state: &State) {
        let append = rest.iter().any(|word| matches!(word.as_known(), Some("-a" | "--append")));
        for path in rest.iter().filter(|word| !word.shown().starts_with('-')) {
            self.keep(path, input.map(Text::shown), append, state);
        }
    }

    /// Writes text into a file. Of a path with an unknown folder, the end may still tell the file: `$HF_HOME/accelerate/a.yaml`.
    pub(crate) fn keep(&mut self, path: &Text, text: Option<String>, append: bool, state: &State) {
        let path = match path.as_known() {
            Some(path) => state.path(path),
            None => {
                Some(path.shown()).filter(|path| path.starts_with('$') && is_config(path)).unwrap_or_default()
            }
        };
        if path.is_empty() {
            return;
        }
        if !path.starts_with("/dev/") {
            self.run.write(&path, text, append);
        }
    }

    /// `cp`, `mv`, `ln`: the same files at another path. A moved file also stays at its old path: a script that
    /// starts it there would fail at once.
    pub(crate) fn copy(&mut self, rest: &[Text], state: &State) {
        let operands: Vec<&Text> = rest.iter().filter(|word| !word.shown().starts_with('-')).collect();
        let Some((to, from)) = operands.split_last() else { return };
        let Some(to) = to.as_known().map(|to| state.path(to)) else { return };
        for from in from.iter().filter_map(|from| from.as_known()) {
            let copies = self.run.files.copies(&state.path(from), &to);
            if copies.len() > MOST {
                return self.run.budget.leave_out(Gap::Files);
            }
            for (path, file) in copies {
                if !self.run.budget.bytes(64 + path.len()) {
                    return;
                }
                // Known in the branches that write the file and copy it.
                let (written, copied) = (&file.branches, &self.run.branches);
                let branches = if written.len() > copied.len() { written } else { copied }.clone();
                self.run.files.add_in(&path, file.text, file.source, &branches);
            }
        }
    }
}

/// Whether the path is that of a configuration, in a folder.
fn is_config(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(_, name)| has_ending(name, "yaml") || has_ending(name, "json"))
}
