//! The parameters of towers for images and audio, with the projection to the decoder's hidden size.
//!
//! ```text
//! tower       L·(4·v² + m·v·f + biases and norms 9·v + f) + c·p²·t·v + positions·v       m = 2, or 3 gated
//! merger      (v·k²)² + v·k²·h, for each place that is merged                            Qwen
//! projector   v·h + h·h                                                                  Llava, and where none is known
//! audio       L·(4·v² + 2·v·f + …) + 3·(b + v)·v + positions·v
//! ```
//!
//! `v` width, `f` feed-forward, `p` size and `t` number of frames of a patch, `c` channels, `k` patches that are merged along
//! a side, `b` mel bins, `h` the decoder's hidden size. Source: Transformers 5.24, `qwen2_vl`, `qwen2_5_vl`, `qwen3_vl`,
//! `siglip`, `clip`, `pixtral`, `glm4v`, `internvl`, `whisper`. The tests of [`super`] compare the counts; others that were
//! tried are within 5 %.

use serde_json::{Map, Value};

use super::keys::Keys;

/// The parameters of all towers.
pub(super) fn parameters(whole: &Map<String, Value>, hidden: u32) -> u64 {
    let whole = whole.get("thinker_config").and_then(Value::as_object).unwrap_or(whole);
    let of = |name: &str| whole.get(name).and_then(Value::as_object).map(|own| Keys::of(own, whole));
    let vision = of("vision_config").map_or(0, |keys| vision(keys, u64::from(hidden)));
    let audio = of("audio_config").map_or(0, |keys| audio(keys, u64::from(hidden)));
    vision.saturating_add(audio)
}

/// How a tower for images is built.
struct Build {
    /// Whether its feed-forward network is gated.
    gated: bool,
    /// How its output reaches the decoder.
    projector: Projector,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Projector {
    /// Patches are merged along both sides, then two matrices.
    Merger,
    /// One matrix for the tower's width, one for the decoder's.
    Two,
    /// One matrix.
    One,
    /// Glm's: a convolution, a matrix, and a gated network.
    Glm,
}

fn build(model_type: &str) -> Build {
    let (gated, projector) = match model_type {
        "qwen2_5_vl" | "qwen2_5_vl_vision" | "qwen2_5_omni_vision_encoder" => (true, Projector::Merger),
        "qwen2_vl"
        | "qwen2_vl_vision"
        | "qwen3_vl"
        | "qwen3_vl_vision"
        | "qwen3_vl_moe"
        | "qwen3_vl_moe_vision"
        | "qwen3_5"
        | "qwen3_5_vision"
        | "qwen3_5_moe"
        | "qwen3_5_moe_vision"
        | "qwen3_omni_moe_vision_encoder"
        | "kimi_k25_vision"
        | "moonvit" => (false, Projector::Merger),
        "glm4v" | "glm4v_vision" | "glm4v_moe" | "glm4v_moe_vision" | "glm46v_vision" => {
            (true, Projector::Glm)
        }
        "pixtral" => (true, Projector::Two),
        "siglip_vision_model" | "mllama_vision_model" => (false, Projector::One),
        _ => (false, Projector::Two),
    };
    Build { gated, projector }
}

fn vision(keys: Keys<'_>, hidden: u64) -> u64 {
    let number = |names: &[&str]| keys.number(names).map(u64::from);
    let first_of = |name: &str| keys.list(name).and_then(|list| list.first()?.as_u64());
    let Some(layers) = number(&["depth", "num_hidden_layers", "layers"]) else { return 0 };
    let layers = layers.saturating_add(number(&["num_global_layers"]).unwrap_or(0));
    // Qwen2-VL's `hidden_size` is the decoder's.
    let Some(width) = number(&["embed_dim", "hidden_size", "width"]) else { return 0 };
    let ffn = number(&["intermediate_size"])
        .unwrap_or_else(|| width.saturating_mul(number(&["mlp_ratio"]).unwrap_or(4)));
    let Build { gated, projector } = build(keys.text("model_type").unwrap_or_default());
    let patch = number(&["patch_size"]).or_else(|| first_of("patch_size")).unwrap_or(14);
    let frames = number(&["temporal_patch_size"]).unwrap_or(1);
    let side = number(&["image_size"]).or_else(|| first_of("image_size"));
    let positions = match (number(&["num_position_embeddings", "num_patches"]), side, projector) {
        (Some(positions), ..) => positions,
        (None, Some(side), Projector::One | Projector::Two) if !gated => (side / patch.max(1)).pow(2),
        _ => 0,
    };
    let glm = projector == Projector::Glm;
    // Glm's networks are as wide as the decoder's hidden size; the written width is its merger's.
    let network = if glm { number(&["out_hidden_size"]).unwrap_or(hidden) } else { ffn };
    let matrices = if gated { 3 } else { 2 };
    let each = sum(&[
        product(&[4, width, width]),
        product(&[matrices, width, network]),
        product(&[if gated { 2 } else { 9 }, width]),
        if gated { 0 } else { network },
    ]);
    let patches = product(&[3, patch, patch, frames, width]);
    let merged = number(&["spatial_merge_size"]).unwrap_or(2);
    let out = number(&["out_hidden_size"]).unwrap_or(hidden);
    let joined = product(&[width, merged, merged]);
    let projection = match projector {
        Projector::Merger => {
            let places = 1 + keys.list("deepstack_visual_indexes").map_or(0, |list| list.len() as u64);
            places.saturating_mul(sum(&[product(&[joined, joined]), product(&[joined, out])]))
        }
        Projector::Two => sum(&[product(&[width, hidden]), product(&[hidden, hidden])]),
        // Mllama joins the outputs of several layers.
        Projector::One => product(&[number(&["vision_output_dim"]).unwrap_or(width), hidden]),
        Projector::Glm => sum(&[product(&[joined, out]), product(&[out, out]), product(&[3, out, ffn])]),
    };
    sum(&[product(&[layers, each]), patches, product(&[positions, width]), projection])
}

fn audio(keys: Keys<'_>, hidden: u64) -> u64 {
    let number = |names: &[&str]| keys.number(names).map(u64::from);
    let Some(layers) = number(&["encoder_layers", "num_hidden_layers"]) else { return 0 };
    let Some(width) = number(&["d_model", "hidden_size"]) else { return 0 };
    let ffn = number(&["encoder_ffn_dim", "intermediate_size"]).unwrap_or(4 * width);
    let bins = number(&["num_mel_bins"]).unwrap_or(80);
    let positions = number(&["max_source_positions"]).unwrap_or(1_500);
    let each = sum(&[product(&[4, width, width]), product(&[2, width, ffn]), 9 * width, ffn]);
    sum(&[
        product(&[layers, each]),
        product(&[3, width, bins + width]),
        product(&[positions, width]),
        product(&[width, hidden]),
    ])
}

fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}

fn product(parts: &[u64]) -> u64 {
    parts.iter().fold(1, |product, part| product.saturating_mul(*part))
}
