//! A line that is logged without tracing, for tracing may be what fails. It has the same two formats.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::LogFormat;
use super::escape::escape;

/// A message with its fields.
pub(super) struct Line<'a> {
    level: Level,
    message: &'a str,
    fields: Vec<(&'static str, Value)>,
}

impl<'a> Line<'a> {
    pub(super) fn new(level: Level, message: &'a str) -> Self {
        Self { level, message, fields: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The bytes of the line.
    pub(super) fn written(&self, format: LogFormat) -> Vec<u8> {
        let mut now = String::new();
        // Writing to a string does not fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut now));
        let mut line = match format {
            LogFormat::Plain => self.plain(&now),
            LogFormat::Json => Value::Object(self.json(&now)).to_string(),
        };
        line.push('\n');
        escape(&line, format).into_owned().into_bytes()
    }

    fn plain(&self, now: &str) -> String {
        let mut line = format!("{now} {:>5} weighbridge: {}", self.level, self.message);
        for (name, value) in &self.fields {
            // Writing to a string does not fail.
            let _ = write!(line, " {name}={value}");
        }
        line
    }

    fn json(&self, now: &str) -> Map<String, Value> {
        let text = |name: &str, text: &str| (name.to_owned(), Value::from(text));
        let mut line = Map::from_iter([
            text("timestamp", now),
            text("level", self.level.as_str()),
            text("message", self.message),
        ]);
        line.extend(self.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        line.extend([text("target", "weighbridge")]);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LogFormat) -> String {
        let line = Line::new(Level::WARN, "two\nlines").with("lines", 3).with("place", "a.rs:1");
        String::from_utf8(line.written(format)).unwrap()
    }

    #[test]
    fn plain_text_is_one_line() {
        let line = written(LogFormat::Plain);
        assert!(line.ends_with(" WARN weighbridge: two\\nlines lines=3 place=\"a.rs:1\"\n"), "{line}");
    }

    #[test]
    fn json_is_one_object() {
        let line: Value = serde_json::from_str(&written(LogFormat::Json)).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"two\nlines".into()));
        assert_eq!((&line["lines"], &line["target"]), (&3.into(), &"weighbridge".into()));
    }
}
