//! What a launch says of the training job: values by field of the spec, each with where it stands and how strong it is.
//!
//! A reader says things in any order; they are offered to the [`Provenance`] by strength. What a field does not take (a
//! wrong type, a number out of range) is not believed and said in a warning: a command line is no contract, and nobody is
//! refused for a flag that we misread.

use serde_json::Value;

use crate::frameworks::reading::config::Trees;
use crate::job::{Gap, Provenance, Source, read_field};
use crate::printable::{complaint, printable};

/// How strong a source is; the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// An argument of the command.
    Argument,
    /// A configuration file that the command names.
    File,
    /// A variable of the environment.
    Environment,
    /// What the framework does where nothing is said; after a known model's dimensions.
    Default,
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offered {
    /// The spec's field path.
    pub(crate) field: String,
    /// Its value, as the spec writes it.
    pub(crate) value: Value,
    /// Who says so.
    pub(crate) source: Source,
    /// How strong that is.
    pub(crate) strength: Strength,
}

/// What a launch says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Where the launch stands: `container trainer`.
    pub(crate) place: String,
    /// Values.
    pub(crate) offers: Vec<Offered>,
    /// One line each, at most 120 characters.
    pub(crate) warnings: Vec<String>,
    /// Why the estimate does not cover this job, in a few words: `reinforcement learning holds several models`.
    pub(crate) beyond: Option<&'static str>,
    /// Processes that a launcher starts on each node, where it says so.
    pub(crate) processes_per_node: Option<u64>,
    /// Nodes that a launcher counts on.
    pub(crate) nodes: Option<u64>,
    /// Processes that a launcher starts on all nodes together.
    pub(crate) processes: Option<u64>,
    /// Microbatches of a step that a rank computes one after the other, and who says so.
    pub(crate) accumulation: Option<(u64, Source)>,
    /// What may be so and is not said where it can be read, each field at its leanest: a script may train adapters
    /// alone, a file that nobody knows may offload. What would run out only without it is not known to run out.
    pub(crate) unsaid: Vec<(&'static str, Value)>,
    /// Fields of which something is said that is not understood: no default holds for them.
    pub(crate) unread: Vec<&'static str>,
    /// What was not read.
    pub(crate) gap: Option<Gap>,
    /// The configuration files that are read already.
    pub(crate) trees: Trees,
}

impl Said {
    /// An argument says so: `--tensor-model-parallel-size`.
    pub(crate) fn argument(&mut self, field: &str, value: impl Into<Value>, argument: &str) {
        let source = Source::Argument { place: self.place.clone(), option: argument.to_owned() };
        self.offer(field, &value.into(), source, Strength::Argument);
    }

    /// A key of a file says so.
    pub(crate) fn file(&mut self, field: &str, value: impl Into<Value>, file: &Source, key: &str) {
        self.offer(field, &value.into(), file.key(key), Strength::File);
    }

    /// A variable of the environment says so.
    pub(crate) fn environment(&mut self, field: &str, value: impl Into<Value>, variable: &str) {
        let source = Source::Environment { place: self.place.clone(), name: variable.to_owned() };
        self.offer(field, &value.into(), source, Strength::Environment);
    }

    /// Something is said of a field that is not understood: it stays open.
    pub(crate) fn unread(&mut self, field: &'static str) {
        self.unread.push(field);
    }

    /// The framework does so where nothing is said: `Megatron-LM core_v0.12 default`.
    pub(crate) fn assume(&mut self, field: &str, value: impl Into<Value>, source: impl Into<Source>) {
        if !self.unread.contains(&field) {
            self.offer(field, &value.into(), source.into(), Strength::Default);
        }
    }

    /// A launcher hands on that it is so: weaker than what the program itself is told.
    pub(crate) fn handed_on(&mut self, field: &str, value: impl Into<Value>, source: impl Into<Source>) {
        self.offer(field, &value.into(), source.into(), Strength::Environment);
    }

    /// It may be so, and where it would be said cannot be read.
    pub(crate) fn may(&mut self, field: &'static str, leanest: impl Into<Value>) {
        if !self.may_be(field) {
            self.unsaid.push((field, leanest.into()));
        }
    }

    /// Whether a field may be so.
    pub(crate) fn may_be(&self, field: &str) -> bool {
        self.unsaid.iter().any(|(unsaid, _)| *unsaid == field)
    }

    /// The strongest that has been said of a field.
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        let offers = self.offers.iter().filter(|offered| offered.field == field);
        offers.min_by_key(|offered| offered.strength).map(|offered| &offered.value)
    }

    /// Hybrid sharding divides among a node's processes, unless told otherwise.
    pub(crate) fn hybrid_on_a_node(&mut self) {
        let degree = "parallelism.shardingDegree";
        let hybrid = self.get("parallelism.sharding").is_some_and(|sharding| sharding == "HSDP");
        if let Some(processes) = self.processes_per_node.filter(|_| hybrid && !self.knows(degree)) {
            self.assume(degree, processes, "PyTorch 2.9 default");
        }
    }

    /// Something is doubtful.
    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// How many accelerators its parallelism takes, as far as it is said.
    pub(crate) fn divides_among(&self) -> u64 {
        let degree = |name: &str| self.get(&format!("parallelism.{name}")).and_then(Value::as_u64);
        let degrees = ["tensor", "pipeline", "context", "data"].into_iter().filter_map(degree);
        degrees.fold(1, u64::saturating_mul)
    }

    /// Whether anything has been said of a field.
    pub(crate) fn knows(&self, field: &str) -> bool {
        self.offers.iter().any(|offered| offered.field == field)
    }

    fn offer(&mut self, field: &str, value: &Value, source: Source, strength: Strength) {
        let problem = match read_field(field, value) {
            Ok(Some(value)) => {
                self.offers.push(Offered { field: field.to_owned(), value, source, strength });
                return;
            }
            Ok(None) => "there is no such field".to_owned(),
            Err(problem) => complaint(&problem, 80),
        };
        self.warnings.push(printable(&format!("{source} is not believed: {field}: {problem}"), 120));
    }

    /// Offers everything but the framework's defaults, the strongest first; gives back the defaults.
    pub(crate) fn offer_to(mut self, provenance: &mut Provenance) -> Vec<Offered> {
        self.offers.sort_by_key(|offered| offered.strength);
        let (defaults, said): (Vec<_>, Vec<_>) =
            self.offers.into_iter().partition(|offered| offered.strength == Strength::Default);
        for Offered { field, value, source, .. } in said {
            provenance.offer(&field, value, source);
        }
        defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_source_is_offered_first_and_defaults_are_given_back() {
        let mut said = Said { place: "container a".into(), ..Said::default() };
        said.assume("precision", "BF16", "torchtitan default");
        said.environment("parallelism.tensor", 4, "TP");
        said.argument("parallelism.tensor", 8, "--tp");
        let mut provenance = Provenance::default();
        let defaults = said.offer_to(&mut provenance);
        assert_eq!(defaults.len(), 1);
        assert_eq!(provenance.number("parallelism.tensor"), Some(8));
        assert_eq!(
            provenance.disagreements(None),
            ["parallelism.tensor is 8 (container a: --tp), not 4 (container a: env TP)"]
        );
    }

    #[test]
    fn what_a_field_does_not_take_is_not_believed() {
        let mut said = Said::default();
        said.argument("parallelism.tensor", 0, "--tp");
        said.argument("precision", "int7", "--precision");
        said.argument("nonsense", 1, "--nonsense");
        assert!(said.offers.is_empty());
        assert_eq!(said.warnings.len(), 3);
    }
}
