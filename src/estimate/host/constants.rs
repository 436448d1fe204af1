//! Constants of host memory that physics cannot give. They are in `data/host.toml`, each with its evidence.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::units::Bytes;

/// The constants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constants {
    pub(super) process: Process,
    pub(super) worker: Worker,
    pub(super) nccl: Nccl,
    pub(super) spread: Spread,
}

/// A process without weights.
#[expect(clippy::struct_field_names, reason = "a key of the data file ends with its unit")]
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    /// The interpreter, PyTorch and the framework.
    pub(super) interpreter_mib: u64,
    /// What the accelerator's libraries add: at least, usually, at most.
    pub(super) libraries_mib: [u64; 3],
    /// The launcher of a pod's ranks.
    pub(super) launcher_mib: u64,
}

/// A worker of a data loader.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Worker {
    /// The pages that it does not share: at least, usually, at most.
    pub(super) mib: [u64; 3],
}

/// NCCL's segments of shared memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nccl {
    /// The pool of operations of a rank and a communicator: usually, at most.
    pub(super) pool_bytes: [u64; 2],
    /// The buffer of a rank and a channel, between ranks of a node without direct links.
    pub(super) buffer_bytes: u64,
}

/// The standard deviation of ln(measured / estimated).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spread {
    /// Of needs whose every part was measured.
    pub(super) measured: f64,
    /// Of needs with a part that was computed, and never measured.
    pub(super) computed: f64,
}

impl Constants {
    /// The compiled-in constants.
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Constants> = LazyLock::new(|| {
            toml::from_str(include_str!("../../../data/host.toml")).expect("data/host.toml is valid")
        });
        &BUILTIN
    }
}

/// One of the three ends of a constant: the leanest, the likeliest or the heaviest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The value that needs the least memory.
    Lean,
    /// The usual value.
    Likely,
    /// The value that needs the most.
    Heavy,
}

impl End {
    /// All ends, in this order.
    pub const ALL: [Self; 3] = [Self::Lean, Self::Likely, Self::Heavy];

    /// The value at this end.
    pub(super) const fn of<T: Copy>(self, [lean, likely, heavy]: [T; 3]) -> T {
        match self {
            Self::Lean => lean,
            Self::Likely => likely,
            Self::Heavy => heavy,
        }
    }

    /// The mebibytes at this end.
    pub(super) const fn mib(self, values: [u64; 3]) -> Bytes {
        Bytes::from_mib(self.of(values))
    }
}
