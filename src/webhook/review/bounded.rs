//! Strings and lists of a review, with the apiserver's limits.
//!
//! Anyone may send a body, and a list of empty strings takes ten times the memory of its JSON. So a string that is
//! too long is an error, and a list keeps only its first strings.

use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// The longest string, in bytes. Names of objects have at most 253; names of users and groups are mostly shorter.
const LONGEST: usize = 4_096;
/// The most strings that are kept of a list.
const MOST: usize = 4_096;
/// The most bytes that are kept of a list's strings.
const MOST_BYTES: usize = 256 << 10;

/// Reads a string of at most [`LONGEST`] bytes.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_str(Text)
}

/// Reads the first strings of a list.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_seq(Texts)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a string of at most {LONGEST} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        if text.len() > LONGEST { Err(E::invalid_length(text.len(), &self)) } else { Ok(text.to_owned()) }
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let (mut texts, mut bytes): (Vec<String>, usize) = (Vec::new(), 0);
        while texts.len() < MOST && bytes <= MOST_BYTES {
            let Some(Short(text)) = items.next_element()? else { return Ok(texts) };
            bytes += text.len();
            texts.push(text);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(texts)
    }
}

#[derive(serde::Deserialize)]
struct Short(#[serde(deserialize_with = "text")] String);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<String>, serde_json::Error> {
        texts(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn a_long_list_keeps_its_first_strings() {
        assert_eq!(read(r#"["a", "b"]"#).unwrap(), ["a", "b"]);
        assert_eq!(read(&format!("[{}\"\"]", "\"\",".repeat(1_000_000))).unwrap().len(), MOST);
        let long = format!("\"{}\"", "a".repeat(LONGEST));
        let kept = read(&format!("[{}]", vec![long; 1_000].join(","))).unwrap();
        assert!(kept.iter().map(String::len).sum::<usize>() <= MOST_BYTES + LONGEST);
    }

    #[test]
    fn a_string_that_is_too_long_is_an_error() {
        let long = format!("\"{}\"", "a".repeat(LONGEST + 1));
        assert!(text(&mut serde_json::Deserializer::from_str(&long)).is_err());
        assert!(read(&format!("[{long}]")).is_err());
    }
}
