//! How a framework uses the host's memory and its disks.

use super::versions::Versions;

/// The facts about the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// How weights are loaded.
    pub loading: UsualLoading,
    /// The versions that map a file's weights, so that those in the file's format take no memory of their own.
    pub maps: Versions,
    /// The versions in which other ranks than the first build the model too, although they are told not to.
    pub first_rank_fails: Versions,
    /// The versions that write files of up to 50 GB. Others write up to 5 GB.
    pub large_files: Versions,
    /// Whether a save of sharded weights may gather them in one process.
    pub gathers: bool,
    /// Worker processes of one rank's data loader: the fewest that people use, the default, the most that people use.
    pub workers: [u64; 3],
    /// Optimizer steps between two saves, if it saves without being told.
    pub save_interval: Option<u64>,
    /// How many saves it keeps, if it deletes older ones without being told.
    pub kept: Option<u64>,
}

impl Host {
    /// Each process makes or reads its share and saves it, as in pretraining (Megatron-LM's `dist_checkpointing`, PyTorch's
    /// `torch.distributed.checkpoint`).
    pub const SHARES: Self = Self {
        loading: UsualLoading::Shares,
        maps: Versions::Never,
        first_rank_fails: Versions::Never,
        large_files: Versions::Never,
        gathers: false,
        workers: [0, 0, 8],
        save_interval: None,
        kept: None,
    };
    /// Each process builds the whole model from a file, and one may gather it for a save, as in fine-tuning (`from_pretrained`
    /// and `save_pretrained` of Transformers).
    pub const WHOLE: Self = Self { loading: UsualLoading::Whole, gathers: true, ..Self::SHARES };
}

/// How weights are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsualLoading {
    /// A process builds the whole model in its memory.
    Whole,
    /// A process reads or makes the share that it trains.
    Shares,
}
