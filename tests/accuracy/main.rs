//! How close the estimates come to what was measured.

mod oracle;
