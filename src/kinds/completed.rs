//! An object as its pods will be: completed with parts of other objects, such as a `TrainJob` with its runtime.

use std::borrow::Cow;

use serde_json::Value;

use super::{Kind, PodGroup};
use crate::surroundings::Surroundings;

/// An object, completed with parts of other objects.
#[derive(Clone, Debug)]
pub struct Completed<'a> {
    /// The object, in the form that its kind's other functions read.
    pub object: Cow<'a, Value>,
    /// The objects that complete it, as it names them: `ClusterTrainingRuntime torch-distributed`.
    pub by: Vec<String>,
    /// An object that it refers to and that is absent: `ClusterTrainingRuntime torch-distributed`.
    pub absent: Option<String>,
    /// Whether a part of such an object is left out.
    pub is_cut: bool,
}

impl<'a> Completed<'a> {
    /// An object that no other object completes.
    pub(super) fn by_itself(object: Cow<'a, Value>) -> Self {
        Self { object, by: Vec::new(), absent: None, is_cut: false }
    }

    /// The namespace. Empty for an object that names none.
    pub fn namespace(&self) -> &str {
        super::namespace(&self.object).unwrap_or_default()
    }

    /// The groups of pods, those of the objects in it included, and whether it has more groups than these.
    pub fn pod_groups(&self, kind: &Kind) -> (Vec<PodGroup<'_>>, bool) {
        let groups = kind.pod_groups(&self.object);
        let has_more = self.is_cut || kind.has_more_groups(&self.object, groups.len());
        (groups, has_more)
    }
}

impl Kind {
    /// The object, completed with its surroundings.
    pub fn completed<'a>(&self, object: &'a Value, around: &Surroundings) -> Completed<'a> {
        match self.complete {
            None => Completed::by_itself(Cow::Borrowed(object)),
            Some(complete) => complete(object, around),
        }
    }
}
