//! The options of a program that starts another one. Which of them take a value decides where that program begins.

use crate::command::Word;

/// The options of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Which options take a value, by their names without leading dashes and with `-` for `_`.
    pub(crate) takes: Takes,
    /// Options that take two values.
    pub(crate) pairs: &'static str,
    /// The beginning of further options that take a value. Empty if there are none.
    pub(crate) valued_beginning: &'static str,
}

/// Which options take a value: their names, separated by blanks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// These do, the others are switches.
    These(&'static str),
    /// These are switches, the others take one.
    AllBut(&'static str),
}

impl Options {
    /// These options take a value, and no others.
    pub(crate) const fn these(names: &'static str) -> Self {
        Self { takes: Takes::These(names), pairs: "", valued_beginning: "" }
    }

    /// These options take no value, and all others do.
    pub(crate) const fn all_but(names: &'static str) -> Self {
        Self { takes: Takes::AllBut(names), pairs: "", valued_beginning: "" }
    }

    /// How many words an option takes, its name included. None if the word is no option.
    pub(crate) fn width(&self, word: &Word) -> Option<usize> {
        let name = word.text.strip_prefix('-').filter(|rest| !rest.is_empty())?;
        let long = name.starts_with('-');
        if name.contains('=') {
            return Some(1);
        }
        let name = plain(name);
        let listed = |names: &str| names.split_ascii_whitespace().any(|known| known == name);
        // argparse accepts an unambiguous beginning of a long option's name.
        let begins = |names: &str| {
            long && name.len() > 3 && names.split_ascii_whitespace().any(|known| known.starts_with(&name))
        };
        if listed(self.pairs) {
            return Some(3);
        }
        let further = !self.valued_beginning.is_empty() && name.starts_with(self.valued_beginning);
        let valued = match self.takes {
            Takes::These(names) => listed(names) || begins(names) || further,
            Takes::AllBut(names) => {
                // `-n8` contains its value.
                let within = !long && name.len() > 1;
                !(listed(names) || begins(names) || within)
            }
        };
        Some(if valued { 2 } else { 1 })
    }

    /// The index of a launcher's target: of a Python file, or of any command.
    pub(crate) fn target(&self, words: &[Word], python: bool) -> usize {
        let mut at = self.operand(words);
        while is_unlisted_value(words, at, python) {
            at += 1;
            at += self.operand(words.get(at..).unwrap_or_default());
        }
        at
    }

    /// The index of the first word that is no option.
    ///
    /// An unknown word may be options, or the target itself. It is skipped if the target is seen behind it: a word
    /// with the right ending, or `-m`.
    pub(crate) fn operand(&self, words: &[Word]) -> usize {
        let mut at = 0;
        while let Some(word) = words.get(at) {
            if word.text == "--" {
                return at + 1;
            }
            match self.width(word) {
                Some(width) => at += width,
                None if !word.known && word.text.starts_with(['$', '`']) => {
                    let behind = words.get(at + 1..).unwrap_or_default();
                    if !behind
                        .iter()
                        .any(|word| word.known && (word.text == "-m" || has_ending(&word.text, "py")))
                    {
                        return at;
                    }
                    at += 1;
                }
                None => return at,
            }
        }
        words.len()
    }
}

/// Whether a word is rather the value of an option that our lists do not know. It is if it is a number, or if a
/// Python file is expected here and comes later.
fn is_unlisted_value(words: &[Word], at: usize, python: bool) -> bool {
    let before = at.checked_sub(1).and_then(|before| words.get(before));
    let is_option = |word: &Word| word.text.starts_with('-') && !word.text.contains('=') && word.text != "-m";
    let Some(word) = words.get(at).filter(|_| before.is_some_and(is_option)) else { return false };
    let behind = words.get(at + 1..).unwrap_or_default();
    let is_python = |word: &Word| word.known && has_ending(&word.text, "py");
    let is_number = word.text.bytes().all(|b| b.is_ascii_digit());
    let is_to_come = python
        && !(word.text.contains('/') || is_python(word))
        && behind.iter().take_while(|word| !word.text.starts_with('-')).any(is_python);
    !behind.is_empty() && (is_number || is_to_come)
}

/// Whether a path has this ending.
pub(crate) fn has_ending(path: &str, ending: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, given)| given == ending)
}

/// An option's name without leading dashes, and with `-` for `_`.
pub(crate) fn plain(name: &str) -> String {
    name.trim_start_matches('-').replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(words: &[&str]) -> Vec<Word> {
        words.iter().map(|word| Word::known(*word)).collect()
    }

    #[test]
    fn the_value_of_an_unlisted_option_is_not_the_target() {
        assert_eq!(LISTED.target(&known(&["--new", "x", "a.py", "b"]), true), 2);
        assert_eq!(LISTED.target(&known(&["--new", "python", "a.py"]), false), 1);
        assert_eq!(LISTED.target(&known(&["--new", "7", "--n", "2", "python", "a.py"]), false), 4);
        assert_eq!(LISTED.target(&known(&["--new", "a", "--x", "b.py"]), true), 1);
    }

    const LISTED: Options = Options { pairs: "mca", ..Options::these("nnodes nproc-per-node n") };

    fn operand(options: &Options, words: &[&str]) -> usize {
        let words: Vec<Word> =
            words.iter().map(|word| Word { text: (*word).into(), known: !word.starts_with('$') }).collect();
        options.operand(&words)
    }

    #[test]
    fn the_target_is_the_first_word_that_belongs_to_no_option() {
        assert_eq!(operand(&LISTED, &["--nnodes", "2", "--nproc_per_node=8", "a"]), 3);
        assert_eq!(operand(&LISTED, &["--standalone", "--nproc", "8", "a"]), 3);
        assert_eq!(operand(&LISTED, &["-mca", "btl", "self", "-n", "4", "--", "a"]), 6);
        assert_eq!(operand(&LISTED, &["$ARGS", "a.py", "b"]), 1);
        assert_eq!(operand(&LISTED, &["$SCRIPT", "--x", "b"]), 0);
        assert_eq!(operand(&LISTED, &["--nnodes"]), 1);
        let switches = Options::all_but("use-fsdp");
        assert_eq!(operand(&switches, &["--use_fsdp", "--num_processes", "8", "--x=1", "a"]), 4);
    }
}
