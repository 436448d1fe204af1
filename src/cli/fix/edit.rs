//! Edits of a text: bytes that are replaced, and where a new entry of a mapping or a sequence goes.
//!
//! ```text
//! a value               its bytes are replaced, in the same quotes
//! a new entry, block    a line below the last entry that ends on its own line, else above the first
//! a new entry, flow     before the first
//! ```

use std::ops::Range;

use super::tree::{Id, Kind, Node, Tree};
use crate::batch::settings::quoted;

/// Bytes, and what replaces them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// The bytes of the text.
    pub(super) range: Range<usize>,
    /// The new text.
    pub(super) text: String,
}

/// The text after all edits. None if two edits overlap.
pub(super) fn applied(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let (mut changed, mut at) = (String::with_capacity(text.len() + 64), 0);
    for edit in edits {
        changed.push_str(text.get(at..edit.range.start)?);
        changed.push_str(&edit.text);
        at = edit.range.end;
    }
    changed.push_str(text.get(at..)?);
    Some(changed)
}

/// A scalar with another text, in its own quotes.
pub(super) fn replaced(source: &str, node: &Node, text: &str) -> Option<Edit> {
    let written = source.get(node.span.clone())?;
    let text = match written.chars().next() {
        Some('\'') if !text.contains('\'') => format!("'{text}'"),
        Some('"' | '\'') => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        _ => quoted(text),
    };
    Some(Edit { range: node.span.clone(), text })
}

/// A new entry at a path below a mapping. `value` is written as it is. None if the way is no mapping.
pub(super) fn inserted(source: &str, tree: &Tree, root: Id, path: &[&str], value: &str) -> Option<Edit> {
    let (name, rest) = path.split_first()?;
    if let Some(below) = tree.get(root, name) {
        return match &tree.node(below)?.kind {
            Kind::Mapping { .. } => inserted(source, tree, below, rest, value),
            // `annotations:` without a value.
            Kind::Scalar(text) if text.is_empty() || text == "null" || text == "~" => {
                let range = without_value(source, tree, root, below)?;
                Some(Edit { range, text: format!(" {{{}}}", pair(rest, value, false)) })
            }
            _ => None,
        };
    }
    let Kind::Mapping { flow, entries } = &tree.node(root)?.kind else { return None };
    let first = entries.first().and_then(|(key, _)| tree.node(*key));
    let is_json =
        first.is_some_and(|key| source.get(key.span.clone()).is_some_and(|text| text.starts_with('"')));
    let Some(first) = first else {
        let inside = tree.node(root)?.span.start + 1;
        return Some(Edit { range: inside..inside, text: pair(path, value, is_json) });
    };
    if *flow {
        let at = first.span.start;
        return Some(Edit { range: at..at, text: format!("{}, ", pair(path, value, is_json)) });
    }
    let own_line =
        |(_, value): &(Id, Id)| end_of_line(source, tree.node(*value).filter(|node| !node.span.is_empty())?);
    // Beside entries of the same kind if there are any: our annotations stand together.
    let prefix = name.split_once('/').map_or("", |(prefix, _)| prefix);
    let alike = |entry: &&(Id, Id)| {
        !prefix.is_empty() && tree.text(entry.0).is_some_and(|name| name.starts_with(prefix))
    };
    let below = entries.iter().rev().filter(alike).find_map(own_line);
    let below = below.or_else(|| entries.iter().rev().find_map(own_line));
    let column = first.column;
    let lines = lines(path, value, column);
    if let Some(at) = below {
        let newline = if source.get(..at)?.ends_with('\n') { "" } else { "\n" };
        return Some(Edit { range: at..at, text: format!("{newline}{lines}\n") });
    }
    let at = first.span.start;
    let text = format!("{}\n{}", lines.trim_start(), " ".repeat(column));
    Some(Edit { range: at..at, text })
}

/// The place of the value that a key has not: from its colon to the end of a written `null`.
fn without_value(source: &str, tree: &Tree, mapping: Id, value: Id) -> Option<Range<usize>> {
    let Kind::Mapping { entries, .. } = &tree.node(mapping)?.kind else { return None };
    let key = entries.iter().find(|entry| entry.1 == value).and_then(|entry| tree.node(entry.0))?;
    let colon = key.span.end + source.get(key.span.end..)?.find(':')? + 1;
    let end = tree.node(value)?.span.end.max(colon);
    let is_empty = source.get(colon..end)?.trim().is_empty();
    Some(colon..if is_empty { colon } else { end })
}

/// A path of keys as lines, each key below the one before it.
fn lines(path: &[&str], value: &str, indent: usize) -> String {
    let line = |(depth, name): (usize, &&str)| {
        let value = if depth + 1 == path.len() { format!(" {value}") } else { String::new() };
        format!("{}{}:{value}", " ".repeat(indent + 2 * depth), quoted(name))
    };
    path.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// Where the line of a scalar ends, if only a comment is behind it. `None` for a text of several lines.
fn end_of_line(source: &str, node: &Node) -> Option<usize> {
    let written = source.get(node.span.clone())?;
    let line = source.get(node.span.end..)?.split_inclusive('\n').next().unwrap_or_default();
    let ends = line.trim().is_empty() || line.trim_start().starts_with('#');
    let is_one_line = !written.contains('\n') && !written.starts_with(['|', '>']);
    (matches!(node.kind, Kind::Scalar(_)) && is_one_line && ends).then_some(node.span.end + line.len())
}

/// A new item at the end of a sequence of scalars.
pub(super) fn appended(source: &str, tree: &Tree, sequence: Id, items: &[String]) -> Option<Edit> {
    let Kind::Sequence { flow, items: there } = &tree.node(sequence)?.kind else { return None };
    let last = tree.node(*there.last()?)?;
    if !matches!(last.kind, Kind::Scalar(_)) {
        return None;
    }
    let is_quoted = source.get(last.span.clone())?.starts_with('"');
    let write = |item: &String| {
        let plain = !item.contains([' ', ',', '#', ':', '{', '[', '"', '\'']) && !is_quoted;
        if plain { item.clone() } else { format!("\"{item}\"") }
    };
    if *flow {
        let text = items.iter().map(|item| format!(", {}", write(item))).collect::<Vec<_>>().concat();
        return Some(Edit { range: last.span.end..last.span.end, text });
    }
    let at = end_of_line(source, last)?;
    // The dash of the last item gives the indentation.
    let line_start = source.get(..last.span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let before = source.get(line_start..last.span.start)?;
    let dash = before.find('-').filter(|_| before.trim() == "-")?;
    let newline = if source.get(..at)?.ends_with('\n') { "" } else { "\n" };
    let lines = items.iter().map(|item| format!("{}- {}\n", " ".repeat(dash), write(item)));
    Some(Edit { range: at..at, text: format!("{newline}{}", lines.collect::<Vec<_>>().concat()) })
}

/// `a: {b: value}`.
fn pair(path: &[&str], value: &str, is_json: bool) -> String {
    let name = |name: &str| if is_json { format!("\"{name}\"") } else { quoted(name) };
    let is_word = value.starts_with(|c: char| c.is_ascii_alphabetic()) && !["true", "false"].contains(&value);
    match path {
        [] => String::new(),
        [last] if is_json && is_word => format!("{}: \"{value}\"", name(last)),
        [last] => format!("{}: {value}", name(last)),
        [first, rest @ ..] => format!("{}: {{{}}}", name(first), pair(rest, value, is_json)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, path: &[&str], value: &str) -> String {
        let tree = Tree::of(text).unwrap();
        let edit = inserted(text, &tree, tree.objects()[0], path, value).unwrap();
        applied(text, &[edit]).unwrap()
    }

    const PATH: &[&str] = &["metadata", "annotations", "x.dev/a"];

    #[test]
    fn a_new_entry_goes_beside_those_of_its_kind_in_the_style_of_the_text() {
        for (text, expected) in [
            (
                "metadata:\n  name: j\n  annotations:\n    x.dev/b: c # why\n    other: |\n      text\nspec: {}\n",
                "metadata:\n  name: j\n  annotations:\n    x.dev/b: c # why\n    x.dev/a: full\n    other: |\n      text\nspec: {}\n",
            ),
            (
                "metadata:\n  annotations:\n    other: |\n      text\n",
                "metadata:\n  annotations:\n    x.dev/a: full\n    other: |\n      text\n",
            ),
            (
                "metadata:\n  name: j\n  labels: {a: b}\nspec: 1\n",
                "metadata:\n  name: j\n  annotations:\n    x.dev/a: full\n  labels: {a: b}\nspec: 1\n",
            ),
            ("metadata: {name: j}\n", "metadata: {annotations: {x.dev/a: full}, name: j}\n"),
            ("metadata: {annotations: {}}\n", "metadata: {annotations: {x.dev/a: full}}\n"),
            (
                "metadata:\n  annotations:\n  name: j\n",
                "metadata:\n  annotations: {x.dev/a: full}\n  name: j\n",
            ),
            ("kind: Job", "kind: Job\nmetadata:\n  annotations:\n    x.dev/a: full\n"),
            (
                "{\"metadata\": {\"name\": \"j\"}}",
                "{\"metadata\": {\"annotations\": {\"x.dev/a\": \"full\"}, \"name\": \"j\"}}",
            ),
        ] {
            assert_eq!(with(text, PATH, "full"), expected, "{text}");
        }
    }

    #[test]
    fn an_item_is_appended_in_the_style_of_its_sequence() {
        for (text, expected) in [
            ("a: [b, --c=1] # d\n", "a: [b, --c=1, --e=2] # d\n"),
            ("a: [\"b\"]\n", "a: [\"b\", \"--e=2\"]\n"),
            ("a:\n  - b # why\n  - --c=1\nd: 1\n", "a:\n  - b # why\n  - --c=1\n  - --e=2\nd: 1\n"),
            ("a:\n- b", "a:\n- b\n- --e=2\n"),
        ] {
            let tree = Tree::of(text).unwrap();
            let sequence = tree.get(tree.objects()[0], "a").unwrap();
            let edit = appended(text, &tree, sequence, &["--e=2".to_owned()]).unwrap();
            assert_eq!(applied(text, &[edit]).unwrap(), expected);
        }
    }

    #[test]
    fn a_value_keeps_its_quotes() {
        for (text, value, expected) in [
            ("a: \"4\" # b\n", "8", "a: \"8\" # b\n"),
            ("a: '4'\n", "8", "a: '8'\n"),
            ("a: ddp\n", "zero3", "a: zero3\n"),
            ("a: ddp  # b\n", "8", "a: \"8\"  # b\n"),
        ] {
            let tree = Tree::of(text).unwrap();
            let node = tree.get(tree.objects()[0], "a").and_then(|id| tree.node(id)).unwrap();
            let edit = replaced(text, node, value).unwrap();
            assert_eq!(applied(text, &[edit]).unwrap(), expected);
        }
    }

    #[test]
    fn edits_that_overlap_are_refused() {
        let edit = |range, text: &str| Edit { range, text: text.to_owned() };
        assert_eq!(applied("abc", &[edit(0..2, "x"), edit(1..3, "y")]), None);
        assert_eq!(applied("abc", &[edit(2..3, "y"), edit(0..1, "x")]).as_deref(), Some("xby"));
    }
}
