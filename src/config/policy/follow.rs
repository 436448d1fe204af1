//! Follows the policy's file: read again every few seconds, by content.
//!
//! A `ConfigMap` that is mounted changes by a link that is turned. Watching files misses that on some file systems, and
//! reading a few KiB costs nothing. A file that is being written may be cut at a line's end, and a policy that lacks its
//! last lines is valid. So a content counts when two looks in a row have found it. A file that is refused changes nothing:
//! the last good one is kept, the log says why, once, and a metric stays up until it is mended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::Policies;
use super::file::LONGEST;
use crate::policy::Policy;

/// How often it is read.
const INTERVAL: Duration = Duration::from_secs(3);
/// The time between two looks at the start, which waits for them.
const AT_START: Duration = Duration::from_millis(200);
/// A file that changes with each look is taken as it is after this many.
const LOOKS: usize = 10;

/// What is counted of the file.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    reloads: Counter,
    refused: Gauge,
}

impl Metrics {
    /// Makes them readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_policy_reloads",
            "Changes of the policy's file that took effect",
            self.reloads.clone(),
        );
        registry.register(
            "weighbridge_policy_refused",
            "1 while the policy's file is refused and the last good one holds",
            self.refused.clone(),
        );
    }
}

/// What two looks in a row have found: a content, or why there is none.
type Content = Result<String, String>;

/// Which content counts.
#[derive(Debug)]
struct Looks {
    /// The content that counted last.
    counted: Content,
    /// Another one, which was seen once.
    seen: Option<Content>,
}

impl Looks {
    /// The content, if this look makes it count.
    fn look(&mut self, found: Content) -> Option<Content> {
        if found == self.counted {
            self.seen = None;
            return None;
        }
        if self.seen.as_ref() != Some(&found) {
            self.seen = Some(found);
            return None;
        }
        self.seen = None;
        self.counted.clone_from(&found);
        Some(found)
    }
}

/// The file's content at the start, whole as far as a few looks can tell.
///
/// # Errors
/// The file cannot be read.
pub async fn settled(path: &Path) -> anyhow::Result<String> {
    let mut last = look(path).await;
    for _ in 1..LOOKS {
        tokio::time::sleep(AT_START).await;
        let found = look(path).await;
        if found == last {
            break;
        }
        last = found;
    }
    last.map_err(|error| anyhow::anyhow!("reading {}: {error}", path.display()))
}

async fn look(path: &Path) -> Content {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?;
    if metadata.len() > LONGEST as u64 {
        return Err("it is longer than 1 MiB".to_owned());
    }
    tokio::fs::read_to_string(path).await.map_err(|error| error.to_string())
}

/// What follows the file.
pub struct Follower {
    policies: Arc<Policies>,
    /// What the file is laid over.
    base: Policy,
    path: PathBuf,
    looks: Looks,
    metrics: Metrics,
}

impl Follower {
    /// Of a file whose content is `text`, which holds now.
    pub fn new(policies: Arc<Policies>, base: Policy, path: PathBuf, text: String, metrics: Metrics) -> Self {
        Self { policies, base, path, looks: Looks { counted: Ok(text), seen: None }, metrics }
    }

    /// Looks every few seconds until it is told to stop.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
            self.look().await;
        }
    }

    /// Looks once, and acts on a content that counts now.
    async fn look(&mut self) {
        let Some(content) = self.looks.look(look(&self.path).await) else { return };
        let file = self.path.display();
        match content.map_err(anyhow::Error::msg).and_then(|text| self.base.with_text(&text)) {
            Ok(policy) if policy.kinds.named() != self.policies.current().kinds.named() => {
                tracing::error!(%file, "the policy is refused: its workloads change with a restart only");
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
                tracing::error!(%file, error, "the policy is refused; the last good one holds");
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
    fn a_content_counts_when_two_looks_in_a_row_have_found_it() {
        let mut looks = Looks { counted: content("mode: warn\n"), seen: None };
        let torn =
            [content(""), content("mode: warn\nunknown: Deny\n"), content("mode: warn\n"), content("")];
        for found in torn {
            assert_eq!(looks.look(found), None);
        }
        assert_eq!(looks.look(content("")), Some(content("")));
        assert_eq!(looks.look(content("")), None, "it counts once");
        assert_eq!(looks.look(content("mode: warn\n")), None);
        assert_eq!(looks.look(content("mode: warn\n")), Some(content("mode: warn\n")));
    }

    #[test]
    fn a_file_that_is_gone_for_one_look_changes_nothing() {
        let mut looks = Looks { counted: content("a"), seen: None };
        assert_eq!(looks.look(Err("no such file".into())), None);
        assert_eq!(looks.look(content("a")), None);
        assert_eq!(looks.look(Err("no such file".into())), None);
        assert_eq!(looks.look(Err("no such file".into())), Some(Err("no such file".into())));
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
        let mut holds = async |text: &str| {
            fs::write(&path, text).unwrap();
            follower.look().await;
            let policy = policies.current();
            (policy.mode, policy.version)
        };
        assert_eq!(holds(HEAD).await, (Mode::Warn, 0), "its last line is not written yet");
        let longer = format!("{whole}unknown: Deny\n");
        assert_eq!(holds(&longer).await, (Mode::Warn, 0));
        assert_eq!(holds(&longer).await, (Mode::Warn, 1));
        assert_eq!(holds(HEAD).await, (Mode::Warn, 1));
        assert_eq!(holds(HEAD).await, (Mode::Enforce, 2), "it was meant so");
    }
}
