//! Where a value comes from: a place in the request itself, or in another object.
//!
//! A person may submit a workload without permission to read the objects that it refers to. So a source knows whether
//! it lies in another object. A value of such a source is named by object and field, and never quoted. A value can also
//! reach the request from another object (`$(NAME)` in an argument). A second reading finds such values: see `reading`.

use std::fmt;

/// The place that a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A field of a `TrainingEstimate`'s spec.
    Spec,
    /// One of our annotations.
    Annotation {
        /// The object that has it: empty for the workload itself.
        object: String,
        /// The annotation: `weighbridge.dev/layers`.
        key: String,
        /// Whether that object is not the request.
        elsewhere: bool,
    },
    /// The `training` annotation.
    Block {
        /// The object that has it: empty for the workload itself.
        object: String,
        /// Whether that object is not the request.
        elsewhere: bool,
    },
    /// A field of the workload itself: `limits nvidia.com/gpu`.
    Field(String),
    /// A label of the cluster's nodes.
    Nodes {
        /// The label's key.
        label: String,
    },
    /// A label of a flavor of the workload's queue.
    Flavor {
        /// The `ResourceFlavor`.
        name: String,
        /// The label's key.
        label: String,
    },
    /// An argument of a command.
    Argument {
        /// The command: `container trainer`.
        place: String,
        /// The option: `--tensor-model-parallel-size`.
        option: String,
    },
    /// A variable of a command's environment.
    Environment {
        /// The command: `container trainer`.
        place: String,
        /// The variable.
        name: String,
    },
    /// A command as a whole, in its reader's words: `container trainer: its options`.
    Command(String),
    /// A key of a ConfigMap, as a file.
    ConfigMap {
        /// The ConfigMap.
        name: String,
        /// The key.
        key: String,
    },
    /// A file that a command writes itself.
    Written {
        /// The command: `container trainer`.
        place: String,
    },
    /// A file that the caller gives for this path in a container.
    Given {
        /// The path in the container.
        path: String,
    },
    /// A key within a file.
    Key {
        /// The file.
        of: Box<Source>,
        /// The path of keys.
        key: String,
    },
    /// The dimensions of a model that is known by name.
    Model(String),
    /// A framework's default: `torchtitan 0.2 default`.
    Default(String),
    /// The administrator's policy.
    Policy,
    /// Open: the job may set the field in a place that we cannot read.
    Open,
}

/// The start of the text for a label of the nodes.
pub const NODES: &str = "nodes' label";

impl Source {
    /// A key within this file.
    pub(crate) fn key(&self, key: &str) -> Self {
        Self::Key { of: Box::new(self.clone()), key: key.to_owned() }
    }

    /// Whether it lies in another object than the request.
    pub(crate) fn is_elsewhere(&self) -> bool {
        match self {
            Self::Annotation { elsewhere, .. } | Self::Block { elsewhere, .. } => *elsewhere,
            Self::Nodes { .. } | Self::Flavor { .. } | Self::ConfigMap { .. } => true,
            Self::Key { of, .. } => of.is_elsewhere(),
            Self::Spec
            | Self::Field(_)
            | Self::Argument { .. }
            | Self::Environment { .. }
            | Self::Command(_)
            | Self::Written { .. }
            | Self::Given { .. }
            | Self::Model(_)
            | Self::Default(_)
            | Self::Policy
            | Self::Open => false,
        }
    }

    /// The ConfigMap that it lies in, if there is one.
    pub(crate) fn config_map(&self) -> Option<&str> {
        match self {
            Self::ConfigMap { name, .. } => Some(name),
            Self::Key { of, .. } => of.config_map(),
            _ => None,
        }
    }

    /// Whether a person describes the training with it.
    pub(crate) fn is_by_hand(&self) -> bool {
        matches!(self, Self::Spec | Self::Annotation { .. } | Self::Block { .. })
    }

    /// Whether it is a label of the cluster's nodes or queues, which hand out accelerators to all users.
    pub(crate) fn is_of_the_cluster(&self) -> bool {
        matches!(self, Self::Nodes { .. } | Self::Flavor { .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |object: &str| if object.is_empty() { String::new() } else { format!("{object} ") };
        match self {
            Self::Spec => f.write_str("spec"),
            Self::Annotation { object, key, .. } => write!(f, "{}annotation {key}", of(object)),
            Self::Block { object, .. } => write!(f, "{}training annotation", of(object)),
            Self::Nodes { label } => write!(f, "{NODES} {label}"),
            Self::Flavor { name, label } => write!(f, "ResourceFlavor {name} {label}"),
            Self::Argument { place, option } => write!(f, "{place}: {option}"),
            Self::Environment { place, name } => write!(f, "{place}: env {name}"),
            Self::ConfigMap { name, key } => write!(f, "ConfigMap {name} key {key}"),
            Self::Written { place } => write!(f, "{place}: heredoc"),
            Self::Given { path } => write!(f, "file {path}"),
            Self::Key { of, key } => write!(f, "{of}: {key}"),
            Self::Model(name) => write!(f, "model {name}"),
            Self::Field(text) | Self::Command(text) | Self::Default(text) => f.write_str(text),
            Self::Policy => f.write_str("policy"),
            Self::Open => f.write_str("open"),
        }
    }
}

/// A framework's default, by framework and version.
impl From<&str> for Source {
    fn from(default: &str) -> Self {
        Self::Default(default.to_owned())
    }
}

/// A command as a whole, in its reader's words.
impl From<String> for Source {
    fn from(words: String) -> Self {
        Self::Command(words)
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Self {
        source.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_file_lies_where_the_file_does() {
        let map = Source::ConfigMap { name: "train".into(), key: "a.yaml".into() };
        assert_eq!(map.key("lora.r").to_string(), "ConfigMap train key a.yaml: lora.r");
        assert!(map.key("lora.r").is_elsewhere());
        assert_eq!(map.key("x").config_map(), Some("train"));
        let written = Source::Written { place: "container a".into() };
        assert_eq!(written.key("r").to_string(), "container a: heredoc: r");
        assert!(!written.key("r").is_elsewhere());
    }

    #[test]
    fn an_annotation_names_the_object_that_has_it() {
        let of = |object: &str| Source::Annotation {
            object: object.into(),
            key: "weighbridge.dev/layers".into(),
            elsewhere: !object.is_empty(),
        };
        assert_eq!(of("").to_string(), "annotation weighbridge.dev/layers");
        assert_eq!(
            of("TrainingRuntime x").to_string(),
            "TrainingRuntime x annotation weighbridge.dev/layers"
        );
        assert!(of("TrainingRuntime x").is_elsewhere() && !of("").is_elsewhere());
    }
}
