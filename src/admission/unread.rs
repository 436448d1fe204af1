//! What to say of a job that cannot be judged because its ConfigMaps are not read.
//!
//! On a laptop `check` reads the ConfigMaps of its stream. In a cluster they are read only if an administrator allows it,
//! because a replica would then read those of every namespace. So the same job may be judged on the laptop and unknown in
//! the cluster. The line names the ConfigMap, which the object itself names, and the value that lets it be read.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::judgement::{Judgement, Verdict};
use crate::kinds::{Kind, config_maps};
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// The warning about a job with an unknown verdict whose ConfigMaps are not read.
pub fn config_maps_not_read(
    kind: &Kind,
    object: &Value,
    around: &Surroundings,
    judgement: &Judgement,
) -> Option<String> {
    if judgement.verdict != Verdict::Unknown || around.reads.config_maps {
        return None;
    }
    let groups = kind.pod_groups(object);
    let names: BTreeSet<&str> =
        groups.iter().flat_map(|group| config_maps::of_template(group.template)).collect();
    let first = printable(names.first()?, 32);
    let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
    Some(format!("ConfigMap {first}{more} not read: set read.configMaps in the chart (--read-config-maps)"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judgement::{LONGEST_WARNING, Reason};
    use crate::kinds::Kinds;
    use crate::surroundings::Reads;

    #[test]
    fn the_config_map_and_the_value_are_named() {
        let object = json!({"spec": {"template": {"spec": {"volumes": [
            {"configMap": {"name": "llama-recipe-with-a-name-that-is-longer-than-any-line"}}, {"configMap": {"name": "z"}},
        ]}}}});
        let kind = Kinds::built_in().find("batch", "Job").unwrap();
        let unknown = Judgement::without_figures(Verdict::Unknown, Reason::MissingInputs);
        let around = Surroundings::default();
        let told = config_maps_not_read(kind, &object, &around, &unknown).unwrap();
        assert!(told.chars().count() <= LONGEST_WARNING, "{told}");
        assert!(told.starts_with("ConfigMap llama-recipe") && told.contains("read.configMaps"), "{told}");

        let fits = Judgement::without_figures(Verdict::Fits, Reason::BelowCapacity);
        assert_eq!(config_maps_not_read(kind, &object, &around, &fits), None);
        let reads = Surroundings { reads: Reads { config_maps: true, claims: false }, ..around };
        assert_eq!(config_maps_not_read(kind, &object, &reads, &unknown), None);
        assert_eq!(config_maps_not_read(kind, &json!({}), &Surroundings::default(), &unknown), None);
    }
}
