//! The kinds of a model's layers, as families write them: a list of words, a pattern of letters, a period, or lists of
//! numbers.

use serde_json::Value;

use super::families::{Family, Mark};
use super::keys::{Keys, whole};
use super::listed;
use crate::job::{DenseLayers, LayerPattern};

/// The most layers of a pattern.
const MOST: u32 = 512;

/// The pattern of the layers, if they are of several kinds or none of them is a plain decoder's.
pub(super) fn pattern(keys: Keys<'_>, family: &Family, layers: u32) -> Option<LayerPattern> {
    let letters = letters(keys, family, layers.min(MOST))?;
    let plain = letters.chars().all(|letter| letter == '*');
    let uniform = letters.chars().all(|letter| letter == 'S');
    if plain || uniform {
        return None;
    }
    LayerPattern::try_from(period(&letters).to_owned()).ok()
}

/// The number of layers in the list of their kinds, where no number of them is given.
pub(super) fn listed_layers(keys: Keys<'_>) -> Option<u32> {
    let list = keys.list("layer_types").or_else(|| keys.list("layers_block_type"))?;
    u32::try_from(list.len()).ok().filter(|length| *length > 0)
}

fn letters(keys: Keys<'_>, family: &Family, layers: u32) -> Option<String> {
    if family.has(Mark::Parallel) {
        return Some("H".to_owned());
    }
    if family.has(Mark::StateSpaces) {
        return Some("M".to_owned());
    }
    if let Some(pattern) = keys.text("hybrid_override_pattern") {
        return Some(pattern.chars().filter(|letter| crate::job::LETTERS.contains(*letter)).collect());
    }
    let list = keys.list("layer_types").or_else(|| keys.list("layers_block_type"));
    if let Some(list) = list {
        let of = |word: &Value| word.as_str().and_then(|word| letter(word, family));
        return list.iter().take(MOST as usize).map(of).collect();
    }
    let each = |of: &dyn Fn(u32) -> char| (0..layers).map(of).collect::<String>();
    if let Some(kinds) = keys.list("attn_type_list") {
        let attends = |kind: &Value| if kind.as_u64() == Some(1) { '*' } else { 'L' };
        return Some(kinds.iter().take(MOST as usize).map(attends).collect());
    }
    let listed =
        |name: &str| keys.list(name).map(|list| list.iter().filter_map(Value::as_u64).collect::<Vec<_>>());
    if let Some(attends) = listed("full_attn_idxs") {
        return Some(each(&|layer| if attends.contains(&u64::from(layer)) { '*' } else { 'C' }));
    }
    if let Some(group) = keys.group("linear_attn_config") {
        let full: Vec<u64> = group.list("full_attn_layers")?.iter().filter_map(Value::as_u64).collect();
        return Some(each(&|layer| if full.contains(&u64::from(layer + 1)) { '*' } else { 'K' }));
    }
    if let Some(cross) = listed("cross_attention_layers") {
        return Some(each(&|layer| if cross.contains(&u64::from(layer)) { 'X' } else { '*' }));
    }
    if let Some(attends) = listed("attn_layer_indices") {
        return Some(each(&|layer| if attends.contains(&u64::from(layer)) { '*' } else { 'M' }));
    }
    if let Some(period) = keys.number(&["attn_layer_period"]) {
        let offset = keys.get("attn_layer_offset").and_then(whole).unwrap_or(0);
        return Some(each(&|layer| if layer % period == offset { '*' } else { 'M' }));
    }
    if family.has(Mark::EveryFourth) {
        let interval = keys.number(&["full_attention_interval"]).unwrap_or(4);
        return Some(each(&|layer| if (layer + 1) % interval == 0 { '*' } else { 'G' }));
    }
    if let Some(every) = keys.number(&["sliding_window_pattern"]) {
        return Some(each(&|layer| if (layer + 1) % every == 0 { '*' } else { 'S' }));
    }
    None
}

/// The letter of a word for a kind.
fn letter(word: &str, family: &Family) -> Option<char> {
    Some(match word {
        "full_attention" | "attention" | "deepseek_sparse_attention" => '*',
        "sliding_attention" | "chunked_attention" => 'S',
        "linear_attention" if family.has(Mark::Kimi) => 'K',
        "linear_attention" if family.has(Mark::Lightning) => 'L',
        "linear_attention" => 'G',
        "mamba" => 'M',
        "conv" => 'C',
        "hybrid" => 'H',
        "mlp" => '-',
        "moe" => 'E',
        _ => return None,
    })
}

/// The shortest part of a pattern that, repeated, gives all of it.
fn period(letters: &str) -> &str {
    let repeats = |length: &usize| {
        let of = |at: usize| letters.as_bytes().get(at % length);
        letters.bytes().enumerate().all(|(at, letter)| of(at) == Some(&letter))
    };
    let length = (1..=letters.len()).find(repeats).unwrap_or(letters.len());
    letters.get(..length).unwrap_or(letters)
}

/// The layers without experts.
pub(super) fn dense(keys: Keys<'_>, family: &Family, layers: u32) -> Option<DenseLayers> {
    let first = keys.number(&["first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"]);
    if let Some(first) = first {
        return Some(DenseLayers::Count(first));
    }
    let layers = layers.min(MOST);
    let without = |has: &dyn Fn(u32) -> bool| listed((0..layers).filter(|layer| !has(*layer)).collect());
    if let Some(frequencies) = keys.list("moe_layer_freq") {
        let has = |layer: u32| frequencies.get(layer as usize).and_then(Value::as_u64) == Some(1);
        return without(&has);
    }
    if let Some(moe) = keys.list("moe_layers") {
        return without(&|layer| moe.iter().any(|with| with.as_u64() == Some(u64::from(layer))));
    }
    if let Some(words) = keys.list("mlp_layer_types") {
        return without(&|layer| words.get(layer as usize).and_then(Value::as_str) == Some("sparse"));
    }
    if let Some(step) = keys.number(&["interleave_moe_layer_step"]) {
        return without(&|layer| (layer + 1) % step == 0);
    }
    if family.has(Mark::Periods) {
        let period = keys.number(&["expert_layer_period"])?;
        let offset = keys.get("expert_layer_offset").and_then(whole).unwrap_or(0);
        return without(&|layer| layer % period == offset);
    }
    let step = keys.number(&["decoder_sparse_step"]).unwrap_or(1);
    let only: Vec<u64> =
        keys.list("mlp_only_layers").into_iter().flatten().filter_map(Value::as_u64).collect();
    without(&|layer| (layer + 1) % step == 0 && !only.contains(&u64::from(layer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_cut_to_its_period() {
        for (all, shortest) in [("GGG*GGG*", "GGG*"), ("M-M-", "M-"), ("MM*", "MM*"), ("C", "C"), ("", "")] {
            assert_eq!(period(all), shortest);
        }
    }
}
