//! What a judgement may show: only values of the request itself, never values of another object.
//!
//! Figures are computed from all known values. A line, a name or an input is shown only if the request itself produces
//! it. This holds if the request alone gives the same line, or if the request is the value's source. The name of the
//! other object replaces a hidden value. Nodes and queues of the cluster give the accelerator. It is shown by its
//! catalogue name, and labels are not quoted.
//!
//! Figures that follow from a hidden value are shown (the peak, the time). They are the answer to the request.

use std::cell::OnceCell;

use crate::estimate::assume::{Assumed, Device, assume};
use crate::frameworks::is_about_a_file;
use crate::hardware::Catalogue;
use crate::job::{AnyField, Field, Gap, Group, Hidden, Input, Provenance, TrainingJob, Understood, field};
use crate::judgement::{Advice, Deadline, Judgement, Memory, Outlook};
use crate::workload::{PodOffer, Reading};

use super::Judge;
use super::capacity::Capacity;
use crate::job::Quoting;

/// The field of the accelerator's name.
const TYPE: Field<String> = field::accelerator::KIND;

/// What one judgement may show.
pub(super) struct Shown<'c> {
    /// The names of the other objects. `None` if every value may be shown.
    hidden: Option<Hidden>,
    /// The source of every value.
    provenance: Provenance,
    /// The job that the request alone describes. `None` if the whole job comes from the request.
    own_job: Option<TrainingJob>,
    /// The warnings of the request alone. `None` if all warnings come from the request.
    own_warnings: Option<Vec<String>>,
    /// The assumptions for the request alone.
    own_assumed: OnceCell<Option<Assumed>>,
    /// The accelerator, as far as its name may be shown.
    capacity: Capacity<'c>,
    /// Whether another object sets the time limit.
    limit_is_hidden: bool,
    /// Whether another object sets what the pod offers besides accelerators.
    pod_is_hidden: bool,
    /// Whether a warning was left out.
    left_out: bool,
}

impl<'c> Shown<'c> {
    /// From a reading, and from the same object read without other objects, if there are any. Takes the reading's
    /// provenance.
    pub(super) fn of(reading: &mut Reading, judge: &Judge<'_>, capacity: &Capacity<'c>) -> Self {
        let own = judge.own;
        let is_none_of = |is: &dyn Fn(&Reading) -> bool| own.is_some_and(|own| !own.iter().any(is));
        let mut shown = Self {
            hidden: (judge.ask.quoting == Quoting::Request).then(|| judge.hidden.clone()),
            own_job: own.map(|_| reading.provenance.own_job()),
            provenance: std::mem::take(&mut reading.provenance),
            own_warnings: own.map(|own| own.iter().flat_map(|own| own.warnings.clone()).collect()),
            own_assumed: OnceCell::new(),
            capacity: capacity.clone(),
            limit_is_hidden: is_none_of(&|own| own.limit == reading.limit),
            pod_is_hidden: {
                let pod = reading.pod.as_ref().map(PodOffer::without_claims);
                is_none_of(&|own| own.pod == pod)
            },
            left_out: false,
        };
        let offer_is_hidden = is_none_of(&|own| own.offer == reading.offer);
        shown.capacity = shown.named_capacity(capacity, offer_is_hidden);
        if shown.own_job.is_none() && shown.hides(TYPE) {
            shown.own_job = Some(shown.provenance.own_job());
        }
        if let (Some(own), Some(name), true) =
            (&mut shown.own_job, &shown.capacity.given, shown.provenance.knows(TYPE))
        {
            own.accelerator.get_or_insert_default().kind = Some(name.clone());
        }
        shown
    }

    /// The accelerator without the parts that may not be shown.
    fn named_capacity(&self, capacity: &Capacity<'c>, offer_is_hidden: bool) -> Capacity<'c> {
        if self.hidden.is_none() {
            return capacity.clone();
        }
        if self.hides(TYPE) || self.is_of_the_cluster() && capacity.accelerator.is_none() {
            return Capacity::default();
        }
        let mut named = Capacity { error: None, ..capacity.clone() };
        if self.is_of_the_cluster() {
            named.given = capacity.accelerator.map(|accelerator| accelerator.name.clone());
            // The text of a label, if no table lists the partition.
            named.part = named.part.filter(|_| capacity.compute_milli.is_some());
        }
        if offer_is_hidden || self.hides(field::accelerator::MEMORY) {
            (named.bytes, named.part, named.input) = (None, None, None);
        }
        named
    }

    fn is_of_the_cluster(&self) -> bool {
        self.provenance.source(TYPE).is_some_and(crate::job::Source::is_of_the_cluster)
    }

    /// Whether the limits of the pod must be hidden.
    pub(super) fn hides_pod(&self) -> bool {
        self.hidden.is_some() && self.pod_is_hidden
    }

    /// Whether a command gives a field's value, and no person by hand.
    pub(super) fn is_by_command(&self, field: impl Into<AnyField>) -> bool {
        self.provenance.source(field).is_some_and(|source| !source.is_by_hand())
    }

    /// Whether sizes of other objects must be hidden.
    pub(super) fn hides_others(&self) -> bool {
        self.hidden.is_some()
    }

    /// One line for each pair of sources that disagree.
    pub(super) fn disagreements(&self) -> Vec<String> {
        self.provenance.disagreements(self.hidden.as_ref())
    }

    /// Whether a field's value comes from another object, even if it may be shown.
    pub(super) fn is_elsewhere(&self, field: impl Into<AnyField>) -> bool {
        self.provenance.is_elsewhere(field)
    }

    /// Whether a field's value must be hidden.
    pub(super) fn hides(&self, field: impl Into<AnyField>) -> bool {
        let field = field.into();
        let by_the_cluster = field == TYPE && self.is_of_the_cluster() && self.capacity.accelerator.is_some();
        self.hidden.is_some() && self.provenance.is_elsewhere(field) && !by_the_cluster
    }

    pub(super) fn hides_any(&self, group: Group) -> bool {
        self.hidden.is_some() && self.provenance.any_is_elsewhere(group)
    }

    /// The object that gives a field's value.
    pub(super) fn named(&self, field: impl Into<AnyField>) -> String {
        match (&self.hidden, self.provenance.source(field)) {
            (Some(hidden), Some(source)) => hidden.source(source),
            _ => "another object".to_owned(),
        }
    }

    /// The accelerator, as far as its name may be shown.
    pub(super) fn capacity(&self) -> &Capacity<'c> {
        &self.capacity
    }

    /// The job, as far as the request alone describes it.
    pub(super) fn job<'j>(&'j self, whole: &'j TrainingJob) -> &'j TrainingJob {
        self.own_job.as_ref().unwrap_or(whole)
    }

    /// The warnings that the request itself causes, and the files of other objects that could not be read.
    pub(super) fn of_the_reading(&mut self, warnings: &[String]) -> Vec<String> {
        let nothing = Hidden::default();
        let Hidden { config_maps, named, .. } = self.hidden.as_ref().unwrap_or(&nothing);
        let own = self.own_warnings.take().map(|mut own| {
            let tells =
                |line: &&String| Gap::tells_nothing(line, named) || is_about_a_file(line, config_maps);
            own.extend(warnings.iter().filter(tells).cloned());
            own
        });
        self.common(warnings.to_vec(), own)
    }

    /// How the words were understood. Words of other objects are counted and not named.
    pub(super) fn understood(&self, reading: &mut Reading, judge: &Judge<'_>) -> Option<Understood> {
        let mut understood =
            Some(std::mem::take(&mut reading.understood)).filter(|words| !words.is_empty())?;
        if let (Some(own), Some(_)) = (judge.own, &self.hidden) {
            let own: Vec<_> = own.iter().map(|own| &own.understood).collect();
            understood.open.retain(|open| own.iter().any(|own| own.open.contains(open)));
            understood.unknown.retain(|word| own.iter().any(|own| own.unknown.contains(word)));
        }
        Some(understood)
    }

    /// The lines that the request itself causes. `own` makes the lines of a job.
    pub(super) fn lines(
        &mut self,
        lines: Vec<String>,
        own: impl FnOnce(&TrainingJob) -> Vec<String>,
    ) -> Vec<String> {
        let own = self.own_job.as_ref().map(own);
        self.common(lines, own)
    }

    /// A line that quotes only fields of one group.
    pub(super) fn about(&mut self, group: Group, line: Option<String>) -> Option<String> {
        let hides = self.hides_any(group);
        self.left_out |= hides && line.is_some();
        line.filter(|_| !hides)
    }

    fn common(&mut self, lines: Vec<String>, own: Option<Vec<String>>) -> Vec<String> {
        let Some(own) = own else { return lines };
        let before = lines.len();
        let common: Vec<String> = lines.into_iter().filter(|line| own.contains(line)).collect();
        self.left_out |= common.len() < before;
        common
    }

    /// Every value that was read. An accelerator that the cluster hands out has its catalogue name.
    pub(super) fn inputs(&self, job: &TrainingJob, catalogue: &Catalogue) -> Vec<Input> {
        let provenance = &self.provenance;
        let mut inputs = provenance.inputs_of(job, self.hidden.as_ref());
        if self.hidden.is_some() && self.is_of_the_cluster() {
            let name = provenance.text(TYPE).and_then(|name| catalogue.find(name));
            let input = inputs.iter_mut().find(|input| input.field == TYPE);
            if let (Some(input), Some(source)) = (input, provenance.source(TYPE)) {
                input.value = name.map(|accelerator| accelerator.name.clone()).unwrap_or_default();
                input.source = source.to_string();
            }
        }
        inputs
    }

    /// The assumptions of the estimate. If one depends on a hidden value, its value is left out.
    pub(super) fn assumed_inputs(&self, inputs: &[Input], device: Device) -> Vec<Input> {
        let Some(own) = &self.own_job else { return inputs.to_vec() };
        let own = self.own_assumed(own, device);
        let is_own = |input: &Input| own.is_some_and(|own| own.inputs.contains(input));
        inputs.iter().map(|input| if is_own(input) { input.clone() } else { without_value(input) }).collect()
    }

    /// The contradictions that the estimate finds.
    pub(super) fn assumed_warnings(&mut self, warnings: &[String], device: Device) -> Vec<String> {
        let own = self.own_job.as_ref().map(|own| {
            self.own_assumed(own, device).map(|assumed| assumed.warnings.clone()).unwrap_or_default()
        });
        self.common(warnings.to_vec(), own)
    }

    fn own_assumed(&self, own: &TrainingJob, device: Device) -> Option<&Assumed> {
        self.own_assumed.get_or_init(|| assume(own, device).ok()).as_ref()
    }

    /// Values derived for the time. They are left out if any value is hidden.
    pub(super) fn derived(&self, inputs: impl Iterator<Item = Input>) -> Vec<Input> {
        let hides = self.hides_anything();
        inputs.map(|input| if hides { without_value(&input) } else { input }).collect()
    }

    fn hides_anything(&self) -> bool {
        self.own_job.is_some() && self.hides_any(field::SPEC)
    }

    /// The peak without hidden names and without a hidden capacity.
    pub(super) fn memory(&self, memory: Memory) -> Memory {
        let mut memory = Memory { capacity_bytes: self.capacity.bytes, ..memory };
        if self.hides(field::parallelism::PIPELINE) {
            memory.worst_rank = "one of the ranks".into();
        }
        // An engine's share shows the memory of the accelerator.
        if self.hides(field::accelerator::KIND) {
            memory.phases.clear();
        }
        memory
    }

    /// The deadline, without its length if that is hidden.
    pub(super) fn deadline(&self, deadline: Deadline) -> Deadline {
        let wish = field::target::DAYS;
        let (hides, by) = match deadline.source.as_str() {
            source if source == wish.path() => (self.hides(wish), self.named(wish)),
            _ => (self.limit_is_hidden, self.hidden.as_ref().map(Hidden::named).unwrap_or_default()),
        };
        if !hides {
            return deadline;
        }
        let message = match deadline.outlook {
            Outlook::TooSlow | Outlook::TooSlowAtBest => format!("takes longer than {by} allows"),
            Outlook::MayBeLate => format!("may take longer than {by} allows"),
            Outlook::InTime => format!("is done within the time that {by} allows"),
            Outlook::Unknown => format!("{by} limits the time; how long it takes is not known"),
        };
        Deadline { seconds: None, source: by, message, ..deadline }
    }

    /// The advice. It leaves out the new value of a hidden field, because the new value reveals the old one.
    pub(super) fn advice(&self, advice: Vec<Advice>) -> Vec<Advice> {
        let covered = |advice: Advice| {
            if !advice.spec.values().into_iter().any(|(field, _)| self.hides(field)) {
                return advice;
            }
            // Behind a colon stands the change itself.
            let change = |change: &str| match change.rsplit(": ").next().unwrap_or(change).split_once(' ') {
                Some((knob, _)) => format!("another {knob}"),
                None => change.to_owned(),
            };
            let change = advice.change.split(" and ").map(change).collect::<Vec<_>>().join(" and ");
            Advice { change, spec: TrainingJob::default(), ..advice }
        };
        advice.into_iter().map(covered).collect()
    }

    /// The judgement without the figures that equal a hidden value.
    pub(super) fn finish(self, mut judgement: Judgement) -> Judgement {
        if self.left_out {
            let named = self.hidden.as_ref().map(Hidden::named).unwrap_or_default();
            judgement.warnings.push(format!("{named}: more is doubtful; `weighbridge check` shows it"));
        }
        if self.hides(field::efficiency::MFU_PERCENT) {
            (judgement.time, judgement.cost) = (None, None);
        }
        if self.hides(field::efficiency::GOODPUT_PERCENT) {
            judgement.goodput = None;
        }
        if self.hides_any(field::PRICE) {
            judgement.cost = None;
        }
        if let Some(own) = self.own_job {
            judgement.job = own;
        }
        judgement
    }
}

/// The gap, without objects that only other objects name.
pub(super) fn gap(gap: &Gap, judge: &Judge<'_>) -> String {
    let line = gap.to_string();
    if judge.own.is_none() || Gap::tells_nothing(&line, &judge.hidden.named) {
        return line;
    }
    format!("{} refers to an object that is not known yet, so it is not read", judge.hidden.named())
}

/// Where a training starts, if the request itself shows it.
pub(super) fn place<'r>(reading: &'r Reading, judge: &Judge<'_>) -> Option<&'r str> {
    let is_own = judge.own.is_none_or(|own| own.iter().any(|own| own.place == reading.place));
    is_own.then_some(reading.place.as_str())
}

fn without_value(input: &Input) -> Input {
    Input { field: input.field, value: String::new(), source: "assumed".into() }
}
