//! 2. From what was read to a job: a known model's dimensions, defaults, accumulation, what stays open.

pub(crate) mod open;
