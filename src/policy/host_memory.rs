//! What the gate does with a pod whose host memory, shared memory or disk does not suffice.

/// What the gate does, in the modes `enforce` and `warn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum HostMemory {
    /// It is noted in the audit log.
    #[default]
    Audit,
    /// It gives a warning.
    Warn,
    /// It is refused, in the mode `enforce`.
    Enforce,
}

impl TryFrom<String> for HostMemory {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "audit" => Ok(Self::Audit),
            "warn" => Ok(Self::Warn),
            "enforce" => Ok(Self::Enforce),
            _ => Err("expected one of audit, warn, enforce".to_owned()),
        }
    }
}
