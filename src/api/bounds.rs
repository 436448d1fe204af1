//! The bounds of an estimate's lists and strings. The schema has them, and a status is cut to them.

/// Fields that were read or are missing. Also the bound of other lists without a bound of their own.
pub(super) const MAX_INPUTS: usize = 96;
pub(super) const MAX_WARNINGS: usize = 16;
pub(super) const MAX_ADVICE: usize = 5;
/// The parts of the peak.
pub(super) const MAX_COMPONENTS: usize = 24;
/// The longest string without a bound of its own, in characters.
pub(super) const MAX_CHARACTERS: usize = 256;
