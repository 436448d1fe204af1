//! The nodes of a text of YAML or JSON, each with the bytes that it stands on. So an edit changes these bytes alone: comments,
//! order, quotes and indentation of everything else stay.
//!
//! The text is cut at separators as the reader of manifests does. An alias is the node that it names, so an edit of a shared
//! template reaches every use of it.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, StructureStyle};

/// The deepest nodes. The reader of manifests takes no deeper ones.
const DEEPEST: usize = 128;

/// The number of a node.
pub(super) type Id = usize;

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The bytes that it stands on, in the whole text. Of a block, up to its last line's end or further.
    pub(super) span: Range<usize>,
    /// The column of its first letter, from 0.
    pub(super) column: usize,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A scalar, with its text as YAML reads it.
    Scalar(String),
    /// A mapping: keys and values in order.
    Mapping {
        /// Whether it is written in braces.
        flow: bool,
        /// Keys and values.
        entries: Vec<(Id, Id)>,
    },
    /// A sequence.
    Sequence {
        /// Whether it is written in brackets.
        flow: bool,
        /// The items.
        items: Vec<Id>,
    },
}

/// The nodes of a text.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// The documents, in order.
    documents: Vec<Id>,
}

impl Tree {
    /// The nodes of a text. None if a document cannot be parsed.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut tree = Self::default();
        let mut begin = 0;
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            if line.starts_with("---") {
                tree.part(text, begin..offset)?;
                begin = offset + line.len();
            }
            offset += line.len();
        }
        tree.part(text, begin..text.len())?;
        Some(tree)
    }

    fn part(&mut self, text: &str, range: Range<usize>) -> Option<()> {
        let begin = range.start;
        let part = text.get(range)?;
        let bare = part.trim_start_matches('\u{feff}');
        let offset = begin + part.len() - bare.len();
        let mut reader =
            Reader { tree: self, anchors: BTreeMap::new(), open: Vec::new(), offset, source: bare };
        for event in Parser::new_from_str(bare) {
            let (event, span) = event.ok()?;
            let bytes = span.start.byte_offset()?..span.end.byte_offset()?;
            reader.event(event, bytes, span.start.col())?;
        }
        Some(())
    }

    /// A node.
    pub(super) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// All scalars below a node, each once.
    pub(super) fn scalars(&self, root: Id) -> Vec<Id> {
        let mut found = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = vec![root];
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.node(id).map(|node| &node.kind) {
                Some(Kind::Scalar(_)) => found.push(id),
                Some(Kind::Mapping { entries, .. }) => {
                    waiting.extend(entries.iter().rev().flat_map(|(key, value)| [*value, *key]));
                }
                Some(Kind::Sequence { items, .. }) => waiting.extend(items.iter().rev()),
                None => {}
            }
        }
        found
    }

    /// All sequences below a node, each once, with the key that each stands under.
    pub(super) fn sequences(&self, root: Id) -> Vec<(String, Id)> {
        let mut found = Vec::new();
        let mut waiting = vec![(String::new(), root)];
        let mut seen = std::collections::BTreeSet::new();
        while let Some((name, id)) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.node(id).map(|node| &node.kind) {
                Some(Kind::Mapping { entries, .. }) => {
                    let below = entries.iter().rev();
                    waiting
                        .extend(below.filter_map(|(key, value)| Some((self.text(*key)?.to_owned(), *value))));
                }
                Some(Kind::Sequence { items, .. }) => {
                    found.push((name, id));
                    waiting.extend(items.iter().rev().map(|item| (String::new(), *item)));
                }
                _ => {}
            }
        }
        found
    }

    /// The text of a scalar.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match &self.node(id)?.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key of a mapping.
    pub(super) fn get(&self, mapping: Id, key: &str) -> Option<Id> {
        let Kind::Mapping { entries, .. } = &self.node(mapping)?.kind else { return None };
        entries.iter().find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }

    /// The values of a key, wherever it stands below a node.
    pub(super) fn every(&self, root: Id, key: &str) -> Vec<Id> {
        let mut found = Vec::new();
        let mut waiting = vec![root];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.node(id).map(|node| &node.kind) {
                Some(Kind::Mapping { entries, .. }) => {
                    found.extend(
                        entries.iter().filter(|(name, _)| self.text(*name) == Some(key)).map(|entry| entry.1),
                    );
                    waiting.extend(entries.iter().rev().map(|(_, value)| *value));
                }
                Some(Kind::Sequence { items, .. }) => waiting.extend(items.iter().rev()),
                _ => {}
            }
        }
        found
    }

    /// The objects of all documents: lists are flattened, as the reader of manifests does.
    pub(super) fn objects(&self) -> Vec<Id> {
        let mut objects = Vec::new();
        let mut waiting: Vec<Id> = self.documents.iter().rev().copied().collect();
        while let Some(id) = waiting.pop() {
            let kind = self.get(id, "kind").and_then(|kind| self.text(kind)).unwrap_or_default();
            let items = self.get(id, "items").filter(|_| kind.ends_with("List"));
            match items.and_then(|items| self.node(items)).map(|node| &node.kind) {
                Some(Kind::Sequence { items, .. }) => waiting.extend(items.iter().rev()),
                Some(Kind::Scalar(_)) => {}
                _ => objects.push(id),
            }
        }
        objects
    }
}

/// A collection that is not read to its end.
enum Open {
    Mapping { id: Id, key: Option<Id>, flow: bool, entries: Vec<(Id, Id)> },
    Sequence { id: Id, flow: bool, items: Vec<Id> },
}

struct Reader<'a> {
    tree: &'a mut Tree,
    anchors: BTreeMap<usize, Id>,
    open: Vec<Open>,
    offset: usize,
    source: &'a str,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, bytes: Range<usize>, column: usize) -> Option<()> {
        let flow = |style| style == StructureStyle::Flow;
        match event {
            Event::Scalar(text, _, anchor, _) => {
                // The span of a plain scalar may hold the blanks behind it.
                let written = self.source.get(bytes.clone())?;
                let end = bytes.start + written.trim_end_matches([' ', '\t']).len();
                let id = self.add(bytes.start..end, column, Kind::Scalar(text.into_owned()), anchor);
                self.put(id);
            }
            Event::Alias(anchor) => {
                let id = *self.anchors.get(&anchor)?;
                self.put(id);
            }
            Event::MappingStart(style, anchor, _) => {
                let kind = Kind::Mapping { flow: flow(style), entries: Vec::new() };
                let id = self.add(bytes, column, kind, anchor);
                self.open.push(Open::Mapping { id, key: None, flow: flow(style), entries: Vec::new() });
            }
            Event::SequenceStart(style, anchor, _) => {
                let kind = Kind::Sequence { flow: flow(style), items: Vec::new() };
                let id = self.add(bytes, column, kind, anchor);
                self.open.push(Open::Sequence { id, flow: flow(style), items: Vec::new() });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let (id, kind) = match self.open.pop()? {
                    Open::Mapping { id, flow, entries, .. } => (id, Kind::Mapping { flow, entries }),
                    Open::Sequence { id, flow, items } => (id, Kind::Sequence { flow, items }),
                };
                let node = self.tree.nodes.get_mut(id)?;
                node.span.end = (self.offset + bytes.end).max(node.span.end);
                node.kind = kind;
                self.put(id);
            }
            _ => {}
        }
        (self.open.len() <= DEEPEST).then_some(())
    }

    fn add(&mut self, bytes: Range<usize>, column: usize, kind: Kind, anchor: usize) -> Id {
        let span = self.offset + bytes.start..self.offset + bytes.end;
        self.tree.nodes.push(Node { span, column, kind });
        let id = self.tree.nodes.len() - 1;
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn put(&mut self, id: Id) {
        match self.open.last_mut() {
            None => self.tree.documents.push(id),
            Some(Open::Sequence { items, .. }) => items.push(id),
            Some(Open::Mapping { key, entries, .. }) => match key.take() {
                None => *key = Some(id),
                Some(name) => entries.push((name, id)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# first\na: 1   # one\nb: {c: 'x', \"d\": [2, y]}\n---\nkind: List\nitems:\n- &t\n  e: |\n    --k=3\n- *t\n";

    fn scalars(text: &str) -> Vec<(String, String)> {
        let tree = Tree::of(text).unwrap();
        let all = tree.documents.iter().flat_map(|root| tree.scalars(*root));
        let shown = all.map(|id| {
            let node = tree.node(id).unwrap();
            (text[node.span.clone()].to_owned(), tree.text(id).unwrap().to_owned())
        });
        shown.collect()
    }

    #[test]
    fn every_scalar_stands_on_its_bytes() {
        let found = scalars(TEXT);
        let pairs: Vec<_> = found.iter().map(|(written, text)| (written.as_str(), text.as_str())).collect();
        for pair in [("1", "1"), ("'x'", "x"), ("\"d\"", "d"), ("y", "y")] {
            assert!(pairs.contains(&pair), "{pairs:?}");
        }
        let block = pairs.iter().find(|(_, text)| *text == "--k=3\n").unwrap();
        assert!(block.0.contains("--k=3"), "{block:?}");
    }

    #[test]
    fn the_objects_of_lists_are_found_and_an_alias_is_what_it_names() {
        let tree = Tree::of(TEXT).unwrap();
        let objects = tree.objects();
        assert_eq!(objects.len(), 3);
        assert_eq!(objects[1], objects[2]);
        assert_eq!(tree.get(objects[0], "a").and_then(|id| tree.text(id)), Some("1"));
    }

    #[test]
    fn what_cannot_be_parsed_is_no_tree() {
        for text in ["a: [", "{", "a: *missing"] {
            assert!(Tree::of(text).is_none(), "{text}");
        }
        assert!(Tree::of("").unwrap().objects().is_empty());
    }
}
