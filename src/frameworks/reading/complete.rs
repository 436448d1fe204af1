//! Whether a command says all that it says in words that are known.
//!
//! A word that nobody knows (`$EXTRA_ARGS`) may be an option's value, and then that value alone is open; where it stands by
//! itself, it may be any further options, and what a program does where nothing is given is no longer what it does.

use crate::command::Arguments;
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings;

/// How a program's options are written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Options that stand alone, without dashes and with `-` for `_`.
    pub(crate) alone: &'static [&'static str],
    /// Beginnings of such options.
    pub(crate) alone_beginnings: &'static [&'static str],
    /// Options that begin so and take a value.
    pub(crate) valued: &'static [&'static str],
    /// Options that take several values.
    pub(crate) lists: &'static [&'static str],
}

impl Written {
    /// Whether a word that nobody knows may be options rather than an option's value.
    pub(crate) fn may_hold_more(&self, arguments: &Arguments) -> bool {
        let mut value = false;
        let mut list = false;
        arguments.words().iter().any(|word| {
            let Some(option) = word.text.strip_prefix("--") else {
                let expected = value || list;
                value = false;
                // `key=$VALUE` has its value within.
                return !word.known && !expected && (word.text.starts_with('$') || !word.text.contains('='));
            };
            let (name, within) = option.split_once('=').map_or((option, false), |(name, _)| (name, true));
            let name = name.replace('_', "-");
            let is = |names: &[&str]| names.contains(&name.as_str());
            let begins = self.alone_beginnings.iter().any(|begin| name.starts_with(begin));
            list = is(self.lists);
            value = !within && !is(self.alone) && (!begins || is(self.valued));
            // `--$NAME`
            !word.known && !within
        })
    }
}

/// The leanest that a field may be, where what is said of it is not understood; batches and lengths are open anyway.
const LEANEST: &[(&str, &str)] = &[
    ("finetuning.method", "LoRA"),
    ("gradientPrecision", "BF16"),
    ("mainParameterPrecision", "BF16"),
    ("offload.activations", "true"),
    ("offload.optimizer", "true"),
    ("offload.parameters", "true"),
    ("optimizer", "SGD"),
    ("optimizerPrecision", "BF16"),
    ("parallelism.context", "8"),
    ("parallelism.expert", "64"),
    ("parallelism.expertTensor", "8"),
    ("parallelism.pipeline", "16"),
    ("parallelism.sharding", "FSDP"),
    ("parallelism.tensor", "8"),
    ("parameterPrecision", "BF16"),
    ("recompute", "Full"),
];

/// Leaves open what is said and not understood: `--tensor-model-parallel-size $TP` may divide by eight.
pub(crate) fn leave_open(said: &mut Said) {
    for field in said.unread.clone() {
        if let Some((field, leanest)) = LEANEST.iter().find(|(known, _)| *known == field) {
            said.may(field, settings::word(leanest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Word;

    #[test]
    fn a_word_that_stands_by_itself_may_be_anything() {
        const WRITTEN: Written =
            Written { alone: &["bf16"], alone_beginnings: &["use-"], valued: &["use-n"], lists: &["data"] };
        for (words, expected) in [
            ("--a $A --b=$B --c 1", false),
            ("--bf16 $MORE", true),
            ("--use-it $MORE", true),
            ("--use-n $N", false),
            ("--data 1 $A 2 $B", false),
            ("--a 1 $MORE", true),
            ("--$NAME 3", true),
            ("key=$VALUE", false),
            ("$KEY=3", true),
        ] {
            let words = words.split(' ').map(|word| Word { text: word.into(), known: !word.contains('$') });
            let arguments = Arguments::of(words.collect());
            assert_eq!(WRITTEN.may_hold_more(&arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn what_is_not_understood_may_be_at_its_leanest() {
        let mut said = Said::default();
        said.unread("parallelism.tensor");
        said.unread("model.layers");
        leave_open(&mut said);
        assert_eq!(said.unsaid, [("parallelism.tensor", 8.into())]);
        for (field, leanest) in LEANEST {
            let value = crate::job::read_field(field, &settings::word(leanest));
            assert!(matches!(value, Ok(Some(_))), "{field}");
        }
    }
}
