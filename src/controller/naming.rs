//! The names of estimates: the kind's slug and the workload's name, `pytorchjob-llama2-70b`.
//!
//! A name has at most 253 characters, as a DNS subdomain. A longer one is cut, and ends in eight hex digits of the
//! SHA-256 of the whole. If another object has the name, five hex digits of the workload's uid are added.
//!
//! An estimate's author chooses the name of the workload that it refers to. The name becomes part of a path, so it
//! must be a valid name.

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

/// The name to use if that one is taken.
pub(super) fn with_uid(name: &str, uid: &str) -> String {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(5).collect();
    ending(name, &digits.to_ascii_lowercase())
}

/// `name-end`, with the name cut if it is too long. No part ends in a dot or a dash.
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
