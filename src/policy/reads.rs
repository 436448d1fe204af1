//! What may be read of a cluster beside workloads and nodes.

use crate::surroundings::{Document, Opened};

/// What an administrator lets be read beside workloads and nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// ConfigMaps.
    pub config_maps: bool,
    /// Kueue's queues and flavors.
    pub queues: bool,
    /// Claims of devices, and their templates.
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
