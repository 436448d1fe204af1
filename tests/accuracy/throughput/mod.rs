//! How close predicted throughput comes to published throughput: rows, fit, and the tables.

pub mod file;
pub mod fit;
pub mod holdout;
pub mod hours;
pub mod rows;
pub mod spread;
