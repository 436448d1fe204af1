//! What of a judgement may be shown: nothing that another object than the request says.
//!
//! Figures are computed from everything that is known. A line, a name or an input is shown only where the request itself
//! makes it: where the same line comes out of what the request alone says, or where a value's source is the request. In
//! the place of what is hidden stands the object that says it. Of what the cluster's nodes and queues say, which
//! accelerator it is, in the catalogue's words; their labels are not quoted.
//!
//! Figures that follow from a hidden value are shown (the peak, the time): they are what was asked for.

use std::cell::OnceCell;

use crate::estimate::assume::{Assumed, Device, assume};
use crate::frameworks::is_about_a_file;
use crate::hardware::Catalogue;
use crate::job::{AnyField, Field, Gap, Group, Hidden, Input, Provenance, TrainingJob, field};
use crate::judgement::{Advice, Deadline, Judgement, Memory, Outlook};
use crate::workload::Reading;

use super::Judge;
use super::capacity::Capacity;
use crate::job::Quoting;

/// The field of the accelerator's name.
const TYPE: Field<String> = field::accelerator::KIND;

/// What may be shown of one judgement.
pub(super) struct Shown<'c> {
    /// How the other objects are named. None where every value may be shown.
    hidden: Option<Hidden>,
    /// What every value came from.
    provenance: Provenance,
    /// The job that the request itself describes, where that is not all.
    own_job: Option<TrainingJob>,
    /// What is doubtful of the request by itself, where that may not be all.
    own_warnings: Option<Vec<String>>,
    /// What the estimate assumes of the request by itself.
    own_assumed: OnceCell<Option<Assumed>>,
    /// The accelerator, as far as it may be named.
    capacity: Capacity<'c>,
    /// Whether the limit on the time is another object's.
    limit_is_hidden: bool,
    /// Whether a warning was left out.
    left_out: bool,
}

impl<'c> Shown<'c> {
    /// Of a reading, whose provenance it takes, and of the same object read without other objects, where there are any.
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

    /// The accelerator without what may not be shown of it.
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
            // A part that no table knows is a label's text.
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

    /// One line for each pair of sources that disagree.
    pub(super) fn disagreements(&self) -> Vec<String> {
        self.provenance.disagreements(self.hidden.as_ref())
    }

    /// Whether a field's value was born in another object, may it be shown or not.
    pub(super) fn is_elsewhere(&self, field: impl Into<AnyField>) -> bool {
        self.provenance.is_elsewhere(field)
    }

    /// Whether a field's value may not be shown.
    pub(super) fn hides(&self, field: impl Into<AnyField>) -> bool {
        let field = field.into();
        let by_the_cluster = field == TYPE && self.is_of_the_cluster() && self.capacity.accelerator.is_some();
        self.hidden.is_some() && self.provenance.is_elsewhere(field) && !by_the_cluster
    }

    fn hides_any(&self, group: Group) -> bool {
        self.hidden.is_some() && self.provenance.any_is_elsewhere(group)
    }

    /// The object that says what a field is.
    pub(super) fn named(&self, field: impl Into<AnyField>) -> String {
        match (&self.hidden, self.provenance.source(field)) {
            (Some(hidden), Some(source)) => hidden.source(source),
            _ => "another object".to_owned(),
        }
    }

    /// The accelerator, as far as it may be named.
    pub(super) fn capacity(&self) -> &Capacity<'c> {
        &self.capacity
    }

    /// The job, as far as the request itself describes it.
    pub(super) fn job<'j>(&'j self, whole: &'j TrainingJob) -> &'j TrainingJob {
        self.own_job.as_ref().unwrap_or(whole)
    }

    /// The warnings of a reading that the request itself makes, and which files of others could not be read.
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

    /// The lines that the request itself makes, of which `own` gives those of a job.
    pub(super) fn lines(
        &mut self,
        lines: Vec<String>,
        own: impl FnOnce(&TrainingJob) -> Vec<String>,
    ) -> Vec<String> {
        let own = self.own_job.as_ref().map(own);
        self.common(lines, own)
    }

    /// A line that quotes fields of a group alone.
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

    /// Every value that was read. An accelerator that the cluster hands out has the catalogue's name.
    pub(super) fn inputs(&self, catalogue: &Catalogue) -> Vec<Input> {
        let provenance = &self.provenance;
        let mut inputs = provenance.inputs(self.hidden.as_ref());
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

    /// What the estimate assumes; the value of one that hangs on a hidden value is left out.
    pub(super) fn assumed_inputs(&self, inputs: &[Input], device: Device) -> Vec<Input> {
        let Some(own) = &self.own_job else { return inputs.to_vec() };
        let own = self.own_assumed(own, device);
        let is_own = |input: &Input| own.is_some_and(|own| own.inputs.contains(input));
        inputs.iter().map(|input| if is_own(input) { input.clone() } else { without_value(input) }).collect()
    }

    /// What the estimate finds that does not go together.
    pub(super) fn assumed_warnings(&mut self, warnings: &[String], device: Device) -> Vec<String> {
        let own = self.own_job.as_ref().map(|own| {
            self.own_assumed(own, device).map(|assumed| assumed.warnings.clone()).unwrap_or_default()
        });
        self.common(warnings.to_vec(), own)
    }

    fn own_assumed(&self, own: &TrainingJob, device: Device) -> Option<&Assumed> {
        self.own_assumed.get_or_init(|| assume(own, device).ok()).as_ref()
    }

    /// What was derived for the time; values are left out where anything is hidden.
    pub(super) fn derived(&self, inputs: impl Iterator<Item = Input>) -> Vec<Input> {
        let hides = self.hides_anything();
        inputs.map(|input| if hides { without_value(&input) } else { input }).collect()
    }

    fn hides_anything(&self) -> bool {
        self.own_job.is_some() && self.hides_any(field::SPEC)
    }

    /// The peak, without the names and the capacity that are hidden.
    pub(super) fn memory(&self, memory: Memory) -> Memory {
        let mut memory = Memory { capacity_bytes: self.capacity.bytes, ..memory };
        if self.hides(field::parallelism::PIPELINE) {
            memory.worst_rank = "one of the ranks".into();
        }
        memory
    }

    /// The deadline, without its length where that is hidden.
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

    /// The advice: what a hidden value would be changed to is not said, since that tells what it is.
    pub(super) fn advice(&self, advice: Vec<Advice>) -> Vec<Advice> {
        let covered = |advice: Advice| {
            if !advice.spec.values().into_iter().any(|(field, _)| self.hides(field)) {
                return advice;
            }
            let change = |change: &str| match change.split_once(' ') {
                Some((knob, _)) => format!("another {knob}"),
                None => change.to_owned(),
            };
            let change = advice.change.split(" and ").map(change).collect::<Vec<_>>().join(" and ");
            Advice { change, spec: TrainingJob::default(), ..advice }
        };
        advice.into_iter().map(covered).collect()
    }

    /// The judgement without the figures that are a hidden value themselves.
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

/// What was not read, without the names of objects that only other objects name.
pub(super) fn gap(gap: &Gap, judge: &Judge<'_>) -> String {
    let line = gap.to_string();
    if judge.own.is_none() || Gap::tells_nothing(&line, &judge.hidden.named) {
        return line;
    }
    format!("{} refers to what is not known yet: what that says is not read", judge.hidden.named())
}

/// Where a training is started, where the request itself says so.
pub(super) fn place<'r>(reading: &'r Reading, judge: &Judge<'_>) -> Option<&'r str> {
    let is_own = judge.own.is_none_or(|own| own.iter().any(|own| own.place == reading.place));
    is_own.then_some(reading.place.as_str())
}

fn without_value(input: &Input) -> Input {
    Input { field: input.field, value: String::new(), source: "assumed".into() }
}
