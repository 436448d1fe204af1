//! The accuracy of the estimates on runs that others published, on runs of this project, and on PyTorch's own counts.
//!
//! `published/` holds the figures, one file per source. Each row has the source's facts in the fields of a training
//! job; rows that a rule excludes are listed too. Every row takes the path of a user's job: estimate, distribution,
//! decision. [`rules`] decides which rows count as stated. `bounds.toml` holds the accuracy reached so far, and the
//! tests fail if it gets worse. [`unseen`] fits every calibrated constant again without the rows of one model or one
//! source, and shows the errors on those rows. A figure that a source gives in whole GB is compared with the values
//! that round to it; the last line of each table compares it exactly.
//!
//! `cargo test --test local accuracy:: -- --nocapture` prints the tables. [`shown`] keeps each of them as a snapshot.

mod bounds;
mod devices;
mod measured;
mod oracle;
mod published;
mod rules;
mod score;
mod shown;
mod statistics;
mod table;
mod throughput;
mod time;
mod unseen;
