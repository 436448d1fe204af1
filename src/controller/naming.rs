//! The names of estimates: the kind's slug and the workload's name, `pytorchjob-llama2-70b`.
//!
//! A name is at most 253 characters of a DNS subdomain. What is longer is cut, and ends in eight hex digits of the
//! SHA-256 of the whole. A name that is taken by something else gets five hex digits of the workload's uid.
//!
//! The name of the workload that an estimate refers to is its author's text, and becomes part of a path: it must be a name.

use sha2::{Digest as _, Sha256};

use crate::kinds::Kind;

const MAX_LENGTH: usize = 253;

/// The name of a workload's estimate.
pub(super) fn estimate_name(kind: &Kind, workload: &str) -> String {
    let whole = format!("{}-{workload}", kind.slug);
    if whole.len() <= MAX_LENGTH {
        return whole;
    }
    let hash = hex::encode(Sha256::digest(whole.as_bytes()));
    ending(&whole, hash.get(..8).unwrap_or_default())
}

/// The name where that one is taken.
pub(super) fn with_uid(name: &str, uid: &str) -> String {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(5).collect();
    ending(name, &digits.to_ascii_lowercase())
}

/// `name-end`, of which the name is cut as far as it must be. A part never ends in a dot or a dash.
fn ending(name: &str, end: &str) -> String {
    let room = MAX_LENGTH - end.len() - 1;
    let cut: String = name.chars().take(room).collect();
    format!("{}-{end}", cut.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kinds;

    #[test]
    fn a_name_is_the_kinds_slug_and_the_workloads_name() {
        let kind = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        assert_eq!(estimate_name(kind, "llama2-70b"), "pytorchjob-llama2-70b");
        assert_eq!(
            with_uid("pytorchjob-llama2-70b", "7F3a9c02-1111-4222-8333-444455556666"),
            "pytorchjob-llama2-70b-7f3a9"
        );
    }

    #[test]
    fn long_names_stay_apart_and_within_the_limit() {
        let kind = Kinds::built_in().find("batch", "Job").unwrap();
        let long = |last: &str| estimate_name(kind, &format!("{}{last}", "a".repeat(252)));
        assert_eq!(long("b").len(), MAX_LENGTH);
        assert_ne!(long("b"), long("c"));
        assert_eq!(with_uid(&long("b"), "12345678").len(), MAX_LENGTH);
    }

    #[test]
    fn a_cut_never_leaves_a_dot_before_the_dash() {
        let kind = Kinds::built_in().find("batch", "Job").unwrap();
        let name = estimate_name(kind, &format!("{}.{}", "a".repeat(239), "b".repeat(13)));
        assert!(!name.contains(".-"), "{name}");
    }
}
