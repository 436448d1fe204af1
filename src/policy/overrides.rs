//! Who may override a refusal.

/// Who may override; nobody by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// User names.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
}

impl Overrides {
    /// Whether anybody may.
    pub fn name_anybody(&self) -> bool {
        !(self.users.is_empty() && self.groups.is_empty())
    }

    /// Whether this user may.
    pub fn allow(&self, username: &str, groups: &[String]) -> bool {
        self.users.iter().any(|user| user == username)
            || groups.iter().any(|group| self.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_by_default() {
        let nobody = Overrides::default();
        assert!(!nobody.allow("system:admin", &["system:masters".into()]));
        let policy = Overrides { users: vec!["ada".into()], groups: vec!["ml-leads".into()] };
        assert!(policy.allow("ada", &[]));
        assert!(policy.allow("bob", &["users".into(), "ml-leads".into()]));
        assert!(!policy.allow("bob", &["users".into()]));
    }
}
