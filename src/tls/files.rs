//! A certificate that somebody else renews, cert-manager for one: `tls.crt` and `tls.key` in a folder, and `ca.crt` where
//! the issuer tells it.
//!
//! Read again every few seconds, by content: what is mounted changes by a link that is turned, which watching misses on
//! some file systems. The two files may be of two renewals for a moment; then they don't belong together, and the next
//! look is the right one. What is served is never taken back for something that cannot be served.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use sha2::{Digest as _, Sha256};

use super::Error;

/// How often they are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// The files' content, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The certificate, and those between it and the root.
    pub(super) chain: Vec<u8>,
    /// Its key.
    pub(super) key: Vec<u8>,
    /// Who signs; empty where that is not told.
    pub(super) authority: Vec<u8>,
}

impl Files {
    /// Reads them.
    pub(super) async fn read(folder: &Path) -> Result<Self, Error> {
        let file = async |name: &str| {
            let path = folder.join(name);
            tokio::fs::read(&path)
                .await
                .map_err(|error| Error::Files(path.display().to_string(), error.to_string()))
        };
        let chain = file("tls.crt").await?;
        let key = file("tls.key").await?;
        let authority = file("ca.crt").await.unwrap_or_default();
        Ok(Self { chain, key, authority })
    }

    /// Tells one content from another.
    pub(super) fn hash(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        for part in [&self.chain, &self.key, &self.authority] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_vec()
    }
}

/// An item whenever the content has changed.
pub(super) fn changes(folder: PathBuf) -> BoxStream<'static, ()> {
    let looked = async |folder: &Path| Files::read(folder).await.ok().map(|files| files.hash());
    stream::unfold((folder, None), move |(folder, before)| async move {
        let mut before: Option<Option<Vec<u8>>> = before;
        loop {
            if before.is_some() {
                tokio::time::sleep(INTERVAL).await;
            }
            let now = looked(&folder).await;
            let first = before.is_none();
            if before.as_ref() != Some(&now) {
                before = Some(now);
                if !first {
                    return Some(((), (folder, before)));
                }
            }
        }
    })
    .boxed()
}
