//! How many connections the webhook's port may have, by the number of files that the system lets the process open.
//!
//! The rest stays for health and metrics, the apiserver's connections, certificates and the policy's file: a flood at the
//! webhook's port never takes the last descriptor.

use std::fs;

/// What the process opens besides the ports' connections.
const OWN: usize = 96;
/// With less than this nothing works.
const LEAST: usize = 16;

/// How many descriptors are left beside the process's own, and those of the plain port.
pub(super) fn beside(plain: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    soft_limit(&limits).map_or(usize::MAX, |limit| left(limit, plain))
}

fn left(limit: usize, plain: usize) -> usize {
    limit.saturating_sub(OWN + plain).max(LEAST)
}

/// The soft limit, as `/proc/self/limits` says it; none where it is unlimited or not told.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_leaves_descriptors_for_everything_else() {
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
