//! A certificate that another controller renews, such as cert-manager: `tls.crt` and `tls.key` in a folder, and
//! `ca.crt` if the issuer gives it.
//!
//! The files are read every few seconds and compared by content. Mounted files change by a symbolic link, and watches
//! miss that on some file systems. For a moment the files may be of two renewals. Then they don't match, and the next
//! read is right. A certificate that cannot be served never replaces one that can.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use sha2::{Digest as _, Sha256};

use super::Error;

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(2);

/// The files' content, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The certificate, and the intermediate ones.
    pub(super) chain: Vec<u8>,
    /// Its key.
    pub(super) key: Vec<u8>,
    /// The CA's certificate. Empty if the issuer does not give it.
    pub(super) authority: Vec<u8>,
}

impl Files {
    /// Reads the files.
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

    /// The hash of the content.
    pub(super) fn hash(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        for part in [&self.chain, &self.key, &self.authority] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_vec()
    }
}

/// An item for each change of the content.
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
