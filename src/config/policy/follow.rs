//! Follows the policy's file: reads it again every few seconds and compares the content.
//!
//! A mounted `ConfigMap` changes when a link is replaced. File watches miss that on some file systems, and reading a
//! few KiB costs nothing. A file that is still being written may be cut at the end of a line, and without its last
//! lines it may be valid. So a new content takes effect only after two equal reads in a row. A file that is refused
//! changes nothing: the last valid policy stays, the log gives the reason once, and a metric shows the fault until it
//! is fixed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::Policies;
use super::file::LONGEST;
use crate::policy::Policy;

/// The time between two reads.
const INTERVAL: Duration = Duration::from_secs(3);
/// The time between two reads at the start of the process, which waits for them.
const AT_START: Duration = Duration::from_millis(200);
/// The most reads at the start. After that, the latest content is used even if it still changes.
const MOST_READS: usize = 10;

/// The metrics of the policy's file.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    reloads: Counter,
    refused: Gauge,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_policy_reloads",
            "Changes of the policy's file that took effect",
            self.reloads.clone(),
        );
        registry.register(
            "weighbridge_policy_refused",
            "1 while the policy's file is refused and the last valid one stays in effect",
            self.refused.clone(),
        );
    }
}

/// The content of the file, or why it cannot be read.
type Content = Result<String, String>;

/// Decides which content is in effect.
#[derive(Debug)]
struct Reads {
    /// The content in effect.
    effective: Content,
    /// Another content, which was read once.
    pending: Option<Content>,
}

impl Reads {
    /// Takes the content of a read. Returns it if it takes effect now.
    fn read(&mut self, found: Content) -> Option<Content> {
        if found == self.effective {
            self.pending = None;
            return None;
        }
        if self.pending.as_ref() != Some(&found) {
            self.pending = Some(found);
            return None;
        }
        self.pending = None;
        self.effective.clone_from(&found);
        Some(found)
    }
}

/// The content at the start of the process, after two equal reads in a row, or after [`MOST_READS`] reads.
///
/// # Errors
/// The file cannot be read.
pub async fn settled(path: &Path) -> anyhow::Result<String> {
    let mut last = read(path).await;
    for _ in 1..MOST_READS {
        tokio::time::sleep(AT_START).await;
        let found = read(path).await;
        if found == last {
            break;
        }
        last = found;
    }
    last.map_err(|error| anyhow::anyhow!("reading {}: {error}", path.display()))
}

async fn read(path: &Path) -> Content {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?;
    if metadata.len() > LONGEST as u64 {
        return Err("it is longer than 1 MiB".to_owned());
    }
    tokio::fs::read_to_string(path).await.map_err(|error| error.to_string())
}

/// Follows the policy's file.
pub struct Follower {
    policies: Arc<Policies>,
    /// The policy that the file overrides.
    base: Policy,
    path: PathBuf,
    reads: Reads,
    metrics: Metrics,
}

impl Follower {
    /// Follows a file whose content `text` is in effect.
    pub fn new(policies: Arc<Policies>, base: Policy, path: PathBuf, text: String, metrics: Metrics) -> Self {
        Self { policies, base, path, reads: Reads { effective: Ok(text), pending: None }, metrics }
    }

    /// Reads the file every few seconds until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
            self.read().await;
        }
    }

    /// Reads the file once. A content that takes effect becomes the policy.
    async fn read(&mut self) {
        let Some(content) = self.reads.read(read(&self.path).await) else { return };
        let file = self.path.display();
        match content.map_err(anyhow::Error::msg).and_then(|text| self.base.with_text(&text)) {
            Ok(policy) if policy.kinds.named() != self.policies.current().kinds.named() => {
                tracing::error!(%file, "the policy is refused: a change of its workloads needs a restart");
                self.metrics.refused.set(1);
            }
            Ok(policy) => {
                tracing::info!(%file, "the policy has changed");
                self.policies.replace(policy);
                self.metrics.reloads.inc();
                self.metrics.refused.set(0);
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(%file, error, "the policy is refused; the last valid one stays in effect");
                self.metrics.refused.set(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::policy::Mode;

    const HEAD: &str = "apiVersion: config.weighbridge.dev/v1alpha1\nkind: Configuration\n";

    fn content(text: &str) -> Content {
        text.parse().map_err(|error: std::convert::Infallible| error.to_string())
    }

    #[test]
    fn a_content_takes_effect_after_two_equal_reads_in_a_row() {
        let mut reads = Reads { effective: content("mode: warn\n"), pending: None };
        let torn =
            [content(""), content("mode: warn\nunknown: Deny\n"), content("mode: warn\n"), content("")];
        for found in torn {
            assert_eq!(reads.read(found), None);
        }
        assert_eq!(reads.read(content("")), Some(content("")));
        assert_eq!(reads.read(content("")), None, "it takes effect once");
        assert_eq!(reads.read(content("mode: warn\n")), None);
        assert_eq!(reads.read(content("mode: warn\n")), Some(content("mode: warn\n")));
    }

    #[test]
    fn a_file_that_is_missing_once_changes_nothing() {
        let mut reads = Reads { effective: content("a"), pending: None };
        assert_eq!(reads.read(Err("no such file".into())), None);
        assert_eq!(reads.read(content("a")), None);
        assert_eq!(reads.read(Err("no such file".into())), None);
        assert_eq!(reads.read(Err("no such file".into())), Some(Err("no such file".into())));
    }

    #[tokio::test]
    async fn a_file_that_is_torn_at_a_lines_end_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        let whole = format!("{HEAD}mode: warn\n");
        fs::write(&path, &whole).unwrap();
        assert_eq!(settled(&path).await.unwrap(), whole);

        let base = Policy::default();
        let policies = Policies::new(base.with_text(&whole).unwrap());
        let mut follower =
            Follower::new(policies.clone(), base, path.clone(), whole.clone(), Metrics::default());
        let mut policy_after = async |text: &str| {
            fs::write(&path, text).unwrap();
            follower.read().await;
            let policy = policies.current();
            (policy.mode, policy.version)
        };
        assert_eq!(policy_after(HEAD).await, (Mode::Warn, 0), "its last line is not written yet");
        let longer = format!("{whole}unknown: Deny\n");
        assert_eq!(policy_after(&longer).await, (Mode::Warn, 0));
        assert_eq!(policy_after(&longer).await, (Mode::Warn, 1));
        assert_eq!(policy_after(HEAD).await, (Mode::Warn, 1));
        assert_eq!(policy_after(HEAD).await, (Mode::Enforce, 2), "the file stays without the line");
    }
}
