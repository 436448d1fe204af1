//! What a pod needs besides device memory, and whether its limits allow it.

use serde::Serialize;

use super::{Component, Verdict, in_thousandths};
use crate::units::Bytes;

/// A resource of the pod with the first rank: its memory, its shared memory, or the disk of its saves.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The decision. `Unknown` without a limit, or if what is missing decides.
    pub verdict: Verdict,
    /// Why, as one line for a person.
    pub message: String,
    /// The probability that the need is above the limit. `None` without a limit.
    #[serde(serialize_with = "in_thousandths")]
    pub probability: Option<f64>,
    /// The need: the point estimate.
    pub peak_bytes: Bytes,
    /// The 5th percentile of the need.
    pub lower_bytes: Bytes,
    /// The 95th percentile of the need.
    pub upper_bytes: Bytes,
    /// The limit. `None` if there is none, or if it may not be shown.
    pub limit_bytes: Option<Bytes>,
    /// Where the limit comes from.
    pub limit_source: Option<String>,
    /// The moment when it needs the most: `loading`, `training`, `saving`.
    pub instant: String,
    /// The parts of the need. They add up to `peak_bytes`.
    pub components: Vec<Component>,
    /// Further doubts, one line each, at most 120 characters.
    pub warnings: Vec<String>,
    /// What would help, as lines to write.
    pub advice: Vec<String>,
}
