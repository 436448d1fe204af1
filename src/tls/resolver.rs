//! Which certificate a handshake gets: the newest. Connections that are open keep theirs.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::leaf::Leaf;

/// The leaf that is served.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    leaf: ArcSwapOption<Leaf>,
}

impl Resolver {
    /// Serves this leaf from now on.
    pub(super) fn serve(&self, leaf: Arc<Leaf>) {
        self.leaf.store(Some(leaf));
    }

    /// The leaf that is served.
    pub(super) fn leaf(&self) -> Option<Arc<Leaf>> {
        self.leaf.load_full()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.leaf.load().as_ref().map(|leaf| leaf.certified.clone())
    }
}
