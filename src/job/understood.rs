//! How the words of a launch were understood: its options, the keys of its files, and its variables.
//!
//! | effect | meaning |
//! | --- | --- |
//! | read | a reader takes its value |
//! | inert | it changes neither memory nor time |
//! | open | it may change the named fields, and no reader takes its value |
//! | unknown | no list of the framework has its name, and no word in the name is about memory |

use serde::{Serialize, Serializer};

use crate::job::{AnyField, keys};

/// How the words of a launch were understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Understood {
    /// How many a reader takes.
    pub read: usize,
    /// How many change nothing.
    pub inert: usize,
    /// The words that may change fields.
    pub open: Vec<OpenWord>,
    /// The words that are in no list.
    pub unknown: Vec<String>,
    /// Whether there is a list of the options that the program takes. A program without one may refuse any other option.
    #[serde(skip)]
    pub is_listed: bool,
}

/// A word that may change fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenWord {
    /// The name of the option, key or variable.
    pub word: String,
    /// The fields, printed as the annotations' keys.
    #[serde(serialize_with = "by_key")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub fields: Vec<AnyField>,
}

fn by_key<S: Serializer>(fields: &[AnyField], serializer: S) -> Result<S::Ok, S::Error> {
    keys::of_fields(fields).serialize(serializer)
}

impl Understood {
    /// Whether there is any word.
    pub fn is_empty(&self) -> bool {
        self.read + self.inert + self.open.len() + self.unknown.len() == 0
    }

    /// The first word that may change a field.
    pub fn opens(&self, field: AnyField) -> Option<&str> {
        let word = self.open.iter().find(|open| open.fields.contains(&field))?;
        Some(&word.word)
    }
}
