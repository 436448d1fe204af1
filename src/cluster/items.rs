//! Splits a list into its items while the list arrives in pieces.
//!
//! A list of large objects does not fit into memory, but one item does. So this parser follows only where an item
//! begins and ends. The content of an item is read later.

/// The longest item that is kept, in bytes. The apiserver keeps objects of at most 1.5 MB, and JSON may escape one
/// byte as six.
pub(super) const LONGEST: usize = 16 << 20;
/// The longest frame that is kept. It holds versions and a token.
const LONGEST_FRAME: usize = 64 << 10;
/// The nesting depth of an item in its list.
const LEVEL: usize = 2;

/// An item of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The JSON of an item.
    Whole(Vec<u8>),
    /// An item longer than [`LONGEST`].
    TooLong,
}

/// A list that is being read.
#[derive(Debug, Default)]
pub(super) struct Items {
    depth: usize,
    in_text: bool,
    after_backslash: bool,
    /// Whether the array of the items is open.
    open: bool,
    /// The latest string at the first level. Before a value, it is the name of the field.
    field: Vec<u8>,
    item: Vec<u8>,
    too_long: bool,
    frame: Vec<u8>,
}

impl Items {
    /// Reads up to the end of the next item. Returns how many bytes were read.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Option<Item>) {
        for (position, byte) in bytes.iter().enumerate() {
            if self.step(*byte) {
                let item = std::mem::take(&mut self.item);
                let item = if std::mem::take(&mut self.too_long) { Item::TooLong } else { Item::Whole(item) };
                return (position + 1, Some(item));
            }
        }
        (bytes.len(), None)
    }

    /// How many bytes of the current item are held.
    pub(super) fn held(&self) -> usize {
        self.item.len()
    }

    /// The list without its items, once the list has ended.
    pub(super) fn frame(&self) -> Option<&[u8]> {
        (self.depth == 0 && !self.frame.is_empty() && self.frame.len() < LONGEST_FRAME)
            .then_some(self.frame.as_slice())
    }

    /// Reads one byte. Returns whether an item ends with it.
    fn step(&mut self, byte: u8) -> bool {
        let in_item = self.open && (self.depth > LEVEL || (byte == b'{' && !self.in_text));
        if in_item {
            self.keep(byte);
        } else if !self.open && self.frame.len() < LONGEST_FRAME {
            self.frame.push(byte);
        }
        if self.in_text {
            self.step_in_text(byte);
            return false;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                if self.depth == 1 {
                    self.field.clear();
                }
            }
            b'{' | b'[' => {
                self.depth += 1;
                if byte == b'[' && self.depth == LEVEL && self.field == b"items" {
                    self.open = true;
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.open && self.depth < LEVEL {
                    self.open = false;
                    self.frame.push(byte);
                }
                return in_item && self.depth == LEVEL;
            }
            _ => {}
        }
        false
    }

    fn step_in_text(&mut self, byte: u8) {
        if self.after_backslash {
            self.after_backslash = false;
        } else if byte == b'\\' {
            self.after_backslash = true;
        } else if byte == b'"' {
            self.in_text = false;
        } else if self.depth == 1 && self.field.len() < 8 {
            self.field.push(byte);
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.item.len() < LONGEST {
            self.item.push(byte);
        } else {
            self.too_long = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn items(text: &str, piece: usize) -> (Vec<String>, Option<String>) {
        let mut items = Items::default();
        let mut found = Vec::new();
        for mut bytes in text.as_bytes().chunks(piece) {
            while !bytes.is_empty() {
                let (read, item) = items.read(bytes);
                bytes = &bytes[read..];
                match item {
                    Some(Item::Whole(item)) => found.push(String::from_utf8(item).unwrap()),
                    Some(Item::TooLong) => found.push("too long".into()),
                    None => {}
                }
            }
        }
        (found, items.frame().map(|frame| String::from_utf8(frame.to_vec()).unwrap()))
    }

    #[test]
    fn items_are_found_wherever_the_pieces_are_cut() {
        let first = r#"{"a": "}]\"[", "items": [{"b": 1}]}"#;
        let list =
            format!(r#"{{"kind": "items", "items": [{first}, {{}}], "metadata": {{"items": [{{}}]}}}}"#);
        for piece in [1, 2, 3, 1_000] {
            let (found, frame) = items(&list, piece);
            assert_eq!(found, [first, "{}"], "pieces of {piece}");
            let frame: Value = serde_json::from_str(&frame.unwrap()).unwrap();
            assert_eq!(frame, json!({"kind": "items", "items": [], "metadata": {"items": [{}]}}));
        }
    }

    #[test]
    fn a_list_that_is_cut_has_no_frame() {
        assert_eq!(items(r#"{"items": [{"a": 1}, {"#, 4), (vec![r#"{"a": 1}"#.into()], None));
        assert_eq!(items("", 4), (vec![], None));
    }

    #[test]
    fn an_item_may_have_any_depth_up_to_the_longest_length() {
        let deep = format!(r#"{{"a": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(LONGEST));
        let (found, frame) = items(&format!(r#"{{"items": [{deep}, {long}, {{}}]}}"#), 1_000);
        assert!(found == [deep.as_str(), "too long", "{}"] && frame.is_some());
    }

    proptest! {
        #[test]
        fn a_list_that_serde_writes_is_split_into_its_items(texts in prop::collection::vec(".*", 0..8), piece in 1usize..64) {
            let written: Vec<Value> = texts.iter().map(|text| json!({text.clone(): [text, {"b": text}]})).collect();
            let (found, frame) = items(&json!({"items": written, "metadata": {}}).to_string(), piece);
            let found: Vec<Value> = found.iter().map(|item| serde_json::from_str(item).unwrap()).collect();
            prop_assert!(frame.is_some());
            prop_assert_eq!(found, written);
        }
    }
}
