//! A container's environment: what is known of each variable.

use std::collections::BTreeMap;

/// The variables of a container; none for one that is there and of which the value is not known (a Secret's).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    variables: BTreeMap<String, Option<String>>,
}

impl Environment {
    /// A variable's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.as_deref()
    }
}

impl FromIterator<(String, Option<String>)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, Option<String>)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().collect() }
    }
}
