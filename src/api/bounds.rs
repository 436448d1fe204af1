//! How long the lists and strings of an estimate may be: the schema tells the apiserver, and a status is cut there.

/// Fields that were read or are missing. Other lists, of which nothing else is said, may be as long.
pub(super) const MAX_INPUTS: usize = 96;
pub(super) const MAX_WARNINGS: usize = 16;
pub(super) const MAX_ADVICE: usize = 5;
/// What the peak is made of.
pub(super) const MAX_COMPONENTS: usize = 24;
/// Characters of a string of which nothing else is said.
pub(super) const MAX_CHARACTERS: usize = 256;
