//! Weighbridge beside the real programs of others, which `make neighbours` builds.
//!
//! A job here takes minutes, as in a cluster, so `make test` leaves these out and `make test-neighbours` runs them.

mod exporter;
mod kueue;
mod prometheus;
mod queues;
