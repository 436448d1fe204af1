//! The part of an object that was not read, and why.
//!
//! Every reader counts its work. If a reader stops early or misses a document, it reports a [`Gap`]. The unread part
//! may train. So an object with a gap that asks for accelerators is `Unknown`, never `NotTraining`.
//!
//! The first gap is kept. A gap quotes only the names of the documents that the object refers to.

use std::fmt;

/// The part that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Groups of pods.
    Groups,
    /// Containers.
    Containers,
    /// Variables of a container.
    Variables,
    /// Files of a container.
    Files,
    /// Claims of devices.
    Claims,
    /// A number of accelerators: a placeholder that is not filled in.
    Quantity,
    /// The environment of a Ray job, which is a document of its own.
    RuntimeEnvironment,
    /// A configuration file that a command names.
    Configuration,
    /// A file that only a branch writes.
    Branches,
    /// Words of a command.
    Words,
    /// Text made by variables.
    Text,
    /// Commands within commands.
    Depth,
    /// The rest of a long script.
    Script,
    /// The rest of a script with an error.
    Syntax,
    /// Statements of a command.
    Statements,
    /// Programs that a command starts.
    Programs,
    /// Fields of an estimate's own spec.
    Fields,
    /// Trainings that the object starts.
    Trainings,
    /// A missing document: `ConfigMap launch-script`.
    Absent(String),
}

/// The start of a line about a partly read object.
const CUT: &str = "not read to its end: ";
/// The end of a line about a missing document.
const ABSENT: &str = " is not known yet, so it is not read";

impl Gap {
    /// Whether a line comes from a gap and names only these documents.
    pub(crate) fn tells_nothing(line: &str, named: &[String]) -> bool {
        let document = line.strip_suffix(ABSENT);
        line.starts_with(CUT) || document.is_some_and(|document| named.iter().any(|known| known == document))
    }
}

/// `not read to its end: a script is longer than is read`, and the like.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::Absent(document) => {
                return write!(f, "{document}{ABSENT}");
            }
            Self::Groups => "it has more groups of pods than are read",
            Self::Containers => "it has more containers than are read",
            Self::Variables => "a container has more variables than are read",
            Self::Files => "a container has more files than are read",
            Self::Quantity => "its number of accelerators is no number",
            Self::Claims => "a pod has more claims than are read",
            Self::RuntimeEnvironment => "its runtime environment cannot be read",
            Self::Configuration => "a configuration file cannot be read",
            Self::Branches => "a file is written in a branch that may not be taken",
            Self::Words => "a command has more words than are read",
            Self::Text => "its variables make more text than is read",
            Self::Depth => "its commands stand within more commands than are read",
            Self::Script => "a script is longer, or deeper, than is read",
            Self::Syntax => "a script has an error, and only the lines above it are read",
            Self::Statements => "a command has more statements than are read",
            Self::Programs => "a command starts more programs than are read",
            Self::Fields => "its spec has more fields than are read",
            Self::Trainings => "it starts more trainings than are judged",
        };
        write!(f, "{CUT}{why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_in_a_line() {
        let cut = Gap::Script.to_string();
        assert_eq!(cut, "not read to its end: a script is longer, or deeper, than is read");
        let absent = Gap::Absent("ConfigMap run".into());
        assert_eq!(absent.to_string(), "ConfigMap run is not known yet, so it is not read");
    }
}
