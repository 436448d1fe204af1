//! A program's arguments, asked by name: `--name value`, `--name=value`, `-name value`, `key=value`.
//!
//! As in argparse, `-` and `_` in a name are the same, and the last of several values counts.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// A word of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// Its text, quotes removed and variables expanded.
    pub(crate) text: String,
    /// Whether all of it is known: no unknown variable is left in it.
    pub(crate) known: bool,
}

impl Word {
    /// A fully known word.
    pub(crate) fn known(text: impl Into<String>) -> Self {
        Self { text: text.into(), known: true }
    }

    /// The known end of a path whose beginning is not known: `models/Llama-2-7b-hf` of `$HOME/models/Llama-2-7b-hf`.
    pub(crate) fn end_of_path(&self) -> Option<&str> {
        let at = self.text.rfind(['$', '}', ')', '`']).filter(|_| !self.known)?;
        let behind = self.text.get(at + 1..)?;
        let name =
            behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len();
        let is_variable = self.text.get(at..)?.starts_with('$');
        let behind = if is_variable { behind.get(name..)? } else { behind };
        behind.strip_prefix('/').map(|path| path.trim_matches(['"', '/'])).filter(|path| !path.is_empty())
    }
}

/// The arguments of a program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    words: Vec<Word>,
    /// The options, by the hash of their names. All readers together ask for hundreds of names.
    options: Vec<(u32, usize)>,
    /// The `key=value` words.
    pairs: Vec<usize>,
    asked: Asked,
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Arguments {}

/// The words that were asked for by name, by their numbers.
#[derive(Clone, Debug, Default)]
struct Asked(RefCell<BTreeSet<usize>>);

impl Arguments {
    /// The arguments that these words are.
    pub(crate) fn of(words: Vec<Word>) -> Self {
        let numbered = || words.iter().enumerate();
        let name = |word: &Word| split(&word.text).map(|(name, _)| hash(name));
        let mut options: Vec<_> = numbered().filter_map(|(at, word)| Some((name(word)?, at))).collect();
        options.sort_unstable();
        let pairs = numbered().filter(|(_, word)| key_and_value(word).is_some()).map(|(at, _)| at).collect();
        Self { words, options, pairs, asked: Asked::default() }
    }

    /// Forgets which words were asked for.
    pub(crate) fn forget_asked(&self) {
        self.asked.0.take();
    }

    /// The number of the options and of the `key=value` words.
    pub(crate) fn options(&self) -> usize {
        self.words.iter().filter(|word| is_option(&word.text) || key_and_value(word).is_some()).count()
    }

    /// The options and the `key=value` words that were not asked for: their names, and their values if these are known.
    /// An option that stands alone is true.
    pub(crate) fn unasked(&self) -> Vec<(&str, Option<&str>)> {
        let asked = self.asked.0.borrow();
        let unasked = (0..self.words.len()).filter(|at| !asked.contains(at));
        unasked.filter_map(|at| self.option(at)).collect()
    }

    /// The option or the `key=value` word with this number, and its value.
    fn option(&self, at: usize) -> Option<(&str, Option<&str>)> {
        let word = self.words.get(at)?;
        match split(&word.text) {
            Some((name, Some(value))) => Some((name, word.known.then_some(value))),
            Some((name, None)) => {
                let next = self.words.get(at + 1).filter(|next| !is_option(&next.text));
                let value = next.map_or(Some("true"), |next| next.known.then_some(next.text.as_str()));
                Some((name, value))
            }
            None => key_and_value(word).map(|(name, value)| (name, Some(value))),
        }
    }

    /// The number of the last word that is the option of a name.
    fn at(&self, name: &str) -> Option<usize> {
        let hash = hash(name);
        let first = self.options.partition_point(|(other, _)| *other < hash);
        let same_hash = self.options.iter().skip(first).take_while(|(other, _)| *other == hash);
        let mut last = None;
        for (_, at) in same_hash {
            if self.words.get(*at).is_some_and(|word| is_named(&word.text, name)) {
                self.asked.0.borrow_mut().insert(*at);
                last = Some(*at);
            }
        }
        last
    }

    /// All words.
    pub(crate) fn words(&self) -> &[Word] {
        &self.words
    }

    /// Whether an option of this name is given, with a value or without.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.at(name).is_some()
    }

    /// The value of an option. None if the option is absent, has no value, or has an unknown value.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let at = self.at(name)?;
        let word = self.words.get(at)?;
        match split(&word.text)?.1 {
            Some(value) => word.known.then_some(value),
            None => self
                .words
                .get(at + 1)
                .filter(|next| next.known && !is_option(&next.text))
                .map(|next| next.text.as_str()),
        }
    }

    /// The words after an option; an unknown word is None. Empty if the option stands alone; None if it is absent.
    pub(crate) fn behind(&self, name: &str) -> Option<Vec<Option<&str>>> {
        let at = self.at(name)?;
        let word = self.words.get(at)?;
        if let Some((_, Some(value))) = split(&word.text) {
            return Some(vec![word.known.then_some(value)]);
        }
        let behind = self.words.iter().skip(at + 1).take_while(|word| !is_option(&word.text));
        Some(behind.map(|word| word.known.then_some(word.text.as_str())).collect())
    }

    /// The known end of the path that an option or a `key=value` word gives, if the path's beginning is not known.
    pub(crate) fn end_of_path(&self, name: &str) -> Option<&str> {
        let unknown = |word: &&Word| !word.known;
        if let Some(at) = self.at(name) {
            let word = self.words.get(at)?;
            let within = word.text.contains('=').then_some(word);
            return within.or_else(|| self.words.get(at + 1)).filter(unknown)?.end_of_path();
        }
        let is_pair = |word: &&Word| {
            let pair = word.text.trim_start_matches('+').split_once('=');
            pair.is_some_and(|(key, _)| key == name)
        };
        self.words.iter().filter(unknown).rfind(is_pair)?.end_of_path()
    }

    /// Whether the last `key=value` word of a key has an unknown value.
    pub(crate) fn is_unknown(&self, key: &str) -> bool {
        let pair =
            |word: &Word| word.text.trim_start_matches('+').split_once('=').map(|(key, _)| key.to_owned());
        let last = self.words.iter().rfind(|word| pair(word).as_deref() == Some(key));
        last.is_some_and(|word| !word.known)
    }

    /// The value of a `key=value` word, as Hydra takes them; also of `++key=value` and `+key=value`.
    pub(crate) fn overridden(&self, key: &str) -> Option<&str> {
        self.last_word(|name| name == key)
    }

    /// The same for a key in groups of any name: `training.model.key=value`.
    pub(crate) fn overridden_in_groups(&self, key: &str) -> Option<&str> {
        self.last_word(|name| name.rsplit('.').next() == Some(key))
    }

    fn last_word(&self, is_meant: impl Fn(&str) -> bool) -> Option<&str> {
        let mut last = None;
        for at in &self.pairs {
            let pair = self.words.get(*at).and_then(key_and_value);
            if let Some((_, value)) = pair.filter(|(name, _)| is_meant(name)) {
                self.asked.0.borrow_mut().insert(*at);
                last = Some(value);
            }
        }
        last
    }
}

/// A known `key=value` word, without the leading `+`.
fn key_and_value(word: &Word) -> Option<(&str, &str)> {
    if !word.known || word.text.starts_with('-') {
        return None;
    }
    word.text.trim_start_matches('+').split_once('=')
}

fn is_option(text: &str) -> bool {
    text.starts_with('-') && text.parse::<f64>().is_err() && text != "-"
}

/// An option's name without dashes, and its value where `=` gives one.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if !is_option(text) {
        return None;
    }
    let text = text.trim_start_matches('-');
    Some(match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    })
}

/// A letter of a name. In names, `-` and `_` are the same.
const fn letter(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// A hash of an option's name, by Fowler, Noll and Vo.
fn hash(name: &str) -> u32 {
    let name = name.trim_start_matches('-').bytes();
    name.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(letter(byte))).wrapping_mul(0x0100_0193))
}

/// Whether an option has a name.
fn is_named(text: &str, name: &str) -> bool {
    let given = split(text).map(|(given, _)| given.bytes().map(letter));
    given.is_some_and(|given| given.eq(name.trim_start_matches('-').bytes().map(letter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Arguments {
        Arguments::of(words.iter().map(|word| Word::known(*word)).collect())
    }

    #[test]
    fn an_option_is_found_in_every_spelling() {
        let given = arguments(&[
            "--tensor_model_parallel_size",
            "8",
            "--lr=1e-4",
            "--bf16",
            "--lr",
            "-2",
            "x=3",
            "++a.b=4",
        ]);
        assert_eq!(given.value("--tensor-model-parallel-size"), Some("8"));
        assert_eq!(given.value("--lr"), Some("-2"));
        assert!(given.has("--bf16") && given.value("--bf16").is_none() && !given.has("--fp16"));
        assert_eq!(given.overridden("x"), Some("3"));
        assert_eq!(given.overridden("a.b"), Some("4"));
    }

    #[test]
    fn the_end_of_a_path_is_known_behind_a_variable() {
        for (text, end) in [
            ("$HOME/models/a", Some("models/a")),
            ("${DIR:-/x}/a", Some("a")),
            ("$(pwd)/models/a/", Some("models/a")),
            ("key=$DIR/a", Some("a")),
            ("$DIR", None),
            ("/models/$NAME", None),
            ("$NAME-7b", None),
        ] {
            assert_eq!(Word { text: text.into(), known: false }.end_of_path(), end, "{text}");
        }
        assert_eq!(Word::known("/models/a").end_of_path(), None);
    }

    #[test]
    fn a_key_with_an_unknown_value_is_there() {
        let unknown = Word { text: "a.b=$TP".into(), known: false };
        let given = Arguments::of(vec![Word::known("a.b=1"), unknown, Word::known("c=2")]);
        assert!(given.is_unknown("a.b") && !given.is_unknown("c") && !given.is_unknown("d"));
    }

    #[test]
    fn an_unknown_value_is_none() {
        let unknown = Word { text: "$TP".into(), known: false };
        assert_eq!(Arguments::of(vec![Word::known("--tp"), unknown]).value("--tp"), None);
    }
}
