//! A test's tables, printed and kept in a snapshot. Every change of a figure appears in the diff.
//!
//! The bounds only detect losses. A better figure violates no bound, but it may still be a mistake.

use std::fmt::{Arguments, Write as _};

/// The lines of a test's table.
pub(crate) struct Shown {
    name: &'static str,
    text: String,
}

impl Shown {
    /// A table without lines; `name` is the snapshot's.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, text: String::new() }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: Arguments<'_>) {
        #[expect(clippy::print_stdout, reason = "`--nocapture` shows the tables")]
        {
            println!("{line}");
        }
        let _ = writeln!(self.text, "{line}");
    }

    /// Compares the lines with the snapshot.
    pub(crate) fn end(self) {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(self.name, self.text);
        });
    }
}

/// Shows one line, formatted as by `println!`.
macro_rules! show {
    ($shown:expr, $($line:tt)*) => { $shown.line(format_args!($($line)*)) };
}
pub(crate) use show;
