//! What a step keeps for a sample of a diffusion model: an image of r × r pixels, and its text.
//!
//! ```text
//! n    = (r / 8)² + text        positions of the latent image, and those that the text is worth
//! kept = n × whole              bytes, if the network is trained
//!      = n × adapters           if it is frozen under adapters
//!      = n × checkpointed       with checkpointing: the inputs of the blocks, and the block that is computed again
//! ```
//!
//! The bytes of a position are PyTorch's own count on fake tensors: what the classes of diffusers 0.42 save for the backward pass
//! under the rules of CUDA's autocast, with PyTorch's fused attention (`tests/accuracy/oracle/image.py`, rows in `images.csv`). The
//! formula is within 4 % of the counts at 512 and 1024 pixels. A text of 77 tokens weighs nothing in a U-net. Stable Diffusion 3
//! has 154 tokens and FLUX 512, each as much as the four positions of a patch. The count knows neither a VAE nor text encoders that
//! compute beside the network, nor workspaces of convolutions. So it is the usual value, and refuses no job.

use crate::units::Bytes;

/// KiB for each position of one network.
struct Kept {
    /// The name of its model.
    name: &'static str,
    /// Positions that the text is worth.
    text: u64,
    whole: u64,
    adapters: u64,
    checkpointed: u64,
}

const fn kept(name: &'static str, text: u64, [whole, adapters, checkpointed]: [u64; 3]) -> Kept {
    Kept { name, text, whole, adapters, checkpointed }
}

const KEPT: &[Kept] = &[
    kept("stable-diffusion-1.5", 0, [295, 270, 61]),
    kept("stable-diffusion-2.1", 0, [295, 260, 50]),
    kept("stable-diffusion-xl", 0, [517, 464, 46]),
    kept("stable-diffusion-3-medium", 616, [490, 283, 31]),
    kept("stable-diffusion-3.5-medium", 616, [780, 518, 45]),
    kept("stable-diffusion-3.5-large", 616, [1_589, 983, 73]),
    kept("flux.1-dev", 2_048, [2_718, 1_510, 114]),
];

/// The largest side of a latent image.
const LARGEST_SIDE: u64 = 1 << 12;

/// A sample of a known model, with the side of its image in pixels. `None` if the network was not counted.
pub(super) fn of(model: &str, side: u64, adapters: bool, checkpointed: bool) -> Option<Bytes> {
    let kept = KEPT.iter().find(|kept| kept.name == model)?;
    let latent = (side / 8).min(LARGEST_SIDE);
    let each = match (checkpointed, adapters) {
        (true, _) => kept.checkpointed,
        (false, true) => kept.adapters,
        (false, false) => kept.whole,
    };
    Some(Bytes((latent * latent + kept.text) * (each << 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest allowed error of a count.
    const WORST: f64 = 0.04;

    #[test]
    fn what_an_image_keeps_is_pytorchs_count_of_each_network_at_two_sizes() {
        let rows = include_str!("../../../tests/accuracy/images.csv");
        let rows: Vec<Vec<&str>> = rows
            .lines()
            .filter(|line| !line.starts_with('#'))
            .skip(1)
            .map(|line| line.split(',').collect())
            .collect();
        assert!(rows.len() >= 2 * KEPT.len(), "{} rows", rows.len());
        for row in rows {
            let [model, side, trains, checkpointed, gib] = *row else { panic!("{row:?}") };
            let kept = of(model, side.parse().unwrap(), trains == "adapters", checkpointed == "yes").unwrap();
            let error = kept.as_gib() / gib.parse::<f64>().unwrap() - 1.0;
            assert!(error.abs() < WORST, "{row:?}: {:.3} GiB, {:+.1} %", kept.as_gib(), error * 100.0);
        }
    }
}
