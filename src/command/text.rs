//! Text with parts that may be unknown. Words, variables and files are made of it.

use crate::command::Word;

/// The longest text that is compared with another word by word, in bytes.
const LONGEST_IN_COMMON: usize = 8 << 10;

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Known(String),
    /// An unknown part, as the script writes it: `$TP`, `$(nproc)`.
    Unknown(String),
}

/// Text in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pieces: Vec<Piece>,
}

impl Text {
    /// A fully known text.
    pub(crate) fn known(text: &str) -> Self {
        let mut whole = Self::default();
        whole.push(text);
        whole
    }

    /// A fully unknown text.
    pub(crate) fn unknown(source: &str) -> Self {
        Self { pieces: vec![Piece::Unknown(source.to_owned())] }
    }

    /// A variable's value, or its name in the place of an unknown one.
    pub(crate) fn of_variable(name: &str, value: Option<&str>) -> Self {
        value.map_or_else(|| Self::unknown(&format!("${name}")), Self::known)
    }

    /// Adds a known part.
    pub(crate) fn push(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Known(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Known(text.to_owned())),
        }
    }

    /// Adds an unknown part, as the script writes it.
    pub(crate) fn push_unknown(&mut self, source: &str) {
        self.pieces.push(Piece::Unknown(source.to_owned()));
    }

    /// Adds another text.
    pub(crate) fn append(&mut self, other: &Self) {
        for piece in &other.pieces {
            match piece {
                Piece::Known(text) => self.push(text),
                Piece::Unknown(source) => self.push_unknown(source),
            }
        }
    }

    /// The whole text, if all of it is known.
    pub(crate) fn as_known(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Known(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with a line end for each `\n` that it writes.
    pub(crate) fn with_line_ends(self) -> Self {
        let pieces = self.pieces.into_iter().map(|piece| match piece {
            Piece::Known(text) => Piece::Known(text.replace("\\n", "\n")),
            unknown @ Piece::Unknown(_) => unknown,
        });
        Self { pieces: pieces.collect() }
    }

    /// Whether no part of it is known.
    pub(crate) fn is_unknown(&self) -> bool {
        !self.pieces.is_empty() && self.pieces.iter().all(|piece| matches!(piece, Piece::Unknown(_)))
    }

    /// The cost of keeping it: its bytes, and a fixed cost for each piece.
    pub(crate) fn cost(&self) -> usize {
        let bytes = |piece: &Piece| match piece {
            Piece::Known(text) | Piece::Unknown(text) => text.len(),
        };
        self.pieces.iter().map(bytes).sum::<usize>() + 8 * (1 + self.pieces.len())
    }

    /// The text. Unknown parts are shown as the script writes them.
    pub(crate) fn shown(&self) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Known(text) | Piece::Unknown(text) => text.as_str(),
        });
        pieces.collect()
    }

    /// The words with which both texts begin and end, and an unknown part between them. None if they have none in
    /// common, or if they are long or have several lines.
    pub(crate) fn common(&self, other: &Self, unknown: &str) -> Option<Self> {
        let (one, other) = (self.tokens()?, other.tokens()?);
        let (begin, end) = common_ends(&one, &other);
        if begin + end == 0 {
            return None;
        }
        let mut common = Self::default();
        for token in one.iter().take(begin) {
            common.append(token);
            common.push(" ");
        }
        common.push_unknown(unknown);
        for token in one.iter().skip(one.len() - end) {
            common.push(" ");
            common.append(token);
        }
        Some(common)
    }

    /// The words between blanks.
    fn tokens(&self) -> Option<Vec<Self>> {
        let is_plain = |piece: &Piece| match piece {
            Piece::Known(text) | Piece::Unknown(text) => !text.contains('\n'),
        };
        if self.cost() > LONGEST_IN_COMMON || !self.pieces.iter().all(is_plain) {
            return None;
        }
        let mut fields = Fields::default();
        fields.append_split(self);
        Some(fields.into_fields())
    }

    /// As a word of a command.
    pub(crate) fn word(&self) -> Word {
        Word { text: self.shown(), known: self.as_known().is_some() }
    }
}

/// How many items two lists have in common at their beginnings, and at their ends.
pub(crate) fn common_ends<T: PartialEq>(one: &[T], other: &[T]) -> (usize, usize) {
    let same = |(a, b): &(&T, &T)| a == b;
    let begin = one.iter().zip(other).take_while(same).count();
    let rest = one.len().min(other.len()) - begin;
    let end = one.iter().rev().zip(other.iter().rev()).take(rest).take_while(same).count();
    (begin, end)
}

/// Fields in the making: the words that one word of a script expands to.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    done: Vec<Text>,
    current: Option<Text>,
}

impl Fields {
    /// Adds known text that is not split.
    pub(crate) fn push(&mut self, text: &str) {
        self.current.get_or_insert_default().push(text);
    }

    /// Adds an unknown part.
    pub(crate) fn push_unknown(&mut self, source: &str) {
        self.current.get_or_insert_default().push_unknown(source);
    }

    /// Adds text that is not split.
    pub(crate) fn append(&mut self, text: &Text) {
        self.current.get_or_insert_default().append(text);
    }

    /// Adds text, split at blanks as a shell does it outside quotes.
    pub(crate) fn append_split(&mut self, text: &Text) {
        for piece in &text.pieces {
            match piece {
                Piece::Unknown(source) => self.push_unknown(source),
                Piece::Known(text) => {
                    let mut parts = text.split([' ', '\t', '\n']);
                    let first = parts.next().unwrap_or_default();
                    if !first.is_empty() {
                        self.push(first);
                    }
                    for part in parts {
                        self.end();
                        if !part.is_empty() {
                            self.push(part);
                        }
                    }
                }
            }
        }
    }

    /// Whether a field has begun. It may be empty.
    pub(crate) fn has_begun(&self) -> bool {
        self.current.is_some()
    }

    /// Ends the field.
    pub(crate) fn end(&mut self) {
        self.done.extend(self.current.take());
    }

    /// All text, as fields.
    pub(crate) fn into_fields(mut self) -> Vec<Text> {
        self.end();
        self.done
    }

    /// All text, as one.
    pub(crate) fn into_text(self) -> Text {
        let fields = self.into_fields();
        let mut whole = Text::default();
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                whole.push(" ");
            }
            whole.append(field);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_at_blanks_and_keeps_its_unknown_parts() {
        let mut text = Text::known("--a 1 --b ");
        text.push_unknown("$B");
        text.push("x  --c");
        let mut fields = Fields::default();
        fields.append_split(&text);
        let words: Vec<_> =
            fields.into_fields().iter().map(|field| (field.shown(), field.as_known().is_some())).collect();
        let expected = [("--a", true), ("1", true), ("--b", true), ("$Bx", false), ("--c", true)];
        assert_eq!(words, expected.map(|(text, known)| (text.to_owned(), known)));
    }
}
