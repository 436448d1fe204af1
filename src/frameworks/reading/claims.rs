//! The claims of a launch about the training job: values by field of the spec, each with its place and its strength.
//!
//! A reader makes its claims in any order. They are offered to the [`Provenance`] by strength. A field may not take a
//! value, because a number is out of range. Then the value is ignored, and a warning names it. A command line is
//! not a contract, so no job is refused for a flag that we misread.

use serde_json::Value;

use crate::frameworks::reading::config::{ReadFile, Trees};
use crate::job::{
    AnyField, Assignment, Cause, Field, FieldType, Gap, OpenField, Provenance, Sharding, Source, Understood,
    ValueOf, field,
};
use crate::printable::{complaint, printable};

/// The strength of a source, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// An argument of the command.
    Argument,
    /// A configuration file that the command names.
    File,
    /// A variable of the environment.
    Environment,
    /// The framework's default, if the launch gives no value. It is weaker than a known model's dimensions.
    Default,
}

/// One value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claim {
    /// The field.
    pub(crate) field: AnyField,
    /// Its value, as the spec writes it.
    pub(crate) value: Value,
    /// Where it comes from.
    pub(crate) source: Source,
    /// The strength of the source.
    pub(crate) strength: Strength,
}

/// The claims of a launch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// The place of the launch: `container trainer`.
    pub(crate) place: String,
    /// The values.
    pub(crate) all: Vec<Claim>,
    /// Warnings, one line each, at most 120 characters.
    pub(crate) warnings: Vec<String>,
    /// Those of the warnings with which the training waits, or ends when it starts.
    pub(crate) contradictions: Vec<String>,
    /// Why the estimate does not cover this job.
    pub(crate) beyond: Option<Cause>,
    /// The processes that a launcher starts on each node, if it gives their number.
    pub(crate) processes_per_node: Option<u64>,
    /// The nodes that a launcher counts on.
    pub(crate) nodes: Option<u64>,
    /// The processes that a launcher starts on all nodes together.
    pub(crate) processes: Option<u64>,
    /// The program's own setting that gives them, if no launcher does.
    pub(crate) processes_by: Option<&'static str>,
    /// Microbatches of a step that a rank computes one after the other, and the source of their number.
    pub(crate) accumulation: Option<(u64, Source)>,
    /// The sequences of a microbatch of all ranks together, and the source of their number.
    pub(crate) micro_batch_of_all: Option<(u64, Source)>,
    /// Why one process has the layers of one model on all its devices, if it does.
    pub(crate) layers_over_devices: Option<Source>,
    /// Fields that we cannot read, each with the value that needs the least memory. A script may train only adapters.
    /// An unknown file may offload. A job that runs out only without these values may not run out.
    pub(crate) open: Vec<OpenField>,
    /// How the words of the launch were understood.
    pub(crate) understood: Understood,
    /// Fields whose given value we do not understand. No default holds for them.
    pub(crate) unparsed: Vec<AnyField>,
    /// What we did not read.
    pub(crate) gap: Option<Gap>,
    /// The configuration files that are already read.
    pub(crate) trees: Trees,
    /// The configuration files that were read for this launch.
    pub(crate) files: Vec<ReadFile>,
}

impl Claims {
    /// An argument gives the value: `--tensor-model-parallel-size`.
    pub(crate) fn argument<F: Into<AnyField>>(&mut self, field: F, value: impl ValueOf<F>, argument: &str) {
        let source = Source::Argument { place: self.place.clone(), option: argument.to_owned() };
        self.claim(field, value, source, Strength::Argument);
    }

    /// A key of a file gives the value.
    pub(crate) fn file<F: Into<AnyField>>(
        &mut self,
        field: F,
        value: impl ValueOf<F>,
        file: &Source,
        key: &str,
    ) {
        self.claim(field, value, file.key(key), Strength::File);
    }

    /// A variable of the environment gives the value.
    pub(crate) fn environment<F: Into<AnyField>>(
        &mut self,
        field: F,
        value: impl ValueOf<F>,
        variable: &str,
    ) {
        let source = Source::Environment { place: self.place.clone(), name: variable.to_owned() };
        self.claim(field, value, source, Strength::Environment);
    }

    /// A launcher passes the value on. This is weaker than the program's own arguments.
    pub(crate) fn handed_on<F: Into<AnyField>>(
        &mut self,
        field: F,
        value: impl ValueOf<F>,
        source: impl Into<Source>,
    ) {
        self.claim(field, value, source.into(), Strength::Environment);
    }

    /// The framework's default: `Megatron-LM core_v0.12 default`.
    pub(crate) fn assume<F: Into<AnyField>>(
        &mut self,
        field: F,
        value: impl ValueOf<F>,
        source: impl Into<Source>,
    ) {
        let field = field.into();
        if !self.unparsed.contains(&field) {
            self.claim(field, value.json(), source.into(), Strength::Default);
        }
    }

    /// The field has a value that we do not understand. It stays open.
    pub(crate) fn unparsed(&mut self, field: impl Into<AnyField>) {
        self.unparsed.push(field.into());
    }

    /// The job may set a field in a place that we cannot read. This value needs the least memory.
    pub(crate) fn open<F: Into<AnyField>>(&mut self, field: F, leanest: impl ValueOf<F>) {
        let leanest = Some(leanest.json());
        self.open_field(OpenField { field: field.into(), leanest, heaviest: None, although_given: false });
    }

    /// The same, also if the job gives the field: an unread word may be stronger.
    pub(crate) fn open_anyway<F: Into<AnyField>>(&mut self, field: F, leanest: impl ValueOf<F>) {
        let leanest = Some(leanest.json());
        self.open_field(OpenField { field: field.into(), leanest, heaviest: None, although_given: true });
    }

    /// The same, with both ends. A field may be open for several reasons. Its first values count.
    pub(crate) fn open_field(&mut self, open: OpenField) {
        match self.open.iter_mut().find(|known| known.field == open.field) {
            Some(known) => {
                known.leanest = known.leanest.take().or(open.leanest);
                known.heaviest = known.heaviest.take().or(open.heaviest);
                known.although_given |= open.although_given;
            }
            None => self.open.push(open),
        }
    }

    /// The same, from a table.
    pub(crate) fn open_as(&mut self, leanest: Assignment) {
        self.open(leanest.field, leanest.value);
    }

    /// Whether the job may set a field in a place that we cannot read.
    pub(crate) fn is_open(&self, field: impl Into<AnyField>) -> bool {
        let field = field.into();
        self.open.iter().any(|open| open.field == field)
    }

    /// Whether an open field has no other value: none is given, or an unread word may be stronger.
    pub(crate) fn leaves_open(&self, field: AnyField) -> bool {
        let given = |claim: &Claim| claim.field == field && claim.strength != Strength::Default;
        let open = self.open.iter().find(|open| open.field == field);
        open.is_some_and(|open| open.although_given || !self.all.iter().any(given))
    }

    /// The strongest value of a field.
    pub(crate) fn get<T: FieldType>(&self, field: Field<T>) -> Option<T> {
        let claims = self.all.iter().filter(|claim| claim.field == field);
        T::deserialize(&claims.min_by_key(|claim| claim.strength)?.value).ok()
    }

    /// Every value of a field.
    pub(crate) fn values<T: FieldType>(&self, field: Field<T>) -> impl Iterator<Item = T> {
        let claims = self.all.iter().filter(move |claim| claim.field == field);
        claims.filter_map(|claim| T::deserialize(&claim.value).ok())
    }

    /// Whether a field has a value.
    pub(crate) fn knows(&self, field: impl Into<AnyField>) -> bool {
        let field = field.into();
        self.all.iter().any(|claim| claim.field == field)
    }

    /// Whether the launch itself gives a field's value. A default does not count.
    pub(crate) fn gives(&self, field: impl Into<AnyField>) -> bool {
        let field = field.into();
        self.all.iter().any(|claim| claim.field == field && claim.strength != Strength::Default)
    }

    /// Hybrid sharding divides among the processes of a node, unless the job sets another size.
    pub(crate) fn hybrid_on_a_node(&mut self) {
        let degree = field::parallelism::SHARDING_DEGREE;
        let hybrid = self.get(field::parallelism::SHARDING) == Some(Sharding::HSDP);
        if let Some(processes) = self.processes_per_node.filter(|_| hybrid && !self.knows(degree)) {
            self.assume(degree, processes, "PyTorch 2.9 default");
        }
    }

    /// The program starts so many processes on each of these nodes, by this setting of its own.
    pub(crate) fn world(&mut self, nodes: Option<u64>, each: Option<u64>, by: &'static str) {
        self.nodes = nodes;
        self.processes_per_node = each;
        self.processes = nodes.zip(each).and_then(|(nodes, each)| nodes.checked_mul(each));
        self.processes_by = Some(by);
    }

    /// As many replicas as its degrees leave of the processes that it starts.
    pub(crate) fn replicas(&mut self) {
        let degrees = [field::parallelism::TENSOR, field::parallelism::PIPELINE, field::parallelism::CONTEXT];
        let divided = degrees.into_iter().map(|degree| self.get(degree).map_or(1, u64::from));
        let divided = divided.fold(1, u64::saturating_mul).max(1);
        if let (Some(ranks), Some(by)) = (self.processes, self.processes_by)
            && ranks.is_multiple_of(divided)
            && ranks >= divided
        {
            self.argument(field::parallelism::DATA, ranks / divided, by);
        }
    }

    /// A doubt, as a warning.
    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// The accelerators that its parallelism needs, as far as the degrees are known.
    pub(crate) fn divides_among(&self) -> u64 {
        use field::parallelism::{CONTEXT, DATA, PIPELINE, TENSOR};
        let degrees = [TENSOR, PIPELINE, CONTEXT, DATA].into_iter().filter_map(|degree| self.get(degree));
        degrees.map(u64::from).fold(1, u64::saturating_mul)
    }

    fn claim<F: Into<AnyField>>(
        &mut self,
        field: F,
        value: impl ValueOf<F>,
        source: Source,
        strength: Strength,
    ) {
        let field = field.into();
        match field.read(&value.json()) {
            Ok(value) => self.all.push(Claim { field, value, source, strength }),
            Err(problem) => {
                let problem = complaint(&problem, 80);
                let warning = format!("{source} is ignored: {field}: {problem}");
                self.warnings.push(printable(&warning, 120));
            }
        }
    }

    /// Offers all claims except the framework's defaults, the strongest first. Returns the defaults.
    pub(crate) fn offer_to(mut self, provenance: &mut Provenance) -> Vec<Claim> {
        self.all.sort_by_key(|claim| claim.strength);
        let (defaults, given): (Vec<_>, Vec<_>) =
            self.all.into_iter().partition(|claim| claim.strength == Strength::Default);
        for Claim { field, value, source, .. } in given {
            provenance.offer(field, value, source);
        }
        defaults
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::Precision;

    #[test]
    fn the_stronger_source_is_offered_first_and_defaults_are_given_back() {
        let mut claims = Claims { place: "container a".into(), ..Claims::default() };
        claims.assume(field::PRECISION, Precision::BF16, "torchtitan default");
        claims.environment(field::parallelism::TENSOR, 4, "TP");
        claims.argument(field::parallelism::TENSOR, 8, "--tp");
        let mut provenance = Provenance::default();
        let defaults = claims.offer_to(&mut provenance);
        assert_eq!(defaults.len(), 1);
        assert_eq!(provenance.number(field::parallelism::TENSOR), Some(8));
        assert_eq!(
            provenance.disagreements(None),
            ["parallelism.tensor is 8 (container a: --tp), not 4 (container a: env TP)"]
        );
    }

    #[test]
    fn a_value_that_its_field_does_not_take_is_not_believed() {
        let mut claims = Claims::default();
        claims.argument(field::parallelism::TENSOR, 0, "--tp");
        claims.argument(field::PRECISION.erased(), json!("int7"), "--precision");
        assert!(claims.all.is_empty());
        assert_eq!(claims.warnings.len(), 2);
    }
}
