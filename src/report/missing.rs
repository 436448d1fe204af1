//! What is missing: each field with the memory that depends on it, and the line that a person would add.
//!
//! The line has the value that the estimate assumes, so that it can be pasted and corrected. Where nothing is assumed, it
//! shows how a value is written.

use crate::job::grammar::Grammar;
use crate::job::keys::{self, KEYS, Key, PREFIX};
use crate::judgement::{Judgement, Swing};
use crate::units::Bytes;

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
    /// The line to add to the annotations.
    pub(crate) line: String,
    /// What else may be written.
    pub(crate) takes: String,
}

/// Everything that is missing, in the judgement's order.
pub(crate) fn of(judgement: &Judgement) -> Vec<Missing> {
    let keys = keys::of_fields(&judgement.missing).into_iter();
    keys.filter_map(|name| KEYS.iter().find(|key| key.name == name)).map(|key| one(judgement, key)).collect()
}

fn one(judgement: &Judgement, key: &Key) -> Missing {
    let swing = swing(judgement, key.name);
    let assumed = judgement.inputs.iter().find(|input| key.sets.covers(input.field));
    let value = assumed
        .and_then(|input| written(key, &input.value))
        .unwrap_or_else(|| format!("\"<{}>\"", key.grammar.takes()));
    Missing {
        key: key.name,
        field: key.path(),
        less: swing.map(|swing| swing.less),
        more: swing.map(|swing| swing.more),
        line: format!("{PREFIX}{}: {value}", key.name),
        takes: key.grammar.takes(),
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

/// An assumed value as an annotation holds it.
fn written(key: &Key, value: &str) -> Option<String> {
    key.grammar.read(key.sets, value)?;
    Some(match key.grammar {
        Grammar::Word { read, words } => {
            let meant = read(value);
            words.iter().find(|word| read(word) == meant).map_or(value, |word| *word).to_owned()
        }
        // YAML reads these as a number or a boolean, and an annotation is a string.
        Grammar::Name(_) | Grammar::List { .. } | Grammar::Quantity => value.to_owned(),
        _ => format!("\"{value}\""),
    })
}

/// The rows of the report: the line, what depends on it, and the other values.
pub(crate) fn lines(judgement: &Judgement) -> impl Iterator<Item = Vec<String>> + '_ {
    of(judgement).into_iter().map(|missing| {
        let swing = swing(judgement, missing.key).map(|swing| match opened_by(judgement, missing.key) {
            Some(word) => format!("{swing}, since {word} is not read"),
            None => swing.to_string(),
        });
        let words = KEYS.iter().find(|key| key.name == missing.key).map(|key| key.grammar);
        let others = match words {
            Some(Grammar::Word { .. }) => Some(format!("one of {}", missing.takes)),
            _ => None,
        };
        [Some(missing.line), swing.or_else(|| others.as_ref().map(|_| String::new())), others]
            .into_iter()
            .flatten()
            .collect()
    })
}

/// The same rows for a question on the command line: `--set attention=flash`.
pub(crate) fn settings(judgement: &Judgement) -> impl Iterator<Item = Vec<String>> + '_ {
    lines(judgement).map(|mut row| {
        if let Some(line) = row.first_mut()
            && let Some((key, value)) = line.strip_prefix(PREFIX).and_then(|line| line.split_once(": "))
        {
            let bare = value.trim_matches('"');
            let value = if bare.contains([' ', '<']) { value } else { bare };
            *line = format!("--set {key}={value}");
        }
        row
    })
}

/// Whether a warning only repeats what is listed as missing.
pub(crate) fn tells(judgement: &Judgement, warning: &str) -> bool {
    judgement.swings.iter().any(|swing| swing.warning() == warning)
}
