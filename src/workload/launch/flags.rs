//! Tables of flags: what an argument is called, which field of the spec it sets, and how its value is written.

use serde_json::Value;

use super::said::Said;
use crate::units::Count;
use crate::workload::command::Arguments;

/// A flag of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Its names, as the documentation writes them; the first is the one that is shown.
    pub(crate) names: &'static [&'static str],
    /// The spec's field.
    pub(crate) field: &'static str,
    /// What it takes.
    pub(crate) takes: Takes,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// A whole number.
    Number,
    /// A decimal number, kept as the spec's quoted decimal.
    Decimal,
    /// Any text.
    Text,
    /// Nothing: that it stands there means this value of the spec.
    Word(&'static str),
    /// Nothing: that it stands there means true, or false.
    Switch(bool),
    /// One of these words, each with the spec's value; others say nothing.
    OneOf(&'static [(&'static str, &'static str)]),
}

/// A flag of one name.
pub(crate) const fn flag(names: &'static [&'static str], field: &'static str, takes: Takes) -> Flag {
    Flag { names, field, takes }
}

impl Takes {
    /// Reads a value as the spec's; none where it says nothing.
    pub(crate) fn read(self, text: &str) -> Option<Value> {
        let text = text.trim().trim_matches(['"', '\'']);
        match self {
            Self::Number => number(text).map(Value::from),
            Self::Decimal => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|_| text.into()),
            Self::Text => (!text.is_empty()).then(|| text.into()),
            Self::Word(_) | Self::Switch(_) => None,
            Self::OneOf(words) => words
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(text))
                .map(|(_, value)| (*value).into()),
        }
    }
}

/// A whole number, as Python and people write it: `4096`, `4_096`, `4096.0`, `70B`.
fn number(text: &str) -> Option<u64> {
    let plain = text.replace('_', "");
    plain.parse().ok().or_else(|| Count::parse(&plain).ok().map(|count| count.0))
}

/// Says what every flag of a table that stands among the arguments says.
pub(crate) fn read(table: &[Flag], arguments: &Arguments, said: &mut Said) {
    for flag in table {
        for name in flag.names {
            let value = match flag.takes {
                Takes::Word(value) => arguments.has(name).then(|| value.into()),
                Takes::Switch(value) => arguments.has(name).then(|| value.into()),
                takes => arguments.value(name).and_then(|text| takes.read(text)),
            };
            if let Some(value) = value {
                said.argument(flag.field, value, name);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::command::Launch;

    #[test]
    fn a_table_reads_arguments_into_fields() {
        const TABLE: &[Flag] = &[
            flag(&["--num-layers"], "model.layers", Takes::Number),
            flag(&["--bf16"], "precision", Takes::Word("BF16")),
            flag(
                &["--recompute-granularity"],
                "recompute",
                Takes::OneOf(&[("full", "Full"), ("selective", "Selective")]),
            ),
        ];
        let launch = Launch::of_words(&[
            "torchrun",
            "a.py",
            "--num-layers",
            "80",
            "--bf16",
            "--recompute-granularity=full",
        ]);
        let mut said = Said::default();
        read(TABLE, &launch.arguments, &mut said);
        let said: Vec<_> = said.offers.into_iter().map(|o| (o.field, o.value.to_string())).collect();
        let expected = [("model.layers", "80"), ("precision", "\"BF16\""), ("recompute", "\"Full\"")];
        assert_eq!(said, expected.map(|(f, v)| (f.to_owned(), v.to_owned())));
    }
}
