//! Who may place pods after admission.
//!
//! A queue admits a suspended workload and then writes into it on which nodes its pods may run. What that does to the
//! workload is the queue's affair, so such an UPDATE warns at most. A tenant who does the same is no queue: the UPDATE is
//! judged like any other. The policy names the queues' accounts; by default they are those of Kueue.

/// Kueue's own account, as its manifests and its chart make it, and the one that the operator of `OpenShift` makes.
const QUEUES: &[&str] = &[
    "system:serviceaccount:kueue-system:kueue-controller-manager",
    "system:serviceaccount:openshift-kueue-operator:kueue-controller-manager",
];

/// The accounts that may place pods after admission.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// User names.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
}

impl Default for Placement {
    fn default() -> Self {
        Self { users: QUEUES.iter().map(|name| (*name).to_owned()).collect(), groups: Vec::new() }
    }
}

impl Placement {
    /// Whether this account may.
    pub fn allows(&self, username: &str, groups: &[String]) -> bool {
        self.users.iter().any(|user| user == username)
            || groups.iter().any(|group| self.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_accounts_that_are_named_may_place() {
        let kueue = "system:serviceaccount:kueue-system:kueue-controller-manager";
        let queues = Placement::default();
        assert!(queues.allows(kueue, &[]));
        assert!(!queues.allows("system:serviceaccount:team:kueue-controller-manager", &[]));
        assert!(!queues.allows("admin", &["system:masters".into()]));
        let others = Placement { users: Vec::new(), groups: vec!["queues".into()] };
        assert!(others.allows("ada", &["queues".into()]));
        assert!(!others.allows(kueue, &[]));
    }
}
