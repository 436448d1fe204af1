//! The accounts that may place pods after admission.
//!
//! A queue admits a suspended workload and then chooses the nodes for its pods. The queue is responsible for the
//! effect, so such an UPDATE gets a warning at most. The same UPDATE by a tenant is judged like any other. The policy
//! names the accounts of queues; by default they are Kueue's.

/// The account of Kueue in its manifests and chart, and the account that the operator of `OpenShift` creates.
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
    /// Whether this account may place pods.
    pub fn allows(&self, username: &str, groups: &[String]) -> bool {
        self.users.iter().any(|user| user == username)
            || groups.iter().any(|group| self.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_accounts_may_place_pods() {
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
