//! The options of a program that starts another one: which of them take a value, so that the program behind them is found.

use super::Word;

/// The options of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Which options take a value, by their names without leading dashes and with `-` for `_`.
    pub(super) takes: Takes,
    /// Options that take two values.
    pub(super) pairs: &'static str,
}

/// Which options take a value: their names, apart by blanks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    /// These do, the others are switches.
    These(&'static str),
    /// These are switches, the others take one.
    AllBut(&'static str),
}

impl Options {
    /// Options of which these take a value.
    pub(super) const fn these(names: &'static str) -> Self {
        Self { takes: Takes::These(names), pairs: "" }
    }

    /// Options all of which take a value but these.
    pub(super) const fn all_but(names: &'static str) -> Self {
        Self { takes: Takes::AllBut(names), pairs: "" }
    }

    /// How many words an option takes, itself counted; none where the word is no option.
    pub(super) fn width(&self, word: &Word) -> Option<usize> {
        let name = word.text.strip_prefix('-').filter(|rest| !rest.is_empty())?;
        let long = name.starts_with('-');
        if name.contains('=') {
            return Some(1);
        }
        let name = plain(name);
        let listed = |names: &str| names.split_ascii_whitespace().any(|known| known == name);
        // argparse takes an unambiguous beginning of a long option's name for the whole.
        let begins = |names: &str| {
            long && name.len() > 3 && names.split_ascii_whitespace().any(|known| known.starts_with(&name))
        };
        if listed(self.pairs) {
            return Some(3);
        }
        let valued = match self.takes {
            Takes::These(names) => listed(names) || begins(names),
            Takes::AllBut(names) => {
                // `-n8` has its value within.
                let within = !long && name.len() > 1;
                !(listed(names) || begins(names) || within)
            }
        };
        Some(if valued { 2 } else { 1 })
    }

    /// Where the first word is that is no option, and the options' names before it.
    ///
    /// A word that nobody knows may be options or what is started: where what is started is seen behind it, by its
    /// ending or by `-m`, it is passed over.
    pub(super) fn operand(&self, words: &[Word]) -> usize {
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
                        .any(|word| word.known && (word.text == "-m" || word.text.ends_with(".py")))
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

/// An option's name without leading dashes, and with `-` for `_`.
pub(super) fn plain(name: &str) -> String {
    name.trim_start_matches('-').replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: Options = Options { takes: Takes::These("nnodes nproc-per-node n"), pairs: "mca" };

    fn operand(options: &Options, words: &[&str]) -> usize {
        let words: Vec<Word> =
            words.iter().map(|word| Word { text: (*word).into(), known: !word.starts_with('$') }).collect();
        options.operand(&words)
    }

    #[test]
    fn what_is_started_is_the_first_word_that_belongs_to_no_option() {
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
