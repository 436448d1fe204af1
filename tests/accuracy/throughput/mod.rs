//! The accuracy of predicted throughput: rows, fit, and the tables.

pub(crate) mod file;
pub(crate) mod fit;
pub(crate) mod holdout;
pub(crate) mod hours;
#[path = "../measured/run.rs"]
pub(crate) mod measured;
pub(crate) mod rows;
pub(crate) mod spread;
