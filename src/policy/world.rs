//! What every workload of a cluster is judged by.

use std::sync::LazyLock;

use super::Rules;
use crate::hardware::Catalogue;
use crate::kinds::Kinds;

/// The accelerators, the kinds of workloads and the rules.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The accelerators, by all their names.
    pub catalogue: &'a Catalogue,
    /// The kinds of workloads.
    pub kinds: &'a Kinds,
    /// Thresholds and defaults.
    pub rules: &'a Rules,
}

impl World<'static> {
    /// Without anything of an administrator's own.
    pub fn built_in() -> Self {
        static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);
        Self { catalogue: Catalogue::builtin(), kinds: Kinds::built_in(), rules: &RULES }
    }
}

impl<'a> World<'a> {
    /// The same under other rules.
    #[must_use]
    pub const fn under(self, rules: &'a Rules) -> Self {
        Self { rules, ..self }
    }
}
