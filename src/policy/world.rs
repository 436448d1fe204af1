//! The part of a policy that a judgement uses.

use std::sync::LazyLock;

use super::Rules;
use crate::hardware::Catalogue;
use crate::kinds::Kinds;

/// The accelerators, the kinds of workloads and the rules.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The accelerators, by all their names and aliases.
    pub catalogue: &'a Catalogue,
    /// The kinds of workloads.
    pub kinds: &'a Kinds,
    /// Thresholds and defaults.
    pub rules: &'a Rules,
}

impl World<'static> {
    /// The built-in accelerators, kinds and rules.
    pub fn built_in() -> Self {
        static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);
        Self { catalogue: Catalogue::builtin(), kinds: Kinds::built_in(), rules: &RULES }
    }
}

impl<'a> World<'a> {
    /// The same world with other rules.
    #[must_use]
    pub const fn under(self, rules: &'a Rules) -> Self {
        Self { rules, ..self }
    }
}
