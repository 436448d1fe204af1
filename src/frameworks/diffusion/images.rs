//! What a step keeps for a sample of a diffusion model: an image or a video of w × h pixels and f frames, and its text.
//!
//! ```text
//! n    = (w / 8) · (h / 8) · ((f − 1) / 4 + 1) + text        positions of the latent, and those that the text is worth
//! kept = n × whole              bytes, if the network is trained
//!      = n × adapters           if it is frozen under adapters
//!      = n × checkpointed       with checkpointing: the inputs of the blocks, and the block that is computed again
//! ```
//!
//! The 8 is the VAE's, and 16 or 32 in some models; the 4 is 8 in LTX. The bytes of a position are PyTorch's own count on fake
//! tensors: what the classes of diffusers 0.42 save for the backward pass under the rules of CUDA's autocast, with PyTorch's fused
//! attention (`tests/accuracy/oracle/image.py`, rows in `images.csv` and `videos.csv`). The formula is within 5 % of the counts at 512 and
//! 1024 pixels, and of videos of 49 and 81 frames. A text of 77 tokens weighs nothing in a U-net. Stable Diffusion 3 has 154 tokens,
//! FLUX, Wan and their like 512, each as much as the four positions of a patch. The count knows neither a VAE nor text encoders that
//! compute beside the network, nor workspaces of convolutions. So it is the usual value, and refuses no job.

use crate::units::Bytes;

/// The size of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Pixels of a frame.
    pub(crate) pixels: u64,
    /// Frames: one of an image.
    pub(crate) frames: u64,
}

impl Size {
    /// An image as wide as it is high.
    pub(crate) fn square(side: u64) -> Self {
        Self { pixels: side.saturating_mul(side), frames: 1 }
    }
}

/// KiB for each position of one network.
struct Kept {
    /// The name of its model.
    name: &'static str,
    /// Positions that the text is worth: of a whole network, under adapters, with checkpointing.
    text: [u64; 3],
    /// KiB of a position, in the same order.
    each: [u64; 3],
    /// Pixels along a side, and frames, of one position.
    space: u64,
    time: u64,
}

const fn kept(name: &'static str, text: u64, each: [u64; 3]) -> Kept {
    Kept { name, text: [text; 3], each, space: 8, time: 4 }
}

/// Wan, whose text is read beside the latent.
const fn wan(name: &'static str, each: [u64; 3]) -> Kept {
    Kept { name, text: [277, 420, 90], each, space: 8, time: 4 }
}

const KEPT: &[Kept] = &[
    kept("stable-diffusion-1.5", 0, [295, 270, 61]),
    kept("stable-diffusion-2.1", 0, [295, 260, 50]),
    kept("stable-diffusion-xl", 0, [517, 464, 46]),
    kept("stable-diffusion-3-medium", 616, [490, 283, 31]),
    kept("stable-diffusion-3.5-medium", 616, [780, 518, 45]),
    kept("stable-diffusion-3.5-large", 616, [1_589, 983, 73]),
    kept("flux.1-dev", 2_048, [2_718, 1_510, 114]),
    kept("flux.2-dev", 2_048, [5_710, 3_755, 243]),
    kept("chroma1", 2_048, [2_738, 1_505, 114]),
    kept("qwen-image", 1_024, [3_072, 1_955, 124]),
    kept("z-image", 2_048, [2_690, 2_042, 127]),
    kept("hunyuanvideo", 1_024, [2_833, 1_804, 127]),
    Kept { text: [19, 27, 0], space: 32, time: 8, ..kept("ltx-video", 0, [4_636, 3_157, 227]) },
    wan("wan2.1-t2v-1.3b", [1_076, 673, 46]),
    wan("wan2.1-t2v-14b", [4_152, 2_675, 171]),
    Kept { space: 16, ..wan("wan2.2-ti2v-5b", [2_051, 1_293, 90]) },
    // The same layers; an image's tokens are a few more of the text's.
    wan("wan2.1-i2v-14b", [4_152, 2_675, 171]),
    wan("wan2.2-i2v-a14b", [4_152, 2_675, 171]),
];

/// The most positions of a sample.
const LARGEST: u64 = 1 << 24;

/// A sample of a known model. `None` if the network was not counted.
pub(super) fn of(model: &str, size: Size, adapters: bool, checkpointed: bool) -> Option<Bytes> {
    let kept = KEPT.iter().find(|kept| kept.name == model)?;
    let frames = size.frames.saturating_sub(1) / kept.time + 1;
    let latent = (size.pixels / (kept.space * kept.space)).saturating_mul(frames).min(LARGEST);
    let ([whole, adapted, again], [texts, of_adapted, of_again]) = (kept.each, kept.text);
    let (text, each) = match (checkpointed, adapters) {
        (true, _) => (of_again, again),
        (false, true) => (of_adapted, adapted),
        (false, false) => (texts, whole),
    };
    Some(Bytes((latent + text) * (each << 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest allowed error of a count.
    const WORST: f64 = 0.05;

    /// The rows of a table, each as its words.
    fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
        table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| line.split(',').collect())
    }

    fn compare(model: &str, size: Size, trains: &str, checkpointed: &str, gib: &str) {
        let kept = of(model, size, trains == "adapters", checkpointed == "yes").unwrap();
        let error = kept.as_gib() / gib.parse::<f64>().unwrap() - 1.0;
        let name = format!("{model} {size:?} {trains} {checkpointed}");
        assert!(error.abs() < WORST, "{name}: {:.3} GiB, {:+.1} %", kept.as_gib(), error * 100.0);
    }

    #[test]
    fn what_an_image_keeps_is_pytorchs_count_of_each_network_at_two_sizes() {
        let mut counted = 0;
        for row in rows(include_str!("../../../tests/accuracy/images.csv")) {
            let [model, side, trains, checkpointed, gib] = *row else { panic!("{row:?}") };
            compare(model, Size::square(side.parse().unwrap()), trains, checkpointed, gib);
            counted += 1;
        }
        assert!(counted >= 66, "{counted} rows");
    }

    #[test]
    fn what_a_video_keeps_is_pytorchs_count_of_each_network_at_two_lengths() {
        let mut counted = 0;
        for row in rows(include_str!("../../../tests/accuracy/videos.csv")) {
            let [model, high, wide, frames, trains, checkpointed, gib] = *row else { panic!("{row:?}") };
            let [high, wide, frames] = [high, wide, frames].map(|number| number.parse::<u64>().unwrap());
            compare(model, Size { pixels: high * wide, frames }, trains, checkpointed, gib);
            counted += 1;
        }
        assert!(counted >= 45, "{counted} rows");
    }
}
