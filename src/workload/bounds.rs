//! The range of every number of the spec, for what the apiserver's schema has not checked: files that `check` reads, and
//! the `training` annotation.
//!
//! A number is at least 1, but for the few that may be none at all, and at most what the field's annotation allows, where
//! it has one.

use serde_json::Value;

use super::annotations;

/// Fields that may be zero.
const FROM_ZERO: &[&str] = &[
    "model.denseLayers",
    "model.latentAttention.queryRank",
    "model.latentAttention.ropeHeadSize",
    "model.multiTokenPredictionLayers",
    "model.sharedExperts",
    "parallelism.firstStageLayers",
    "parallelism.lastStageLayers",
    "recomputeLayers",
];

/// What is wrong with a field's value, and what to write.
pub(super) fn out_of_range(field: &str, value: &Value) -> Option<String> {
    let number = value.as_u64()?;
    let least = u64::from(!FROM_ZERO.contains(&field));
    let most = annotations::most(field);
    if number >= least && most.is_none_or(|most| number <= most) {
        return None;
    }
    let to = most.map(|most| format!(" to {most}")).unwrap_or_default();
    Some(format!("{number} is out of range: write a number from {least}{to}, or leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_its_range_is_told_the_range() {
        assert_eq!(
            out_of_range("model.layers", &0.into()).unwrap(),
            "0 is out of range: write a number from 1 to 10000, or leave it out"
        );
        assert_eq!(
            out_of_range("model.headSize", &0.into()).unwrap(),
            "0 is out of range: write a number from 1, or leave it out"
        );
        assert!(out_of_range("parallelism.pipeline", &65_537.into()).is_some());
    }

    #[test]
    fn what_may_be_none_at_all_may_be_zero() {
        assert!(FROM_ZERO.iter().all(|field| out_of_range(field, &0.into()).is_none()));
        assert!(out_of_range("model.layers", &80.into()).is_none());
        assert!(out_of_range("model.name", &"x".into()).is_none());
    }
}
