//! Models of an encoder and a decoder that attends to it: T5, BART, mBART, NLLB, Whisper.
//!
//! Both have one width, and here one feed-forward width, the decoder's. What no dimension gives:
//!
//! ```text
//! T5       2·b·a + h                                     b distances, on either side; the encoder's last norm
//! BART     P·h + 2h                                      positions of the encoder; two norms of embeddings, none at the end
//! mBART    P·h + 6h                                      as BART, and a norm at either end
//! NLLB     2h                                            the encoder's last norm
//! Whisper  3·m·h + 3·h² + 2h + S·h + 2h + 2h·(E + 2D)    two convolutions over m bins, positions; the encoder's last norm; biases
//!                                                        of queries and values, which keys have not
//! ```
//!
//! Source: Transformers 5.24, `models/{t5,bart,mbart,m2m_100,whisper}/modeling_*.py`. The tests of [`super`] compare the counts.

use super::families::{Family, Mark};
use super::keys::Keys;
use crate::job::{Activation, LayerPattern, Model, Positions};
use crate::units::Count;

/// Rows of a table of positions that stand before the first position in BART and mBART.
const OFFSET: u32 = 2;
/// Frames that Whisper's encoder reads.
const FRAMES: u32 = 1_500;

/// Completes a model that has an encoder.
pub(super) fn complete(keys: Keys<'_>, family: &Family, model: &mut Model) {
    if !family.has(Mark::EncoderDecoder) {
        return;
    }
    let kind = keys.text("model_type").unwrap_or_default();
    let encoder = keys.number(&["encoder_layers", "num_layers"]).unwrap_or_default();
    let decoder = keys.number(&["decoder_layers", "num_decoder_layers"]).unwrap_or(encoder);
    let letters = |letter: &str, count: u32| letter.repeat(count.min(LONGEST) as usize);
    model.layers = Some(encoder.saturating_add(decoder));
    model.layer_pattern = LayerPattern::try_from(letters("B", encoder) + &letters("D", decoder)).ok();
    model.head_size = keys.number(&["d_kv"]).or(model.head_size);
    let [h, e, d] = [model.hidden_size.unwrap_or_default(), encoder, decoder].map(u64::from);
    let positions = model.max_positions.unwrap_or(1_024);
    let further = match kind {
        "whisper" => {
            let bins = keys.number(&["num_mel_bins"]).map_or(80, u64::from);
            let frames = keys.number(&["max_source_positions"]).unwrap_or(FRAMES);
            model.encoder_length = Some(frames);
            model.max_positions = keys.number(&["max_target_positions"]).or(Some(448));
            model.qkv_biases = Some(false);
            sum(&[
                product(&[3, bins, h]),
                product(&[3, h, h]),
                product(&[2 + 2, h]),
                product(&[u64::from(frames), h]),
                product(&[2, h, e.saturating_add(d.saturating_mul(2))]),
            ])
        }
        "m2m_100" => product(&[2, h]),
        "bart" | "mbart" => {
            let rows = positions.saturating_add(OFFSET);
            model.max_positions = Some(rows);
            let norms = if kind == "bart" { 2 } else { 6 };
            sum(&[product(&[u64::from(rows), h]), product(&[norms, h])])
        }
        _ => {
            model.positions = Some(Positions::Relative);
            let gated = keys.text("feed_forward_proj").is_some_and(|kind| kind.starts_with("gated"));
            model.activation = Some(if gated { Activation::SwiGLU } else { Activation::GELU });
            let buckets = keys.number(&["relative_attention_num_buckets"]).map_or(32, u64::from);
            let heads = model.attention_heads.map_or(0, u64::from);
            product(&[2, buckets, heads]).saturating_add(h)
        }
    };
    model.further_parameters = Some(Count(further));
}

/// The most layers of either side in a pattern.
const LONGEST: u32 = 256;

fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}

fn product(parts: &[u64]) -> u64 {
    parts.iter().fold(1, |product, part| product.saturating_mul(*part))
}
