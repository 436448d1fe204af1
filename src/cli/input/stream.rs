//! The documents of a text, in YAML or JSON.
//!
//! As kubectl does, the text is cut at lines that begin with `---` before any of it is parsed. So a document that
//! cannot be read (a template, an error) does not hide its neighbours, and every error has its own line number. A
//! document that begins with `{` is first read as a series of JSON values, then as YAML.
//!
//! YAML is read as version 1.1, like kubectl: `yes`, `no`, `on` and `off` are booleans, `0777` is octal, `1_000` is a
//! thousand, and `<<` merges. Aliases are expanded within a limit, so that a small file cannot become a large one.

use serde_saphyr::{
    DuplicateKeyPolicy, MergeKeyPolicy, MessageFormatter, NonFiniteFloatPolicy, UserMessageFormatter,
};

use super::Unreadable;
use super::value::Manifest;
use crate::batch::parallel;
use crate::report::Place;

/// The most values that aliases may copy in total: far more than manifests need, far less than memory holds.
const MAX_ALIASED: usize = 200_000;
/// The limit of `serde_json`.
const MAX_DEPTH: usize = 128;
/// The dump of a large cluster in one document. Such dumps have 24 bytes of YAML a node.
const MAX_NODES: usize = 20_000_000;

type Document = Result<(Place, serde_json::Value), Unreadable>;

/// Reads every document of a text. Empty documents are left out.
pub(super) fn documents(file: &str, text: &str) -> Vec<Document> {
    let parts = parts(text.strip_prefix('\u{feff}').unwrap_or(text));
    let found = parallel::answers(&parts, parallel::processors(), Part::read);
    let number = |(number, Found { line, value }): (usize, Found)| {
        let place = Place { file: file.to_owned(), document: Some(number + 1), line: Some(line) };
        match value {
            Ok(value) => Ok((place, value)),
            Err(problem) => Err(Unreadable { place, problem }),
        }
    };
    found.into_iter().flatten().enumerate().map(number).collect()
}

/// The text between two separators.
#[derive(Debug, PartialEq)]
struct Part<'a> {
    text: &'a str,
    /// The number of the first line, from one.
    line: usize,
    /// Text after the separator that is not a comment: an error.
    behind_separator: Option<&'a str>,
}

/// Cuts a text at its separators.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut begin, mut first_line, mut behind) = (0, 1, None);
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let end = offset + line.len();
        if let Some(rest) = line.strip_prefix("---") {
            parts.push(Part {
                text: text.get(begin..offset).unwrap_or(""),
                line: first_line,
                behind_separator: behind,
            });
            let rest = rest.trim();
            behind = (!rest.is_empty() && !rest.starts_with('#')).then_some(rest);
            (begin, first_line) = (end, index + 2);
        }
        offset = end;
    }
    parts.push(Part { text: text.get(begin..).unwrap_or(""), line: first_line, behind_separator: behind });
    parts
}

/// A document that was found: its first line, and its value or the problem.
struct Found {
    line: usize,
    value: Result<serde_json::Value, String>,
}

impl Part<'_> {
    /// The documents of the part.
    fn read(&self) -> Vec<Found> {
        if let Some(behind) = self.behind_separator {
            let problem = format!(
                "{:?} is on the line of the separator; put it on a line of its own below ---",
                behind.chars().take(64).collect::<String>()
            );
            return vec![Found { line: self.line.saturating_sub(1), value: Err(problem) }];
        }
        let content = |line: &str| !matches!(line.trim_start().chars().next(), None | Some('#' | '%'));
        let Some(blank) = self.text.lines().position(content) else { return Vec::new() };
        let first = self.line + blank;
        if self.text.trim_start().starts_with('{') { self.json(first) } else { found(yaml(self), first) }
    }

    /// The documents of a part that begins like JSON.
    fn json(&self, first: usize) -> Vec<Found> {
        let mut read = Vec::new();
        let mut series = serde_json::Deserializer::from_str(self.text).into_iter::<Manifest>();
        let mut line = first;
        while let Some(value) = series.next() {
            match value {
                Ok(Manifest(value)) => read.push(Found { line, value: Ok(value) }),
                Err(error) => {
                    // Flow-style YAML begins like JSON.
                    let flow = (error.is_syntax() && line == first).then(|| yaml(self));
                    if let Some(Ok(values)) = flow {
                        read.extend(found(Ok(values), first));
                        return read;
                    }
                    let problem = problem(self.text, &without_place(&error));
                    read.push(Found {
                        line: self.line + error.line().saturating_sub(1),
                        value: Err(problem),
                    });
                    return read;
                }
            }
            let rest = self.text.get(series.byte_offset()..).unwrap_or("");
            let blank = rest.len() - rest.trim_start().len();
            let done = self.text.get(..series.byte_offset() + blank).unwrap_or("");
            line = self.line + done.matches('\n').count();
        }
        read
    }
}

/// The documents of YAML that begins on this line.
fn found(yaml: Result<Vec<serde_json::Value>, (usize, String)>, first: usize) -> Vec<Found> {
    match yaml {
        Ok(values) => values.into_iter().map(|value| Found { line: first, value: Ok(value) }).collect(),
        Err((line, problem)) => vec![Found { line, value: Err(problem) }],
    }
}

/// The YAML values of a part, or the line and the text of the first error.
fn yaml(part: &Part<'_>) -> Result<Vec<serde_json::Value>, (usize, String)> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: false,
        legacy_octal_numbers: true,
        // A commit like 7e12345 is too large for a float. kubectl reads it as a string.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_total_scalar_bytes: 256 << 20,
            // A template's labels are often one anchor and hundreds of aliases. The limit above bounds their copies.
            enforce_alias_anchor_ratio: false,
        },
    };
    match serde_saphyr::from_multiple_with_options::<Manifest>(part.text, options) {
        Ok(values) => Ok(values.into_iter().map(|Manifest(value)| value).collect()),
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line()).max(1);
            let message = UserMessageFormatter.format_message(&error).into_owned();
            Err((part.line + line as usize - 1, problem(part.text, &message)))
        }
    }
}

/// The error and its remedy. The usual reason is that the manifest is a template.
fn problem(text: &str, message: &str) -> String {
    let message = message.lines().next().unwrap_or("it cannot be read");
    if text.contains("{{") {
        format!(
            "{message}; it looks like a Helm template: render it first, with helm template … | weighbridge check -"
        )
    } else {
        message.to_owned()
    }
}

/// `serde_json` counts lines within the part, which would contradict the place.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn values(text: &str) -> Vec<Value> {
        documents("f", text).into_iter().flatten().map(|(_, value)| value).collect()
    }

    fn problems(text: &str) -> Vec<String> {
        documents("f", text).into_iter().filter_map(|d| d.err().map(|e| e.to_string())).collect()
    }

    #[test]
    fn plain_scalars_are_those_of_yaml_1_1_as_kubectl_reads_them() {
        for (scalar, value) in [
            ("yes", json!(true)),
            ("No", json!(false)),
            ("on", json!(true)),
            ("OFF", json!(false)),
            ("y", json!(true)),
            ("True", json!(true)),
            ("'yes'", json!("yes")),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("08", json!(8)),
            ("1e3", json!(1000)),
            ("8.0", json!(8)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616_f64)),
            ("70B", json!("70B")),
            ("12:30:45", json!("12:30:45")),
            ("2026-11-24", json!("2026-11-24")),
            ("~", Value::Null),
            ("null", Value::Null),
            ("", Value::Null),
            ("1.2.3", json!("1.2.3")),
            ("-0777", json!(-511)),
            ("1e21", json!(1e21)),
            ("!!str yes", json!("yes")),
        ] {
            assert_eq!(values(&format!("a: {scalar}\n")), [json!({"a": value})], "{scalar}");
        }
    }

    #[test]
    fn a_document_that_cannot_be_read_does_not_hide_its_neighbours() {
        let text = "# a comment\n---\na: 1\n---\nb: [\n--- # another\nc: 3\n...\n---\n";
        assert_eq!(values(text), [json!({"a": 1}), json!({"c": 3})]);
        assert!(matches!(problems(text).as_slice(), [one] if one.starts_with("f: document 2, line ")));
    }

    #[test]
    fn errors_name_their_line_and_their_remedy() {
        for (text, line, expected) in [
            ("a: 1\n---\nb: 1\nc: 2\nb: 3\n", "f: document 2, line 5: ", "duplicate"),
            ("{\"a\": 1,\n\"a\": 2}", "f: document 1, line 2: ", "twice"),
            ("replicas: {{ .Values.replicas }}\n", "f: document 1, line 1: ", "helm template"),
            ("--- kind: Job\n", "f: document 1, line 1: ", "line of the separator"),
            ("a: *missing\n", "f: document 1, line 1: ", "unknown"),
            ("{\"a\": 1}\n{\"b\"", "f: document 2, line 2: ", "EOF"),
        ] {
            let found = problems(text);
            assert_eq!(found.len(), 1, "{text:?} gives {found:?}");
            assert!(found.iter().all(|p| p.starts_with(line) && p.contains(expected)), "{found:?}");
        }
    }

    #[test]
    fn json_documents_need_no_separator() {
        assert_eq!(
            values("{\"a\": 1}{\"b\": 2}\n\n{\"c\": 8.0}"),
            [json!({"a": 1}), json!({"b": 2}), json!({"c": 8})]
        );
        assert_eq!(values("{a: yes, b: [1, 2]}"), [json!({"a": true, "b": [1, 2]})]);
    }

    #[test]
    fn aliases_and_merge_keys_are_expanded() {
        let text = "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\nsame: *base\n";
        let base = json!({"a": 1, "b": 2});
        assert_eq!(values(text), [json!({"base": base, "more": {"a": 1, "b": 3}, "same": base})]);
    }

    #[test]
    fn aliases_cannot_make_a_small_file_large() {
        use std::fmt::Write as _;

        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            writeln!(text, "a{level}: &a{level} [{}]", [below.as_str(); 10].join(", ")).unwrap();
        }
        assert_eq!(problems(&text).len(), 1);
        let many: Vec<String> = (0..500).map(|number| format!("k{number}: *labels")).collect();
        assert_eq!(values(&format!("labels: &labels {{app: train}}\n{}\n", many.join("\n"))).len(), 1);
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(100_000);
        let deep_json = format!("{{\"a\": {deep}");
        for text in ["\0", "a: \u{1}", "a:\n\t b", deep.as_str(), deep_json.as_str(), "&a [*a]", "? [a]: b"] {
            assert_eq!(problems(text).len(), 1, "{:?}", text.chars().take(20).collect::<String>());
        }
        for text in ["", "\u{feff}", "---\n---\n# only words\n", "%YAML 1.1\n---\n"] {
            assert_eq!(documents("f", text), [], "{text:?}");
        }
    }
}
