//! A test's tables, printed and held by a snapshot: a figure that moves at all shows in the diff.
//!
//! The bounds say what must not be lost. A change for the better moves no bound, and may be a mistake all the same.

use std::fmt::{Arguments, Write as _};

/// Lines that a test shows.
pub(crate) struct Shown {
    name: &'static str,
    text: String,
}

impl Shown {
    /// No lines yet; the name is the snapshot's.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, text: String::new() }
    }

    /// One line more.
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
