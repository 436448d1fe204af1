//! Reads the JSON of an object from outside, and keeps only the values that rules read.
//!
//! Any user who may create an object chooses its JSON, and a parsed value takes up to a hundred times its text. So
//! the reader keeps no more than the rules need:
//!
//! - `metadata.managedFields` is skipped. Users of the apiserver may write it nested to any depth, at any time.
//! - A value deeper than [`DEEPEST`] levels becomes `null`. The skipped text may be nested without a limit.
//! - A list keeps its first [`LONGEST_LIST`] items. Every rule that walks a list has a lower limit of its own, and so
//!   notices a list that is too long.
//! - An object that still has too many values or too much text is not read at all.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The deepest level that is kept. A `CronJob`'s resource limits lie 11 levels deep, an `AppWrapper`'s 16.
const DEEPEST: usize = 64;
/// The most items of a list that are kept.
const LONGEST_LIST: usize = 4_096;
/// The most values of an object that are kept. A job of 256 pod templates has about 40,000.
const MOST_VALUES: usize = 100_000;
/// A map costs the memory of this many other values.
const VALUES_OF_A_MAP: usize = 4;
/// The most text of an object that is kept, in bytes: twice the apiserver's limit of a request.
const MOST_TEXT: usize = 6 << 20;

/// Why an object was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// It has more values or more text than are kept.
    #[error("the object has more than {MOST_VALUES} values or {} MiB of text", MOST_TEXT >> 20)]
    TooLarge,
    /// It is not JSON. The message gives the line and the column, and repeats none of the text.
    #[error("the object is not valid JSON: {0}")]
    Malformed(String),
}

/// Reads an object, in time linear in its text.
///
/// # Errors
/// [`NotRead`], with a message that repeats nothing of the text.
pub fn read(json: &[u8]) -> Result<Value, NotRead> {
    let mut budget = Budget { values: MOST_VALUES, text: MOST_TEXT, spent: false };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let keep = Keep { budget: &mut budget, depth: 0, in_metadata: false };
    let read = keep.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| if budget.spent { NotRead::TooLarge } else { NotRead::Malformed(place(&error)) })
}

/// The line and column of the error, without the text there.
fn place(error: &serde_json::Error) -> String {
    let what = if error.is_eof() { "it ends too early" } else { "there is an error" };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

/// How much of an object may still be kept.
struct Budget {
    values: usize,
    text: usize,
    spent: bool,
}

impl Budget {
    fn take<E: Error>(&mut self, values: usize, text: usize) -> Result<(), E> {
        if let (Some(values), Some(text)) = (self.values.checked_sub(values), self.text.checked_sub(text)) {
            (self.values, self.text) = (values, text);
            return Ok(());
        }
        self.spent = true;
        Err(E::custom("too large"))
    }
}

/// Keeps a value, at its depth.
struct Keep<'a> {
    budget: &'a mut Budget,
    depth: usize,
    /// Whether the value is the `metadata` of an object.
    in_metadata: bool,
}

impl Keep<'_> {
    /// The same, for a value one level below.
    fn below(&mut self, in_metadata: bool) -> Keep<'_> {
        Keep { budget: &mut *self.budget, depth: self.depth + 1, in_metadata }
    }
}

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > DEEPEST {
            // Unlike a kept value, an ignored one may be nested to any depth.
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.budget.take(1, 0).map(|()| Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.budget.take(1, 0).map(|()| value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.budget.take(1, 0).map(|()| value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.budget.take(1, 0).map(|()| value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.budget.take(1, 0).map(|()| value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.budget.take(1, text.len()).map(|()| text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.budget.take(1, 0)?;
        let mut kept = Vec::new();
        while kept.len() < LONGEST_LIST {
            let Some(item) = items.next_element_seed(self.below(false))? else {
                return Ok(Value::Array(kept));
            };
            kept.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        self.budget.take(VALUES_OF_A_MAP, 0)?;
        let mut kept = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if self.in_metadata && name == "managedFields" {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            self.budget.take(0, name.len())?;
            let value = fields.next_value_seed(self.below(name == "metadata"))?;
            kept.insert(name, value);
        }
        Ok(Value::Object(kept))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn managed_fields_of_any_depth_are_skipped() {
        let poison = nested(100_000);
        let object =
            format!(r#"{{"metadata": {{"name": "a", "managedFields": {poison}}}, "managedFields": 1}}"#);
        assert_eq!(read(object.as_bytes()), Ok(json!({"metadata": {"name": "a"}, "managedFields": 1})));
    }

    #[test]
    fn a_value_below_the_deepest_level_becomes_null() {
        let object = read(format!(r#"{{"spec": {}}}"#, nested(100_000)).as_bytes()).unwrap();
        let mut deepest = &object["spec"];
        while let Some([below]) = deepest.as_array().map(Vec::as_slice) {
            deepest = below;
        }
        assert_eq!(deepest, &Value::Null);
    }

    #[test]
    fn a_long_list_keeps_its_first_items() {
        let object = read(format!("[{}0]", r#"{"a":0},"#.repeat(1_000_000)).as_bytes()).unwrap();
        assert_eq!(object.as_array().map(Vec::len), Some(LONGEST_LIST));
    }

    #[test]
    fn an_object_of_too_many_values_is_not_read() {
        let lists = format!("[{}0]", format!("[{}0],", "0,".repeat(1_000)).repeat(200));
        assert_eq!(read(lists.as_bytes()), Err(NotRead::TooLarge));
        let fields: Vec<String> = (0..200_000).map(|number| format!(r#""{number}":0"#)).collect();
        assert_eq!(read(format!("{{{}}}", fields.join(",")).as_bytes()), Err(NotRead::TooLarge));
        let text = format!(r#"["{}"]"#, "a".repeat(MOST_TEXT + 1));
        assert_eq!(read(text.as_bytes()), Err(NotRead::TooLarge));
    }

    #[test]
    fn a_message_about_broken_json_repeats_none_of_it() {
        let error = read(br#"{"password": hunter2}"#).unwrap_err().to_string();
        assert_eq!(error, "the object is not valid JSON: there is an error at line 1, column 14");
        let error = read(br#"{"password": "hunter2"#).unwrap_err().to_string();
        assert_eq!(error, "the object is not valid JSON: it ends too early at line 1, column 21");
        assert!(matches!(read(b"{} {}"), Err(NotRead::Malformed(_))));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((".*", inner), 0..8)
                    .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_ordinary_value_is_kept_whole(value in any_json()) {
            prop_assert_eq!(read(value.to_string().as_bytes()), Ok(value));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = read(&bytes);
        }
    }
}
