//! The XML of `JUnit`: a test case for each object. A job that would run out of memory is a failure, one that cannot be judged is
//! skipped. The form is that of the `JUnit` schema of Jenkins' xunit plugin.

use std::fmt::Write as _;

use super::{Level, title};
use crate::judgement::Verdict;
use crate::report::{Entry, printable};

/// The entries as a test suite.
pub fn junit(entries: &[Entry]) -> String {
    let failed = entries.iter().filter(|entry| Level::of(entry) == Level::Error).count();
    let skipped = entries.iter().filter(|entry| is_skipped(entry)).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"weighbridge\" tests=\"{}\" \
         failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\">\n",
        entries.len()
    );
    for entry in entries {
        let file = entry.place.as_ref().map_or("weighbridge", |place| place.file.as_str());
        let (name, message) = (escaped(&title(entry)), escaped(&entry.judgement.message));
        // Writing to a string does not fail.
        let _ = write!(text, "    <testcase classname=\"{}\" name=\"{name}\"", escaped(file));
        let _ = match Level::of(entry) {
            Level::Error => {
                let kind = entry.judgement.verdict.name();
                writeln!(text, ">\n      <failure type=\"{kind}\" message=\"{message}\"/>\n    </testcase>")
            }
            _ if is_skipped(entry) => {
                writeln!(text, ">\n      <skipped message=\"{message}\"/>\n    </testcase>")
            }
            Level::Warning => writeln!(text, ">\n      <system-out>{message}</system-out>\n    </testcase>"),
            Level::Note => writeln!(text, "/>"),
        };
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn is_skipped(entry: &Entry) -> bool {
    entry.judgement.verdict == Verdict::Unknown && Level::of(entry) != Level::Error
}

fn escaped(text: &str) -> String {
    let text = printable(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
