//! The other objects that a workload refers to: ConfigMaps of its pods' files and variables, claims of devices, a runtime.
//!
//! A reading sees no ConfigMap but these, so whatever it takes from another object, that object is listed here. They are
//! named as the request names them: a ConfigMap that only a runtime names is not named.

use serde_json::Value;

use super::kinds::PodGroup;
use super::printable;
use super::provenance::Hidden;
use crate::surroundings::{ConfigMaps, Surroundings};

/// Groups, containers, and references of each that are looked at, at most: no fewer than what is read of a workload.
const MAX_GROUPS: usize = 1_000;
const MAX_CONTAINERS: usize = 128;
const MAX_REFERENCES: usize = 512;
/// References to ConfigMaps that are followed in all: what lies behind them is not read.
const MAX_FOLLOWED: usize = 4_096;
/// The longest name of an object in a message.
const LONGEST_NAME: usize = 40;
/// Objects that are named at most.
const MAX_NAMED: usize = 64;

/// The other objects that were read for a workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    /// The ConfigMaps, of the workload's namespace alone.
    pub(crate) config_maps: ConfigMaps,
    /// The runtimes, as the request names them.
    runtimes: Vec<String>,
    /// ConfigMaps and claims, as the pods name them: `ConfigMap train key model`.
    referred: Vec<String>,
    /// The names of the ConfigMaps.
    map_names: Vec<String>,
    /// References to ConfigMaps that were followed.
    followed: usize,
}

impl Others {
    /// Whether anything was there.
    pub(crate) fn any(&self) -> bool {
        !(self.runtimes.is_empty() && self.referred.is_empty())
    }

    /// Whether a runtime completed the object, whose own names may not be told.
    pub(super) fn names_a_runtime(&self) -> bool {
        !self.runtimes.is_empty()
    }

    /// Takes the names from a reading that has seen nothing of the others: these are in the request.
    pub(super) fn named_as_in(&mut self, own: &Self) {
        self.referred.clone_from(&own.referred);
        self.map_names.clone_from(&own.map_names);
    }

    /// How their values are named where they may not be shown.
    pub(crate) fn hidden(&self) -> Hidden {
        let objects = self.runtimes.iter().chain(&self.referred).cloned().collect();
        Hidden { objects, config_maps: self.map_names.clone() }
    }

    fn refer(&mut self, what: String) {
        if self.referred.len() < MAX_NAMED && !self.referred.contains(&what) {
            self.referred.push(what);
        }
    }

    fn config_map(&mut self, name: &str, key: Option<&str>, around: &Surroundings, namespace: &str) {
        self.followed += 1;
        if self.followed > MAX_FOLLOWED {
            return;
        }
        let Some(data) = around.config_maps.share(namespace, name) else { return };
        if self.config_maps.put(namespace, name, data) {
            self.map_names.push(printable(name, 80));
        }
        let shown = printable(name, LONGEST_NAME);
        self.refer(match key {
            Some(key) => format!("ConfigMap {shown} key {}", printable(key, LONGEST_NAME)),
            None => format!("ConfigMap {shown}"),
        });
    }
}

/// The others that groups of pods refer to, and the runtimes that completed their object.
pub(super) fn of(
    groups: &[PodGroup<'_>],
    runtimes: Vec<String>,
    around: &Surroundings,
    namespace: &str,
) -> Others {
    let mut others = Others { runtimes, ..Others::default() };
    for group in groups.iter().take(MAX_GROUPS) {
        for claim in list(group.template, "/spec/resourceClaims").take(MAX_REFERENCES) {
            for (field, kind) in [
                ("/resourceClaimTemplateName", "ResourceClaimTemplate"),
                ("/resourceClaimName", "ResourceClaim"),
            ] {
                let name = text(claim, field);
                if let Some(name) = name.filter(|name| around.documents.get(kind, namespace, name).is_some())
                {
                    others.refer(format!("{kind} {}", printable(name, LONGEST_NAME)));
                }
            }
        }
        if around.config_maps.is_empty() {
            continue;
        }
        for volume in list(group.template, "/spec/volumes").take(MAX_REFERENCES) {
            let projected = list(volume, "/projected/sources").take(MAX_REFERENCES);
            for source in std::iter::once(volume).chain(projected) {
                if let Some(name) = text(source, "/configMap/name") {
                    others.config_map(name, None, around, namespace);
                }
            }
        }
        let containers = ["/spec/containers", "/spec/initContainers"];
        for container in containers.iter().flat_map(|at| list(group.template, at).take(MAX_CONTAINERS)) {
            for source in list(container, "/envFrom").take(MAX_REFERENCES) {
                if let Some(name) = text(source, "/configMapRef/name") {
                    others.config_map(name, None, around, namespace);
                }
            }
            for variable in list(container, "/env").take(MAX_REFERENCES) {
                if let Some(name) = text(variable, "/valueFrom/configMapKeyRef/name") {
                    let key = text(variable, "/valueFrom/configMapKeyRef/key");
                    others.config_map(name, key, around, namespace);
                }
            }
        }
    }
    others
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}
