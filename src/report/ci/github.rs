//! Annotations of GitHub Actions: a line for each object, shown beside its lines in a pull request.
//!
//! `::error file=job.yaml,line=4,title=…::message`. In messages `%` and line breaks are escaped, in properties also `:` and
//! `,`. Source: actions/toolkit, packages/core/src/command.ts.

use std::fmt::Write as _;

use super::{Fails, Level, title};
use crate::report::Entry;

/// The entries as annotations.
pub fn github(entries: &[Entry], fails: Fails<'_>) -> String {
    let mut text = String::new();
    for entry in entries {
        let level = match Level::of(entry, fails) {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let place = entry.place.as_ref();
        let file = place.map(|place| format!("file={},", property(&place.file))).unwrap_or_default();
        let line = place.and_then(|place| place.line).map(|line| format!("line={line},")).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "::{level} {file}{line}title={}::{}",
            property(&title(entry)),
            message(&entry.judgement.message)
        );
    }
    text
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
