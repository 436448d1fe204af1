//! The XML of `JUnit`: a test case for each object. What fails the command is a failure, or an error if it cannot be judged. What
//! cannot be judged and does not fail is skipped. The form is that of the `JUnit` schema of Jenkins' xunit plugin.

use std::fmt::Write as _;

use super::{Fails, Level, title};
use crate::judgement::Verdict;
use crate::report::{Entry, printable};

/// The entries as a test suite.
pub fn junit(entries: &[Entry], fails: Fails<'_>) -> String {
    let count = |is: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| is(entry)).count();
    let is_error = |entry: &Entry| fails(entry) && is_unjudged(entry);
    let (errors, failed) = (count(&is_error), count(&|entry| fails(entry) && !is_unjudged(entry)));
    let skipped = count(&|entry| is_unjudged(entry) && !fails(entry));
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"weighbridge\" tests=\"{}\" \
         failures=\"{failed}\" errors=\"{errors}\" skipped=\"{skipped}\">\n",
        entries.len()
    );
    for entry in entries {
        let file = entry.place.as_ref().map_or("weighbridge", |place| place.file.as_str());
        let (name, message) = (escaped(&title(entry)), escaped(&entry.judgement.message));
        // Writing to a string does not fail.
        let _ = write!(text, "    <testcase classname=\"{}\" name=\"{name}\"", escaped(file));
        let _ = match Level::of(entry, fails) {
            Level::Error => {
                let kind = entry.judgement.verdict.name();
                let element = if is_error(entry) { "error" } else { "failure" };
                writeln!(text, ">\n      <{element} type=\"{kind}\" message=\"{message}\"/>\n    </testcase>")
            }
            _ if is_unjudged(entry) => {
                writeln!(text, ">\n      <skipped message=\"{message}\"/>\n    </testcase>")
            }
            Level::Warning => writeln!(text, ">\n      <system-out>{message}</system-out>\n    </testcase>"),
            Level::Note => writeln!(text, "/>"),
        };
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn is_unjudged(entry: &Entry) -> bool {
    matches!(entry.judgement.verdict, Verdict::Unknown | Verdict::Unrecognised)
}

fn escaped(text: &str) -> String {
    let text = printable(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
