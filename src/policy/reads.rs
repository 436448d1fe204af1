//! The kinds of objects that the administrator allows us to read, besides workloads and nodes.

use crate::surroundings::{Document, Opened};

/// The kinds that may be read, besides workloads and nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// ConfigMaps.
    pub config_maps: bool,
    /// Kueue's queues and flavors.
    pub queues: bool,
    /// Device claims and their templates, and claims of volumes.
    pub claims: bool,
}

impl Reads {
    /// Whether this kind may be read.
    pub fn open(self, document: &Document) -> bool {
        match document.opened {
            Opened::Always => true,
            Opened::ByConfigMaps => self.config_maps,
            Opened::ByQueues => self.queues,
            Opened::ByClaims => self.claims,
        }
    }
}
