//! Who may override a refusal.

/// The users who may override a refusal. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// User names.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
}

impl Overrides {
    /// Whether the policy names any user or group.
    pub fn name_anybody(&self) -> bool {
        !(self.users.is_empty() && self.groups.is_empty())
    }

    /// Whether this user may override.
    pub fn allow(&self, username: &str, groups: &[String]) -> bool {
        self.users.iter().any(|user| user == username)
            || groups.iter().any(|group| self.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_users_may_override() {
        let default = Overrides::default();
        assert!(!default.allow("system:admin", &["system:masters".into()]));
        let policy = Overrides { users: vec!["ada".into()], groups: vec!["ml-leads".into()] };
        assert!(policy.allow("ada", &[]));
        assert!(policy.allow("bob", &["users".into(), "ml-leads".into()]));
        assert!(!policy.allow("bob", &["users".into()]));
    }
}
