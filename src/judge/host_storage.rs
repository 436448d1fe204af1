//! Whether the disk that holds a job's saves suffices, and when it is full.

use super::host::Allowed;
use super::host_advice::{quantity, rounded};
use super::shown::Shown;
use super::{Judge, host};
use crate::estimate::host::HostEstimate;
use crate::job::field;
use crate::judgement::{Judgement, Resource, Verdict};
use crate::kinds::host::Store;
use crate::units::Bytes;
use crate::workload::PodOffer;

/// The disk of the saves. `None` if the job saves nothing.
pub(super) fn storage(
    judge: &Judge<'_>,
    judgement: &Judgement,
    offer: &PodOffer,
    needs: &HostEstimate,
    shown: &Shown<'_>,
) -> Option<Resource> {
    if needs.saves.all == Some(0) {
        return None;
    }
    let saved = judgement.job.checkpoint.clone().unwrap_or_default();
    let limit = saved.directory.as_deref().and_then(|directory| limit(directory, offer));
    let advice = limit.as_ref().map(|limit| advice(needs, limit)).unwrap_or_default();
    let mut storage = judge.resource("disk", &needs.storage, limit.as_ref(), advice);
    storage.message = message(judgement, needs, limit.as_ref(), &storage);
    if shown.hides_pod() || shown.hides_any(field::CHECKPOINT) {
        host::hide(&mut storage);
    }
    Some(storage)
}

/// The room where a directory lies. A relative path lies in a directory that is not known.
fn limit(directory: &str, offer: &PodOffer) -> Option<Allowed> {
    if !directory.starts_with('/') {
        return None;
    }
    let disk = || {
        let given = offer.host.disk.as_ref()?;
        Some(Allowed { bytes: given.bytes, source: given.source.clone(), named: "the local disk".into() })
    };
    match offer.host.mount_of(directory) {
        Some(mount) => match (mount.size, mount.store) {
            (Some(bytes), _) => {
                Some(Allowed { bytes, source: mount.named.clone(), named: mount.named.clone() })
            }
            (None, Store::Local) => disk(),
            (None, Store::Memory | Store::Elsewhere) => None,
        },
        None => disk(),
    }
}

fn message(
    judgement: &Judgement,
    needs: &HostEstimate,
    limit: Option<&Allowed>,
    storage: &Resource,
) -> String {
    let save = needs.save;
    let kept = match needs.saves.kept {
        Some(kept) => format!("the last {kept} are kept"),
        None => "all are kept".to_owned(),
    };
    let Some(limit) = limit else { return format!("a save takes {save}, {kept}; its room is not known") };
    let offered = limit.bytes;
    let place = &limit.named;
    let fit = offered.0 / save.0.max(1);
    let full = full(judgement, needs, fit).map(|time| format!(", {time}")).unwrap_or_default();
    let first = storage.advice.first().map(|advice| format!("; {advice}")).unwrap_or_default();
    match storage.verdict {
        Verdict::OutOfMemory | Verdict::Tight if fit == 0 => {
            format!("needs {save} of disk for one save, {place} has {offered}: the first save fails{first}")
        }
        Verdict::OutOfMemory | Verdict::Tight | Verdict::Unknown => {
            format!(
                "needs {save} of disk for each save, {kept}, {place} has {offered}: {fit} fit{full}{first}"
            )
        }
        Verdict::Fits | Verdict::NotTraining | Verdict::Unrecognised => {
            format!("a save takes {save}, {kept}, {place} has {offered}")
        }
    }
}

/// When the save after these many does not fit any more.
fn full(judgement: &Judgement, needs: &HostEstimate, fit: u64) -> Option<String> {
    let step = judgement.time.as_ref()?.step_seconds?;
    let steps = needs.saves.interval?.saturating_mul(fit + 1);
    let hours = step * steps as f64 / 3600.0;
    Some(if hours < 48.0 {
        format!("full after {hours:.1} hours")
    } else {
        format!("full after {:.1} days", hours / 24.0)
    })
}

fn advice(needs: &HostEstimate, limit: &Allowed) -> Vec<String> {
    let fit = limit.bytes.0 / needs.save.0.max(1);
    let keeps = needs.saves.kept.is_none_or(|kept| kept > 1);
    let fewer = (fit >= 2 && keeps).then(|| format!("save_total_limit {}", fit - 1));
    let weights: Bytes =
        needs.storage.components.iter().filter(|part| part.name == "weights").map(|part| part.bytes).sum();
    let alone =
        (weights > Bytes::ZERO && fit == 0).then(|| "save weights alone (save_only_model)".to_owned());
    let more = rounded(needs.storage.distribution.bounds().1);
    let room = format!("{} {} → {}", limit.named, quantity(limit.bytes), quantity(more));
    fewer.into_iter().chain(alone).chain([room]).collect()
}
