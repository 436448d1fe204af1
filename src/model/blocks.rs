//! A model's layers as blocks: what mixes tokens, and what each token passes alone.
//!
//! A layer has a [`Mixer`], a [`Channel`], or both. Layers with the same two are of one kind. A plain decoder has one
//! kind, or two: first its layers without experts, then those with experts. A model with a
//! [pattern](crate::job::LayerPattern) has its kinds in the pattern's order. Parameters, operations and memory are sums
//! over kinds: a stage of a pipeline has a number of layers of each.

use std::sync::Arc;

use crate::job::{DenseLayers, LayerPattern};

/// What mixes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixer {
    /// Attention over all tokens.
    Attention,
    /// Attention over a sliding window.
    Window,
    /// Attention to the tokens of a tower.
    Cross,
    /// Gated `DeltaNet`: Yang et al. 2412.06464.
    GatedDelta,
    /// Kimi Delta Attention: Gated `DeltaNet` with a gate for each channel.
    KimiDelta,
    /// Lightning attention: linear attention with a fixed decay for each head.
    Lightning,
    /// A state space: Mamba, Mamba-2.
    StateSpace,
    /// Attention and a state space side by side.
    Parallel,
    /// A gated short convolution.
    Convolution,
    /// Attention over all tokens that an encoder reads.
    Encoder,
    /// Attention over the tokens of a decoder, then attention to those of its encoder.
    Decoder,
}

impl Mixer {
    /// Whether it has attention with a softmax.
    pub fn attends(self) -> bool {
        matches!(
            self,
            Self::Attention | Self::Window | Self::Cross | Self::Parallel | Self::Encoder | Self::Decoder
        )
    }
}

/// What each token passes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A feed-forward network.
    Dense,
    /// Experts.
    Experts,
}

/// A kind of layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// What mixes tokens, if anything does.
    pub mixer: Option<Mixer>,
    /// What each token passes alone, if anything.
    pub channel: Option<Channel>,
}

impl Block {
    /// A plain decoder's layer.
    pub const fn plain(channel: Channel) -> Self {
        Self { mixer: Some(Mixer::Attention), channel: Some(channel) }
    }

    /// Whether it stands for layers that are not listed.
    pub fn is_unlisted(self) -> bool {
        self == Self::default()
    }

    /// Whether the layer has experts.
    pub fn has_experts(self) -> bool {
        self.channel == Some(Channel::Experts)
    }
}

/// The kinds of a model's layers, and their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    kinds: Vec<Block>,
    order: Order,
}

#[derive(Clone, Debug, PartialEq)]
enum Order {
    /// So many layers of the first kind, then so many of the second.
    InTurn([u64; 2]),
    /// For each kind, how many of the first `n` layers are of it.
    Listed(Arc<Vec<Vec<u64>>>),
}

impl Blocks {
    /// A plain decoder: first layers without experts, then layers with experts.
    pub fn plain(dense: u64, experts: u64) -> Self {
        let kinds = vec![Block::plain(Channel::Dense), Block::plain(Channel::Experts)];
        Self { kinds, order: Order::InTurn([dense, experts]) }
    }

    /// A model with a pattern. `dense`: the layers without experts, of a model that has experts.
    pub fn of(pattern: &LayerPattern, layers: u64, experts: bool, dense: Option<&DenseLayers>) -> Self {
        let letters = pattern.letters();
        let alone = letters.contains(['-', 'E']) || letters.chars().all(|letter| letter == 'M');
        let is_dense = |layer: u64| match dense {
            _ if !experts => true,
            None => false,
            Some(DenseLayers::Count(first)) => layer < u64::from(*first),
            Some(DenseLayers::List(list)) => list.iter().any(|dense| u64::from(*dense) == layer),
        };
        let mut kinds: Vec<Block> = Vec::new();
        let mut counts: Vec<Vec<u64>> = Vec::new();
        for (layer, letter) in (0..layers).zip(letters.chars().cycle()) {
            let behind = if is_dense(layer) { Channel::Dense } else { Channel::Experts };
            let block = block(letter, (!alone).then_some(behind));
            if !kinds.contains(&block) {
                kinds.push(block);
                counts.push(vec![0; usize::try_from(layer + 1).unwrap_or_default()]);
            }
            for (kind, count) in kinds.iter().zip(&mut counts) {
                let before = count.last().copied().unwrap_or_default();
                count.push(before + u64::from(*kind == block));
            }
        }
        Self { kinds, order: Order::Listed(Arc::new(counts)) }
    }

    /// Whether this is a plain decoder.
    pub fn is_plain(&self) -> bool {
        matches!(self.order, Order::InTurn(_))
    }

    /// The kinds, in the order in which they first appear.
    pub fn kinds(&self) -> &[Block] {
        &self.kinds
    }

    /// How many of the layers `from..to` are of each kind, in the order of the kinds.
    pub fn within(&self, from: u64, to: u64) -> impl Iterator<Item = u64> + '_ {
        (0..self.kinds.len()).map(move |kind| self.before(kind, to).saturating_sub(self.before(kind, from)))
    }

    /// The number of layers of each kind that the model has.
    pub fn all(&self) -> impl Iterator<Item = (Block, u64)> + '_ {
        self.kinds.iter().copied().zip(self.within(0, u64::MAX))
    }

    /// The kind of a layer, as its place among the kinds.
    pub fn kind_of(&self, layer: u64) -> usize {
        self.within(layer, layer.saturating_add(1)).position(|count| count > 0).unwrap_or(0)
    }

    /// How many of the first `layers` layers are of a kind.
    fn before(&self, kind: usize, layers: u64) -> u64 {
        match &self.order {
            Order::InTurn([first, second]) => match kind {
                0 => layers.min(*first),
                _ => layers.saturating_sub(*first).min(*second),
            },
            Order::Listed(counts) => {
                let Some(counts) = counts.get(kind) else { return 0 };
                let at = usize::try_from(layers).unwrap_or(usize::MAX);
                counts.get(at).or(counts.last()).copied().unwrap_or_default()
            }
        }
    }
}

/// The layer of a letter. `behind`: what follows a mixer.
fn block(letter: char, behind: Option<Channel>) -> Block {
    let mixer = match letter {
        'N' => return Block::default(),
        '-' => return Block { mixer: None, channel: Some(Channel::Dense) },
        'E' => return Block { mixer: None, channel: Some(Channel::Experts) },
        'S' => Mixer::Window,
        'X' => Mixer::Cross,
        'G' => Mixer::GatedDelta,
        'K' => Mixer::KimiDelta,
        'L' => Mixer::Lightning,
        'M' => Mixer::StateSpace,
        'H' => Mixer::Parallel,
        'C' => Mixer::Convolution,
        'B' => Mixer::Encoder,
        'D' => Mixer::Decoder,
        _ => Mixer::Attention,
    };
    Block { mixer: Some(mixer), channel: behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(letters: &str) -> LayerPattern {
        LayerPattern::try_from(letters.to_owned()).unwrap()
    }

    #[test]
    fn a_plain_decoder_has_its_layers_without_experts_first() {
        let blocks = Blocks::plain(3, 58);
        assert_eq!(blocks.within(0, 61).collect::<Vec<_>>(), [3, 58]);
        assert_eq!(blocks.within(2, 10).collect::<Vec<_>>(), [1, 7]);
        assert_eq!([blocks.kind_of(2), blocks.kind_of(3)], [0, 1]);
    }

    #[test]
    fn a_pattern_is_repeated_until_every_layer_has_a_kind() {
        let blocks = Blocks::of(&pattern("GGG*"), 10, false, None);
        assert_eq!(blocks.kinds().len(), 2);
        assert_eq!(blocks.within(0, 10).collect::<Vec<_>>(), [8, 2]);
        assert_eq!(blocks.within(3, 4).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(blocks.all().map(|(_, count)| count).sum::<u64>(), 10);
    }

    #[test]
    fn a_pattern_with_letters_for_networks_has_mixers_alone() {
        let blocks = Blocks::of(&pattern("M-M*E"), 5, true, None);
        let kinds: Vec<_> = blocks.kinds().iter().map(|block| (block.mixer, block.channel)).collect();
        assert_eq!(
            kinds,
            [
                (Some(Mixer::StateSpace), None),
                (None, Some(Channel::Dense)),
                (Some(Mixer::Attention), None),
                (None, Some(Channel::Experts)),
            ]
        );
        assert_eq!(Blocks::of(&pattern("M"), 4, false, None).kinds(), [block('M', None)]);
    }

    #[test]
    fn layers_without_experts_are_told_apart_in_a_pattern() {
        let dense = DenseLayers::List(vec![0, 2]);
        let blocks = Blocks::of(&pattern("M*"), 4, true, Some(&dense));
        assert_eq!(blocks.all().filter(|(block, _)| block.has_experts()).map(|(_, n)| n).sum::<u64>(), 2);
        let first = Blocks::of(&pattern("C"), 4, true, Some(&DenseLayers::Count(3)));
        assert_eq!(first.within(0, 4).collect::<Vec<_>>(), [3, 1]);
    }

    proptest::proptest! {
        #[test]
        fn the_stages_of_a_pattern_hold_each_layer_once(
            letters in "[*SXGKLMHCBDE-]{1,9}", layers in 1u64..200, cut in 0u64..200,
        ) {
            let blocks = Blocks::of(&pattern(&letters), layers, true, Some(&DenseLayers::Count(1)));
            let cut = cut.min(layers);
            let count = |from, to| blocks.within(from, to).collect::<Vec<_>>();
            let joined: Vec<_> = count(0, cut).iter().zip(count(cut, layers)).map(|(a, b)| a + b).collect();
            proptest::prop_assert_eq!(&joined, &count(0, layers));
            proptest::prop_assert_eq!(joined.iter().sum::<u64>(), layers);
            let first = blocks.within(0, 1).position(|count| count == 1);
            proptest::prop_assert_eq!(Some(blocks.kind_of(0)), first);
        }
    }
}
