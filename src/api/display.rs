//! Figures for the columns of `kubectl get trainingestimates`, as short as in the tables of the reports.

use crate::job::keys;
use crate::judgement::Judgement;
use crate::report::figures;

use super::bounds::MAX_CHARACTERS;
use super::v1alpha1::DisplayStatus;

/// The columns of a judgement.
pub(super) fn display(judgement: &Judgement) -> DisplayStatus {
    let summary = &judgement.summary;
    let memory = judgement.memory.as_ref();
    let time = judgement.time.as_ref();
    let judged = judgement.verdict.trains();
    DisplayStatus {
        model: summary.model.clone().filter(|_| judged),
        gpus: summary.accelerators.map(|n| n.to_string()),
        accelerator: summary.accelerator.clone(),
        peak: memory.map(|m| figures::memory(m.peak_bytes)),
        interval: memory.map(|m| format!("{:.1}–{}", m.lower_bytes.as_gib(), figures::memory(m.upper_bytes))),
        of: memory.and_then(|m| m.capacity_bytes).map(figures::memory),
        oom_probability: judgement.oom_probability.map(percent),
        days: time.and_then(|t| t.days).map(figures::days),
        gpu_hours: time.and_then(|t| t.gpu_hours).map(figures::count),
        cost: judgement.cost.as_ref().map(|c| format!("{} {}", figures::count(c.total.as_f64()), c.currency)),
        missing: missing(judgement),
    }
}

/// The keys that are missing, as many as the column may hold.
fn missing(judgement: &Judgement) -> Option<String> {
    let mut missing = String::new();
    for key in keys::of_fields(&judgement.missing) {
        let comma = if missing.is_empty() { "" } else { "," };
        if missing.len() + comma.len() + key.len() > MAX_CHARACTERS {
            break;
        }
        missing.push_str(comma);
        missing.push_str(key);
    }
    Some(missing).filter(|missing| !missing.is_empty())
}

/// Never 0 % or 100 %, for an estimate is never certain.
fn percent(probability: f64) -> String {
    let percent = probability * 100.0;
    if percent < 1.0 {
        "<1%".into()
    } else if percent > 99.0 {
        ">99%".into()
    } else {
        format!("{percent:.0}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_never_a_certainty() {
        assert_eq!(percent(0.0), "<1%");
        assert_eq!(percent(0.214), "21%");
        assert_eq!(percent(1.0), ">99%");
    }
}
