//! Whether the disk of a pod suffices for what the job writes: its saves, and the weights that it downloads.
//!
//! Saves lie in the output directory, downloads in the hub's cache. Each lies in the volume that is mounted there, else on the
//! container's own disk. In one place they share its room. In two places each is compared with its own, and the one that
//! rather runs out is shown. A claim's size comes from another object, so a person who may not read the claim is told that it
//! does not suffice, and not its size.

use super::host::Allowed;
use super::host_advice::{quantity, rounded};
use super::shown::Shown;
use super::{Judge, host};
use crate::estimate::host::HostEstimate;
use crate::frameworks::profile::host::UsualLoading;
use crate::job::field;
use crate::judgement::{Judgement, Resource, Verdict};
use crate::kinds::host::{Mount, Store};
use crate::units::Bytes;
use crate::workload::PodOffer;

/// The hub's cache, unless a variable names another directory.
const HUB_CACHE: &str = "~/.cache/huggingface/hub";
/// First parts of paths that are no owner of a model on the hub.
const NO_OWNERS: &[&str] =
    &["checkpoint", "checkpoints", "data", "model", "models", "output", "outputs", "pretrained", "weights"];

/// What lies in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Saves,
    Downloads,
    Both,
}

/// The disk that rather runs out. `None` if the job writes nothing that we know.
pub(super) fn storage(
    judge: &Judge<'_>,
    judgement: &Judgement,
    offer: &PodOffer,
    needs: &HostEstimate,
    loading: UsualLoading,
    shown: &Shown<'_>,
) -> Option<Resource> {
    let saves = needs.saves.all != Some(0);
    let directory = judgement.job.checkpoint.as_ref().and_then(|saved| saved.directory.as_deref());
    let room = directory.filter(|_| saves).and_then(|directory| limit(directory, offer));
    let cache =
        downloads(judgement, loading, shown).then(|| hub_cache(judgement)).and_then(|at| limit(at, offer));
    let shown = |content, room: Option<&Allowed>| {
        let mut storage = compared(judge, judgement, needs, content, room);
        let hides_claim = room.is_some_and(|room| room.elsewhere) && shown.hides_others();
        if shown.hides_pod() || shown.hides_any(field::CHECKPOINT) {
            host::hide(&mut storage);
        } else if let Some(room) = room.filter(|_| hides_claim) {
            hide_size(&mut storage, needs, content, room);
        }
        storage
    };
    match (&room, &cache) {
        (Some(room), Some(cache)) if room.source == cache.source => Some(shown(Content::Both, Some(room))),
        (_, Some(cache)) => {
            let downloaded = shown(Content::Downloads, Some(cache));
            let saved = saves.then(|| shown(Content::Saves, room.as_ref()));
            let better = |saved: &Resource| saved.probability >= downloaded.probability;
            saved.filter(better).or(Some(downloaded))
        }
        (room, None) => saves.then(|| shown(Content::Saves, room.as_ref())),
    }
}

/// Whether the pod downloads weights: it is told so, or a command names a model of the hub.
fn downloads(judgement: &Judgement, loading: UsualLoading, shown: &Shown<'_>) -> bool {
    let told = judgement.job.host.as_ref().and_then(|host| host.downloads);
    let name = judgement.job.model.as_ref().and_then(|model| model.name.as_deref());
    told.unwrap_or_else(|| {
        loading == UsualLoading::Whole
            && name.is_some_and(is_of_the_hub)
            && shown.is_by_command(field::model::NAME)
    })
}

/// Whether a name is one of the hub: owner and model. A path begins with a sign, or has other parts.
fn is_of_the_hub(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    name.split_once('/')
        .is_some_and(|(owner, model)| is_word(owner) && is_word(model) && !NO_OWNERS.contains(&owner))
}

fn hub_cache(judgement: &Judgement) -> &str {
    judgement.job.host.as_ref().and_then(|host| host.hub_cache.as_deref()).unwrap_or(HUB_CACHE)
}

/// The room where a directory lies. A relative path lies in a directory that is not known. The home directory is the
/// container's own, unless a volume may hold it.
fn limit(directory: &str, offer: &PodOffer) -> Option<Allowed> {
    let in_home = |mount: &&Mount| {
        mount.path.contains("/.cache") || mount.path == "/root" || mount.path.starts_with("/home")
    };
    let mount = match directory.chars().next()? {
        '/' => offer.host.mount_of(directory),
        '~' => offer.host.mounts.iter().find(in_home),
        _ => return None,
    };
    let disk = || {
        let given = offer.host.disk.as_ref()?;
        let named = "the local disk".to_owned();
        Some(Allowed { bytes: given.bytes, source: given.source.clone(), named, elsewhere: false })
    };
    match mount {
        Some(mount) => match (mount.size, mount.store) {
            (Some(bytes), _) => {
                let named = mount.named.clone();
                Some(Allowed { bytes, source: named.clone(), named, elsewhere: mount.elsewhere })
            }
            (None, Store::Local) => disk(),
            (None, Store::Memory | Store::Elsewhere) => None,
        },
        None => disk(),
    }
}

fn compared(
    judge: &Judge<'_>,
    judgement: &Judgement,
    needs: &HostEstimate,
    content: Content,
    room: Option<&Allowed>,
) -> Resource {
    let need = match content {
        Content::Saves => &needs.storage,
        Content::Downloads => &needs.downloads,
        Content::Both => &needs.saves_and_downloads,
    };
    let advice = room.map(|room| advice(needs, content, room)).unwrap_or_default();
    let mut storage = judge.resource("disk", need, room, advice);
    storage.message = message(judgement, needs, content, room, &storage);
    storage
}

/// Without the size of another object's.
fn hide_size(storage: &mut Resource, needs: &HostEstimate, content: Content, room: &Allowed) {
    let kept = content_of(needs, content);
    let named = &room.named;
    storage.message = match storage.verdict {
        Verdict::OutOfMemory => format!("{kept}: more than {named} has"),
        Verdict::Tight | Verdict::Unknown => format!("{kept}: {named} may have less"),
        Verdict::Fits | Verdict::NotTraining | Verdict::Unrecognised => format!("{kept}, in {named}"),
    };
    storage.limit_bytes = None;
    storage.advice.clear();
}

/// What lies in the place: `needs 12.5 GiB of disk for each save, all are kept`.
fn content_of(needs: &HostEstimate, content: Content) -> String {
    let kept = match needs.saves.kept {
        Some(kept) => format!("the last {kept} are kept"),
        None => "all are kept".to_owned(),
    };
    let (save, downloaded) = (needs.save, needs.downloads.distribution.likely());
    match content {
        Content::Saves => format!("needs {save} of disk for each save, {kept}"),
        Content::Downloads => format!("needs {downloaded} of disk for downloaded weights"),
        Content::Both => {
            format!("needs {save} of disk for each save, {kept}, and {downloaded} for downloaded weights")
        }
    }
}

fn message(
    judgement: &Judgement,
    needs: &HostEstimate,
    content: Content,
    room: Option<&Allowed>,
    storage: &Resource,
) -> String {
    let kept = content_of(needs, content);
    let Some(Allowed { bytes: offered, named: place, .. }) = room else {
        return format!("{kept}; its room is not known");
    };
    let first = storage.advice.first().map(|advice| format!("; {advice}")).unwrap_or_default();
    let has = format!("{place} has {offered}");
    let doubted = matches!(storage.verdict, Verdict::OutOfMemory | Verdict::Tight | Verdict::Unknown);
    if !doubted {
        return format!("{kept}, {has}");
    }
    let Some(fit) = saves_that_fit(needs, content, *offered) else {
        return format!("{kept}, {has}{first}");
    };
    match storage.verdict {
        Verdict::OutOfMemory | Verdict::Tight if fit == 0 => {
            format!("{kept}, {has}: the first save fails{first}")
        }
        _ => {
            let full = full(judgement, needs, fit).map(|time| format!(", {time}")).unwrap_or_default();
            let saves = if fit == 1 { "save fits" } else { "saves fit" };
            format!("{kept}, {has}: {fit} {saves}{full}{first}")
        }
    }
}

/// The saves that fit beside what is downloaded. None if the place holds no saves, or if the downloads alone fill it.
fn saves_that_fit(needs: &HostEstimate, content: Content, offered: Bytes) -> Option<u64> {
    let downloaded = needs.downloads.distribution.likely();
    let left = match content {
        Content::Saves => offered,
        Content::Both if downloaded < offered => offered - downloaded,
        Content::Both | Content::Downloads => return None,
    };
    Some(left.0 / needs.save.0.max(1))
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

fn advice(needs: &HostEstimate, content: Content, room: &Allowed) -> Vec<String> {
    let fit = saves_that_fit(needs, content, room.bytes);
    let keeps = needs.saves.kept.is_none_or(|kept| kept > 1);
    let fewer = fit.filter(|fit| *fit >= 2 && keeps).map(|fit| format!("save_total_limit {}", fit - 1));
    let weights: Bytes =
        needs.storage.components.iter().filter(|part| part.name == "weights").map(|part| part.bytes).sum();
    let alone =
        (weights > Bytes::ZERO && fit == Some(0)).then(|| "save weights alone (save_only_model)".to_owned());
    let elsewhere = fit.is_none().then(|| "HF_HOME in a volume with more room".to_owned());
    let need = match content {
        Content::Saves => &needs.storage,
        Content::Downloads => &needs.downloads,
        Content::Both => &needs.saves_and_downloads,
    };
    let more = rounded(need.distribution.bounds().1);
    let room = format!("{} {} → {}", room.named, quantity(room.bytes), quantity(more));
    fewer.into_iter().chain(alone).chain(elsewhere).chain([room]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_the_hub_has_an_owner() {
        for (name, is) in [
            ("meta-llama/Llama-3.1-8B", true),
            ("Qwen/Qwen2.5-7B-Instruct", true),
            ("llama-3-8b", false),
            ("/models/llama", false),
            ("./llama/7b", false),
            ("~/llama", false),
            ("models/llama-7b", false),
            ("s3://bucket/llama", false),
            ("a/b/c", false),
            ("$OWNER/llama", false),
        ] {
            assert_eq!(is_of_the_hub(name), is, "{name}");
        }
    }
}
