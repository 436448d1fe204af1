//! A field that the job may set in a place that we cannot read.

use serde_json::Value;

use crate::job::AnyField;

/// A field that we cannot read, with the values at both ends of what the job may need.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenField {
    /// The field.
    pub(crate) field: AnyField,
    /// The value that needs the least memory. `None` if the job cannot need less than with the usual value.
    pub(crate) leanest: Option<Value>,
    /// The value that needs the most memory. `None` if the job cannot need more than with the usual value.
    pub(crate) heaviest: Option<Value>,
    /// Whether it is open although the launch gives a value: an unread word may be stronger. A person's annotation is
    /// the strongest.
    pub(crate) although_given: bool,
}
