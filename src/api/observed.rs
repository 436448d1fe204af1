//! Observed memory in a status: the peaks, their ratio to the prediction, and the condition that tells whether there are any.
//!
//! A known peak stays while Prometheus is away. So a Prometheus that comes and goes causes no writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::conditions::{Finding, Holds};
use super::status::{cut, milli};
use super::v1alpha1::{ObservedStatus, PodPeak, TrainingEstimateStatus};
use crate::judgement::Judgement;
use crate::learn::observed::peaks::Peaks;
use crate::units::Bytes;

/// The condition that is true if a metric showed the memory of the workload's pods.
pub const OBSERVED: &str = "Observed";

/// Whether Prometheus answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observing {
    /// It answered when it was last asked, or was not asked yet.
    Answered,
    /// It did not, for this reason in few words.
    Failed(String),
}

/// The peaks of a status.
pub fn peaks(status: &TrainingEstimateStatus) -> Option<Peaks> {
    let observed = status.observed.as_ref()?;
    let pod = |pod: &PodPeak| (pod.name.clone(), Bytes(u64::try_from(pod.peak_bytes).unwrap_or_default()));
    Some(Peaks {
        metric: observed.source.clone(),
        at: observed.at.as_ref().map_or(0, |at| at.0.as_second()),
        pods: observed.pods.iter().map(pod).collect(),
    })
}

pub(super) fn status(peaks: &Peaks, judgement: &Judgement) -> Option<ObservedStatus> {
    let signed = |bytes: Bytes| i64::try_from(bytes.0).unwrap_or(i64::MAX);
    let highest = peaks.highest()?;
    let predicted = judgement.memory.as_ref().map(|memory| memory.process_bytes);
    let ratio = predicted.filter(|bytes| *bytes > Bytes::ZERO).map(|bytes| highest.as_f64() / bytes.as_f64());
    let pod = |(name, peak): &(String, Bytes)| PodPeak { name: cut(name), peak_bytes: signed(*peak) };
    Some(ObservedStatus {
        peak_bytes: signed(highest),
        ratio_milli: ratio.map(milli),
        source: cut(&peaks.metric),
        at: Timestamp::from_second(peaks.at).ok().map(Time),
        pods: peaks.pods.iter().map(pod).collect(),
    })
}

pub(super) fn finding(peaks: Option<&Peaks>, observing: &Observing) -> Finding {
    let (holds, reason, message) = match (peaks.and_then(|peaks| peaks.pods.first()), observing) {
        (Some((pod, peak)), _) => {
            (Holds::True, "Measured", format!("{pod} had {peak} of an accelerator in use."))
        }
        (None, Observing::Failed(why)) => (
            Holds::Unknown,
            "PrometheusFailed",
            format!("Prometheus gave no answer: {why}. It is asked again. Admission does not depend on it."),
        ),
        (None, Observing::Answered) => {
            (Holds::Unknown, "NotMeasured", "No metric has shown a pod of this workload yet.".to_owned())
        }
    };
    Finding { kind: OBSERVED, holds, reason, message: cut(&message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgement::{Memory, Reason, Verdict};

    fn observed() -> Peaks {
        let pods = vec![("a-0".into(), Bytes::from_gib(66.0)), ("a-1".into(), Bytes::from_gib(3.0))];
        Peaks { metric: "DCGM_FI_DEV_FB_USED".into(), at: 100, pods }
    }

    #[test]
    fn peaks_are_written_and_read_alike_with_their_ratio_to_the_prediction() {
        let mut judgement = Judgement::without_figures(Verdict::Fits, Reason::BelowCapacity);
        let of = |judgement: &Judgement| status(&observed(), judgement);
        assert_eq!(of(&judgement).unwrap().ratio_milli, None);
        judgement.memory = Some(Memory { process_bytes: Bytes::from_gib(60.0), ..Memory::default() });
        let written = of(&judgement);
        assert_eq!(written.as_ref().map(|written| written.ratio_milli), Some(Some(1100)));
        let read = peaks(&TrainingEstimateStatus { observed: written, ..TrainingEstimateStatus::default() });
        assert_eq!(read, Some(observed()));
    }

    #[test]
    fn a_peak_counts_more_than_the_state_of_prometheus() {
        let failed = &Observing::Failed("it is slow".into());
        for (peaks, observing, holds, reason) in [
            (Some(observed()), &Observing::Answered, Holds::True, "Measured"),
            (Some(observed()), failed, Holds::True, "Measured"),
            (None, failed, Holds::Unknown, "PrometheusFailed"),
            (None, &Observing::Answered, Holds::Unknown, "NotMeasured"),
        ] {
            let found = finding(peaks.as_ref(), observing);
            assert_eq!((found.holds, found.reason), (holds, reason));
        }
    }
}
