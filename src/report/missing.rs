//! What is missing: each field with the memory that depends on it, and the line that a person would add.
//!
//! ```text
//! the assumed value    if the job can only need more: the pasted line confirms what is usual
//! a blank to fill in   if the job may need less, or nothing is assumed: `none|full`, `NUMBER`
//! ```
//!
//! A blank cannot be pasted as it is: the value that stands against the job would then be fixed.

use crate::job::field;
use crate::job::grammar::Grammar;
use crate::job::keys::{self, KEYS, Key};
use crate::judgement::{Judgement, Reason, Swing};
use crate::units::Bytes;

use super::form::{FEW_WORDS, Form};

/// A missing value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The annotation's key, without its prefix.
    pub(crate) key: &'static str,
    /// The path of the field of the spec, or of its group.
    pub(crate) field: &'static str,
    /// How much less memory the job may need, if that is known.
    pub(crate) less: Option<Bytes>,
    /// How much more it may need.
    pub(crate) more: Option<Bytes>,
    /// The line to add, to complete where it has a blank.
    pub(crate) line: String,
    /// What else may be written, and what is assumed. None if the line says it all.
    pub(crate) values: Option<String>,
    /// What may be written, in words.
    pub(crate) takes: String,
}

/// Everything that is missing, in the judgement's order.
pub(crate) fn of(judgement: &Judgement, form: Form) -> Vec<Missing> {
    let keys = keys::of_fields(&judgement.missing).into_iter();
    keys.filter_map(|name| KEYS.iter().find(|key| key.name == name))
        .map(|key| one(judgement, key, form))
        .collect()
}

fn one(judgement: &Judgement, key: &Key, form: Form) -> Missing {
    let swing = swing(judgement, key.name);
    // A type that is not known is given, and cannot be confirmed.
    let is_known =
        judgement.reason != Reason::UnknownAccelerator || !key.sets.covers(field::accelerator::KIND.into());
    let assumed = judgement.inputs.iter().find(|input| is_known && key.sets.covers(input.field));
    let assumed = assumed.and_then(|input| written(key, &input.value));
    let may_be_less = swing.is_some_and(|swing| swing.less >= Swing::NOTABLE);
    let confirmed = assumed.clone().filter(|_| !may_be_less);
    let takes = key.grammar.takes();
    Missing {
        key: key.name,
        field: key.path(),
        less: swing.map(|swing| swing.less),
        more: swing.map(|swing| swing.more),
        line: form.line(key, confirmed.as_deref()),
        values: match (key.grammar, &assumed, &confirmed) {
            // The line shows all of its words.
            (Grammar::Word { words, .. }, assumed, None) if words.len() <= FEW_WORDS => {
                assumed.as_ref().map(|assumed| format!("assumed is {assumed}"))
            }
            (Grammar::Word { .. }, Some(assumed), _) => Some(format!("one of {takes}; assumed is {assumed}")),
            (Grammar::Word { .. }, None, _) => Some(format!("one of {takes}")),
            (_, Some(assumed), None) => Some(format!("{takes}; assumed is {assumed}")),
            (_, None, None) => Some(takes.clone()),
            _ => None,
        },
        takes,
    }
}

/// The heaviest swing of a key.
fn swing<'a>(judgement: &'a Judgement, key: &str) -> Option<&'a Swing> {
    judgement.swings.iter().find(|swing| keys::of_field(swing.field) == key)
}

/// The unread word that may change a field of a key.
fn opened_by<'a>(judgement: &'a Judgement, key: &str) -> Option<&'a str> {
    let mut fields = judgement.missing.iter().filter(|field| keys::of_field(**field) == key);
    let words = judgement.words.as_ref()?;
    fields.find_map(|field| words.opens(*field))
}

/// An assumed value as an annotation holds it, without quotes.
fn written(key: &Key, value: &str) -> Option<String> {
    key.grammar.read(key.sets, value)?;
    Some(match key.grammar {
        Grammar::Word { read, words } => {
            let meant = read(value);
            words.iter().find(|word| read(word) == meant).map_or(value, |word| *word).to_owned()
        }
        _ => value.to_owned(),
    })
}

/// The rows of the report: the line, what depends on it, and the other values.
pub(crate) fn lines(judgement: &Judgement, form: Form) -> impl Iterator<Item = Vec<String>> + '_ {
    of(judgement, form).into_iter().map(|missing| {
        let swing = swing(judgement, missing.key).map(|swing| match opened_by(judgement, missing.key) {
            Some(word) => format!("{swing}, since {word} is not read"),
            None => swing.to_string(),
        });
        let swing = swing.or_else(|| missing.values.as_ref().map(|_| String::new()));
        [Some(missing.line), swing, missing.values].into_iter().flatten().collect()
    })
}

/// Whether a warning only repeats what is listed as missing.
pub(crate) fn tells(judgement: &Judgement, warning: &str) -> bool {
    judgement.swings.iter().any(|swing| swing.warning() == warning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Input;
    use crate::judgement::Verdict;

    fn rows(less: f64, more: f64, form: Form) -> Vec<String> {
        let recompute = field::RECOMPUTE.into();
        let judgement = Judgement {
            missing: vec![recompute, field::model::LAYERS.into()],
            swings: vec![Swing {
                field: recompute,
                less: Bytes::from_gib(less),
                more: Bytes::from_gib(more),
            }],
            inputs: vec![Input { field: recompute, value: "None".into(), source: "assumed".into() }],
            ..Judgement::without_figures(Verdict::Unknown, Reason::MissingInputs)
        };
        of(&judgement, form).into_iter().map(|missing| missing.line).collect()
    }

    #[test]
    fn a_value_that_stands_against_the_job_is_left_to_the_person() {
        let layers = "weighbridge.dev/layers: NUMBER";
        assert_eq!(
            rows(9.0, 0.0, Form::Annotation),
            ["weighbridge.dev/recompute: none|selective|full", layers]
        );
        assert_eq!(rows(0.0, 9.0, Form::Annotation), ["weighbridge.dev/recompute: none", layers]);
    }

    #[test]
    fn a_line_has_the_form_of_its_place() {
        let setting = ["--set recompute=\"none|selective|full\"", "--set layers=NUMBER"];
        assert_eq!(rows(9.0, 0.0, Form::Setting), setting);
        let spec = ["spec.recompute: None|Selective|Full", "spec.model.layers: NUMBER"];
        assert_eq!(rows(9.0, 0.0, Form::Spec), spec);
    }
}
