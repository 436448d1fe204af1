//! Parts of a GPU that pods ask for by annotation: KAI's and Run:ai's.
//!
//! `gpu-fraction` is a share of a card's memory (`"0.5"`), `gpu-memory` an amount of it in MiB;
//! `gpu-fraction-num-devices` is the number of cards. The pod asks for no resource beside them. No mechanism enforces
//! the share; the pod is meant to stay within it. Source: NVIDIA/KAI-Scheduler, pkg/common/constants.

use serde_json::Value;

use crate::kinds::requests::Limit;
use crate::units::Bytes;

/// A template's request: the number of cards, the share of each, and the annotation.
pub(crate) fn of(template: &Value) -> Option<(u64, Limit, &'static str)> {
    let text = |key: &str| template.pointer("/metadata/annotations")?.get(key)?.as_str();
    let cards = text("gpu-fraction-num-devices").and_then(|count| count.trim().parse().ok()).unwrap_or(1);
    if let Some(mib) = text("gpu-memory").and_then(|mib| mib.trim().parse::<u64>().ok()) {
        return (mib > 0).then_some((cards, Limit::Bytes(Bytes::from_mib(1) * mib), "annotation gpu-memory"));
    }
    let fraction =
        text("gpu-fraction")?.trim().parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0)?;
    Some((cards, Limit::Percent((fraction * 100.0).round().max(1.0) as u64), "annotation gpu-fraction"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_valid_share_or_amount_is_read() {
        for (annotations, expected) in [
            (json!({"gpu-fraction": "0.5"}), Some((1, Limit::Percent(50), "annotation gpu-fraction"))),
            (
                json!({"gpu-memory": "20000", "gpu-fraction-num-devices": "2"}),
                Some((2, Limit::Bytes(Bytes::from_mib(20_000)), "annotation gpu-memory")),
            ),
            (json!({"gpu-fraction": "half"}), None),
            (json!({"gpu-fraction": "2"}), None),
            (json!({"gpu-memory": "0"}), None),
            (json!({}), None),
        ] {
            assert_eq!(of(&json!({"metadata": {"annotations": annotations}})), expected, "{annotations}");
        }
    }
}
