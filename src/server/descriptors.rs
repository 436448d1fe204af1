//! How many connections the webhook's port may have, within the process's limit of open files.
//!
//! The other descriptors are kept for health and metrics, the apiserver's connections, certificates and the policy's
//! file. So a flood at the webhook's port never takes the last descriptor.

use std::fs;

/// The descriptors of the process besides those of the ports' connections.
const OWN: usize = 96;
/// With fewer connections the webhook cannot work.
const LEAST: usize = 16;

/// How many descriptors remain after the process's own and the plain port's.
pub(super) fn left_for_connections(plain: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    soft_limit(&limits).map_or(usize::MAX, |limit| left(limit, plain))
}

fn left(limit: usize, plain: usize) -> usize {
    limit.saturating_sub(OWN + plain).max(LEAST)
}

/// The soft limit in `/proc/self/limits`. None if there is no limit.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_keeps_descriptors_for_the_rest() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            256                  524288               files     \n";
        assert_eq!(soft_limit(limits), Some(256));
        assert_eq!(left(256, 32), 128);
        assert_eq!(left(64, 32), LEAST);
        assert_eq!(
            soft_limit("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(soft_limit(""), None);
    }
}
