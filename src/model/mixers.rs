//! Parameters of mixers other than attention.
//!
//! ```text
//! Gated DeltaNet        h·(2K + 2V) + 2·h·n_v + (2K + V)·c + 2·n_v + d_v + V·h
//! Kimi Delta Attention  h·(2K + V) + (2K + V)·c + 2·h·d_k + d_k·(K + V) + h·n_v + n_v + K + d_v + V·h
//! lightning attention   5·h·q + q
//! Mamba-2               h·(2·I + 2·g·N + n) + (I + 2·g·N)·(c + 1) + 3·n + I + I·h
//! Mamba                 2·h·I + I·(c + 1) + I·(r + 2·N) + r·I + I + I·N + I + I·h
//! short convolution     4·h·h + h·c
//! ```
//!
//! Symbols: `h` hidden, `K`, `V` widths of all keys and values, `n` heads, `d` head sizes, `c` tokens that the convolution
//! sees, `q` width of all queries, `I` channels, `N` numbers of a channel's state, `g` groups, `r` rank of the time step.
//! A Mamba-2 without a norm has `I` fewer, which is less than 0.1 % of a model.
//!
//! Matrices from and to the hidden size are divided by tensor parallelism, and everything of a head with them. The
//! low-rank gates, and Mamba's norms, are not. Source: Transformers 5.24, `qwen3_5`, `kimi_linear`, `minimax`, `mamba2`,
//! `jamba` and `lfm2`. A test of [`super::known`] counts the published models.

use super::parameters::sum;
use super::{LayerParameters, Shape};

fn divided(tensor_sharded: u64, replicated: u64) -> LayerParameters {
    LayerParameters { tensor_sharded, replicated, experts: 0 }
}

/// Gated `DeltaNet`.
pub fn gated_delta(shape: &Shape) -> LayerParameters {
    let (h, linear) = (shape.hidden, shape.linear);
    let (keys, values, heads) = (linear.keys(), linear.values(), linear.value_heads);
    let mixed = keys.saturating_mul(2).saturating_add(values);
    let sharded = [
        h.saturating_mul(mixed.saturating_add(values)),
        h.saturating_mul(heads).saturating_mul(2),
        mixed.saturating_mul(linear.convolution),
        heads.saturating_mul(2),
        values.saturating_mul(h),
    ];
    divided(sum(&sharded), linear.value_head)
}

/// Kimi Delta Attention.
pub fn kimi_delta(shape: &Shape) -> LayerParameters {
    let (h, linear) = (shape.hidden, shape.linear);
    let (keys, values, heads) = (linear.keys(), linear.values(), linear.value_heads);
    let mixed = keys.saturating_mul(2).saturating_add(values);
    let sharded = [
        h.saturating_mul(mixed),
        mixed.saturating_mul(linear.convolution),
        linear.key_head.saturating_mul(keys.saturating_add(values)),
        h.saturating_mul(heads),
        heads.saturating_add(keys),
        values.saturating_mul(h),
    ];
    divided(sum(&sharded), h.saturating_mul(linear.key_head).saturating_mul(2) + linear.value_head)
}

/// Lightning attention: queries, keys, values, output and its gate are equally wide.
pub fn lightning(shape: &Shape) -> LayerParameters {
    let q = shape.query_width();
    divided(shape.hidden.saturating_mul(q).saturating_mul(5).saturating_add(q), 0)
}

/// Mamba or Mamba-2.
pub fn state_space(shape: &Shape) -> LayerParameters {
    let (h, space) = (shape.hidden, shape.state_space);
    let (inner, state) = (space.inner(), space.state);
    let kernel = space.convolution.saturating_add(1);
    if let Some(rank) = space.time_step_rank {
        let sharded = [
            h.saturating_mul(inner).saturating_mul(3),
            inner.saturating_mul(kernel),
            inner.saturating_mul(rank.saturating_mul(2).saturating_add(state.saturating_mul(3)) + 2),
        ];
        return divided(sum(&sharded), 0);
    }
    let ends = space.groups.saturating_mul(state).saturating_mul(2);
    let sharded = [
        h.saturating_mul(inner.saturating_mul(2).saturating_add(ends).saturating_add(space.heads)),
        inner.saturating_add(ends).saturating_mul(kernel),
        space.heads.saturating_mul(3),
        inner,
        inner.saturating_mul(h),
    ];
    divided(sum(&sharded), 0)
}

/// A gated short convolution: one matrix makes the input and two gates.
pub fn convolution(shape: &Shape) -> LayerParameters {
    let h = shape.hidden;
    divided(h.saturating_mul(h).saturating_mul(4).saturating_add(h.saturating_mul(shape.convolution)), 0)
}
