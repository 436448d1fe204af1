//! The accuracy of the estimates on runs that others published, on runs of this project, and on PyTorch's own counts.
//!
//! `published/` holds the figures, one file per source. Each row has the source's facts in the fields of a training
//! job; rows that a rule excludes are listed too. Every row is a run of [`weighbridge::score`], which judges it like a
//! user's job and makes the tables. `bounds.toml` holds the accuracy reached so far, and the tests fail if it gets
//! worse. [`unseen`] fits every calibrated constant again without the rows of one model or one source, and shows the
//! errors on those rows.
//!
//! `cargo test --test local accuracy:: -- --nocapture` prints the tables. [`shown`] keeps each of them as a snapshot.

mod bounds;
mod constants;
mod devices;
mod encoders;
mod evidence;
mod host;
mod measured;
mod objectives;
mod oracle;
mod published;
mod reports;
mod score;
mod shown;
mod statistics;
mod throughput;
mod time;
mod unseen;
