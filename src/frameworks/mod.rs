//! The frameworks. Each has a folder with its reader (arguments, environment, configuration files and defaults, with their
//! version), its profile, and its fixtures.
//!
//! [`READERS`] is the one list. Every reader that recognises a launch reads it, in this order. Readers of launchers
//! come first, because their configuration may hold for the programs they start. Then comes the program itself.

mod accelerate;
mod ai_toolkit;
mod areal;
mod axolotl;
mod bionemo;
mod colossalai;
mod deepspeed;
mod deepspeed_chat;
mod diffsynth;
mod diffusion;
mod diffusion_pipe;
mod easyr1;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod fixtures;
mod fsdp;
mod fsdp_scripts;
mod gpt_neox;
#[cfg(test)]
mod hostile;
mod hugging_face;
mod instructlab;
mod internevo;
mod kaito;
mod kubeflow;
mod levanter;
mod litgpt;
mod llama_cookbook;
mod llama_factory;
mod llm_foundry;
mod maxtext;
mod megatron_bridge;
mod megatron_core;
mod megatron_deepspeed;
mod megatron_lm;
mod musubi_tuner;
mod nanotron;
mod nemo;
mod nemo_automodel;
mod nemo_rl;
mod neuronx;
mod olmo_core;
mod open_instruct;
mod openrlhf;
mod oumi;
mod own;
mod prime_rl;
mod primus;
pub mod profile;
mod program;
mod published_scripts;
pub(crate) mod reading;
mod roll;
mod sagemaker_recipes;
mod simple_tuner;
mod skyrl;
mod slime;
mod swift;
mod torchtitan;
mod torchtune;
mod training_hub;
mod uncovered;
mod unsloth;
mod variables;
mod verl;
mod xtuner;

pub use profile::{Profile, profile};
pub(crate) use program::{Program, bytes, program, serves};
pub(crate) use reading::claims::{Claim, Claims};
pub(crate) use reading::config::{Trees, is_about_a_file};
pub(crate) use reading::launchers::nodes;
pub(crate) use reading::rendezvous::{OtherNodes, Rendezvous};

use crate::command::{Launch, purpose};
use crate::job::{Gap, field};
use crate::kinds::requests::Request;
use reading::options::List;
use reading::{complete, host, launchers, model_config, stored, torchrun, unread};

/// A framework whose launches are read.
pub(crate) struct Reader {
    /// Its name, for the documentation.
    pub(crate) name: &'static str,
    /// Its folder, which has its fixtures.
    #[cfg(test)]
    folder: &'static str,
    /// Whether it is this framework's launch.
    pub(crate) recognises: fn(&Launch) -> bool,
    /// Reads the launch into claims.
    pub(crate) read: fn(&Launch, &mut Claims),
    /// The options that its releases know.
    pub(crate) options: &'static [&'static List],
    /// Whether the launch's program refuses options that are in none of these lists.
    pub(crate) refuses_others: fn(&Launch) -> bool,
    /// What it reads.
    reads: Reads,
}

/// What a reader reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// The programs of a framework.
    Programs,
    /// A launcher, or the usual values of a script: the program has its own reader beside.
    Beside,
    /// Programs without a framework. Only what no other reader of programs recognises.
    OwnPrograms,
    /// The variables of a pod.
    Variables,
    /// Why a training is not estimated.
    Causes,
}

/// The reader in a folder: its `recognises`, and its `read`.
macro_rules! reader {
    ($name:literal, $folder:ident) => {
        Reader {
            name: $name,
            #[cfg(test)]
            folder: stringify!($folder),
            recognises: $folder::recognises,
            read: $folder::read,
            options: &[],
            refuses_others: |_| false,
            reads: Reads::Programs,
        }
    };
}

/// Every framework that is read.
pub(crate) static READERS: &[Reader] = &[
    reader!("DeepSpeed", deepspeed).knows(&[DEEPSPEED]).that_reads(Reads::Beside),
    reader!("accelerate", accelerate).knows(&[ACCELERATE, DEEPSPEED]).that_reads(Reads::Beside),
    reader!("FSDP scripts (AWS, fsdp_qlora)", fsdp_scripts),
    reader!("llama-cookbook", llama_cookbook),
    reader!("BioNeMo (ESM-2)", bionemo),
    reader!("ColossalAI", colossalai).knows(&[&colossalai::list::LIST]),
    reader!("llm-foundry", llm_foundry).knows(&[&llm_foundry::list::LIST]),
    reader!("MaxText", maxtext).knows(&[&maxtext::list::LIST]).and_no_others(),
    reader!("Megatron-Bridge", megatron_bridge)
        .knows(&[&megatron_bridge::list::LIST, &megatron_core::list::LIST])
        .and_no_others(),
    reader!("slime, miles", slime).knows(megatron_lm::list::LISTS),
    reader!("Megatron-LM", megatron_lm).knows(megatron_lm::list::LISTS).and_no_others(),
    reader!("nanotron", nanotron).knows(&[&nanotron::list::LIST]).and_no_others(),
    reader!("NeMo", nemo).knows(&[&nemo::list::LIST, &megatron_core::list::LIST]).and_no_others(),
    reader!("torchtitan", torchtitan).knows(&[&torchtitan::list::LIST]).and_no_others(),
    reader!("LLaMA-Factory", llama_factory)
        .knows(&[&llama_factory::list::LIST, TRANSFORMERS, ACCELERATE, DEEPSPEED])
        .and_no_others(),
    reader!("axolotl", axolotl)
        .knows(&[&axolotl::list::LIST, TRANSFORMERS, ACCELERATE, DEEPSPEED])
        .and_no_others(),
    reader!("torchtune", torchtune).knows(&[&torchtune::list::LIST]),
    reader!("ms-swift", swift)
        .knows(&[&swift::list::LIST, &swift::list::MEGATRON, TRANSFORMERS, ACCELERATE, DEEPSPEED])
        .and_no_others(),
    reader!("oumi", oumi).knows(&[&oumi::list::LIST, TRANSFORMERS, ACCELERATE, DEEPSPEED]),
    reader!("InstructLab", instructlab).knows(&[&instructlab::list::LIST]).and_no_others(),
    reader!("KAITO", kaito).knows(&[TRANSFORMERS]),
    reader!("training_hub", training_hub).knows(&[&instructlab::list::LIST, TRANSFORMERS]),
    reader!("Unsloth", unsloth).knows(&[&unsloth::list::LIST, TRANSFORMERS]).and_no_others(),
    reader!("NeMo AutoModel", nemo_automodel).knows(&[&nemo_automodel::list::LIST]),
    reader!("GPT-NeoX", gpt_neox).knows(&[&gpt_neox::list::LIST, DEEPSPEED]),
    reader!("LitGPT", litgpt).knows(&[&litgpt::list::LIST]).and_no_others(),
    reader!("OpenRLHF", openrlhf).knows(&[&openrlhf::list::LIST, DEEPSPEED]),
    reader!("DeepSpeed-Chat", deepspeed_chat)
        .knows(&[&deepspeed_chat::list::LIST, DEEPSPEED])
        .and_no_others(),
    reader!("Open Instruct", open_instruct).knows(&[&open_instruct::list::LIST, ACCELERATE, DEEPSPEED]),
    reader!("Primus", primus).knows(&[&megatron_core::list::LIST, &torchtitan::list::LIST]),
    reader!("prime-rl", prime_rl).knows(&[&prime_rl::list::LIST]),
    reader!("OLMo-core", olmo_core).knows(&[&olmo_core::list::LIST]),
    reader!("Levanter", levanter).knows(&[&levanter::list::LIST]),
    reader!("XTuner", xtuner).knows(&[&xtuner::list::LIST, DEEPSPEED]),
    reader!("SageMaker HyperPod recipes", sagemaker_recipes),
    reader!("verl", verl).knows(&[&verl::list::LIST]),
    reader!("EasyR1", easyr1).knows(&[&easyr1::list::LIST]),
    reader!("SkyRL", skyrl),
    reader!("AReaL", areal),
    reader!("ROLL", roll),
    reader!("NeMo-RL", nemo_rl).knows(&[&nemo_rl::list::LIST]),
    reader!("Kubeflow's trainer", kubeflow).knows(&[&torchtune::list::LIST]),
    reader!("neuronx-distributed", neuronx),
    reader!("diffusers, sd-scripts", diffusion),
    reader!("DiffSynth-Studio", diffsynth),
    reader!("musubi-tuner", musubi_tuner),
    reader!("SimpleTuner", simple_tuner),
    reader!("ai-toolkit", ai_toolkit),
    reader!("diffusion-pipe", diffusion_pipe),
    reader!("Alpaca, QLoRA and their like", published_scripts).that_reads(Reads::Beside),
    reader!("Hugging Face Trainer, TRL", hugging_face)
        .knows(hugging_face::LISTS)
        .and_no_others_if(hugging_face::refuses_others),
    reader!("own programs", own).that_reads(Reads::OwnPrograms).knows(hugging_face::LISTS),
    reader!("variables", variables).that_reads(Reads::Variables),
    reader!("not covered", uncovered).that_reads(Reads::Causes),
];

const TRANSFORMERS: &List = &hugging_face::lists::TRANSFORMERS;
const ACCELERATE: &List = &accelerate::list::LIST;
const DEEPSPEED: &List = &deepspeed::list::LIST;

impl Reader {
    /// The releases know these options.
    const fn knows(self, options: &'static [&'static List]) -> Self {
        Self { options, ..self }
    }

    /// It reads something else than programs.
    const fn that_reads(self, reads: Reads) -> Self {
        Self { reads, ..self }
    }

    /// The program refuses other options.
    const fn and_no_others(self) -> Self {
        self.and_no_others_if(|_| true)
    }

    /// The program refuses other options, if this holds.
    const fn and_no_others_if(self, refuses_others: fn(&Launch) -> bool) -> Self {
        Self { refuses_others, ..self }
    }
}

/// The readers of a launch.
pub(crate) fn readers(launch: &Launch) -> Vec<&'static Reader> {
    let mut found: Vec<&'static Reader> = Vec::new();
    for reader in READERS {
        let is_free = || found.iter().all(|other| matches!(other.reads, Reads::Beside | Reads::Causes));
        if (reader.reads != Reads::OwnPrograms || is_free()) && (reader.recognises)(launch) {
            found.push(reader);
        }
    }
    found
}

/// The frameworks that are read, by name. Some readers read no framework: those of programs without one, of variables, and of what is
/// not covered.
pub fn names() -> impl Iterator<Item = &'static str> {
    let of_one = |reader: &&Reader| matches!(reader.reads, Reads::Programs | Reads::Beside);
    READERS.iter().filter(of_one).map(|reader| reader.name)
}

/// The most trainings of one object that are read. Fewer are judged, because most have the same deciding values.
const MOST_TRAININGS: usize = 64;

/// One training among the launches.
#[derive(Clone)]
pub(crate) struct Training<'l> {
    /// The program that starts it. `None` if we read no such program.
    pub(crate) launch: Option<&'l Launch>,
    /// The reader.
    readers: Vec<&'static Reader>,
    /// Whether a branch may start it, while other branches start something else.
    pub(crate) perhaps: bool,
    /// Whether all trainings of the other branches are judged as well.
    pub(crate) alternative: bool,
}

impl<'l> Training<'l> {
    const NONE: Self = Self { launch: None, readers: Vec::new(), perhaps: false, alternative: false };

    fn of(launch: &'l Launch, readers: Vec<&'static Reader>) -> Self {
        Self { launch: Some(launch), readers, ..Self::NONE }
    }

    /// Whether a reader recognises it.
    pub(crate) fn is_read(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Whether another launch is the same, apart from its place.
    fn is(&self, other: &Launch) -> bool {
        self.launch.is_some_and(|launch| {
            launch.target == other.target
                && launch.launchers == other.launchers
                && launch.arguments == other.arguments
                && launch.accelerators == other.accelerators
                && launch.perhaps() == other.perhaps()
                && launch.behind_gap == other.behind_gap
                && launch.environment == other.environment
                && launch.files == other.files
        })
    }
}

/// The trainings among the launches, and whether there are more than are judged.
///
/// Each launch that a reader recognises is a training, and so is each launch with a launcher. A training that surely
/// starts comes before one that a branch may start. If only branches start trainings, and these differ, each is one of
/// several. A launch that does not train counts only if there is no other. A launcher in a branch with an unknown
/// program counts only if there is no other, too. A container without accelerators counts only if no other container
/// starts a training.
pub(crate) fn trainings(launches: &[Launch]) -> (Vec<Training<'_>>, bool) {
    let (mut recognised, others): (Vec<_>, Vec<_>) = launches
        .iter()
        .map(|launch| Training::of(launch, readers(launch)))
        .partition(|training| !training.readers.is_empty());
    let aside = |training: &Training<'_>| training.launch.is_some_and(purpose::trains_nothing);
    let perhaps = |training: &Training<'_>| training.launch.is_some_and(Launch::perhaps);
    // Training comes before preparation. A sure start comes before a possible one.
    recognised.sort_by_key(|training| (aside(training), perhaps(training)));
    // If the program is unknown, the launcher counts, even beside other programs. So does a name that says training.
    let launched = |launch: &Launch| !launch.launchers.is_empty();
    let trains = |launch: &Launch| launched(launch) || purpose::says_that_it_trains(launch);
    if launches.iter().any(|launch| trains(launch) && !purpose::trains_nothing(launch)) {
        recognised.retain(|training| !aside(training));
    }
    let mut recognised = recognised.into_iter();
    let Some(first) = recognised.next() else {
        let launched = launches.iter().find(|launch| launched(launch));
        let launched = launched.or_else(|| launches.iter().find(|launch| trains(launch)));
        return (vec![launched.map_or(Training::NONE, |launch| Training::of(launch, Vec::new()))], false);
    };
    let unknown = others.into_iter().filter(|training| {
        training.launch.is_some_and(|launch| launched(launch) && !launch.perhaps() && !serves(launch))
    });
    let mut all = vec![first];
    for mut training in recognised.filter(|training| !aside(training)).chain(unknown) {
        training.perhaps = perhaps(&training);
        if !all.iter().any(|known| training.launch.is_some_and(|launch| known.is(launch))) {
            all.push(training);
        }
    }
    let asks = |training: &Training<'_>| {
        training.launch.is_some_and(|l| l.accelerators > 0 || l.group.is_none() || l.reaches_others())
    };
    if all.iter().any(asks) {
        all.retain(asks);
    }
    settle_branches(&mut all, launches);
    let more = all.len() > MOST_TRAININGS;
    all.truncate(MOST_TRAININGS);
    (all, more)
}

/// Trainings that only branches start: decides whether one of them is sure. It is sure if it is the only one and no
/// other branch starts anything.
fn settle_branches(trainings: &mut [Training<'_>], launches: &[Launch]) {
    let known: Vec<&Launch> = trainings.iter().filter_map(|training| training.launch).collect();
    if !known.first().is_some_and(|first| first.perhaps()) {
        return;
    }
    let is_elsewhere = |other: &Launch| {
        let differs = |launch: &&Launch| {
            launch.excludes(other) || (!other.launchers.is_empty() && !launch.is_beside(other))
        };
        other.perhaps() && known.iter().all(differs) && !trainings.iter().any(|training| training.is(other))
    };
    let elsewhere = launches.iter().any(is_elsewhere);
    let several = known.len() > 1;
    for training in trainings {
        training.perhaps = (elsewhere || several) && training.launch.is_some_and(Launch::perhaps);
        training.alternative = training.perhaps && !elsewhere;
    }
}

/// The claims of a training's launch, among all launches and the requests of the pods that take part.
pub(crate) fn read(
    training: &Training<'_>,
    launches: &[Launch],
    requests: &[Request<'_>],
    trees: &mut Trees,
) -> Claims {
    let Some(launch) = training.launch else { return Claims::default() };
    let trees_of_all = std::mem::take(trees);
    let mut claims = Claims { place: launch.place.clone(), trees: trees_of_all, ..Claims::default() };
    for arguments in launch.launchers.iter().map(|launcher| &launcher.arguments).chain([&launch.arguments]) {
        arguments.forget_asked();
    }
    launchers::read(launch, &mut claims);
    for reader in &training.readers {
        (reader.read)(launch, &mut claims);
    }
    layers_over_devices(launch, &mut claims);
    model_config::read(launch, &mut claims);
    host::downloads(launch, &mut claims);
    claims.hybrid_on_a_node();
    let mut launched = launches.iter().filter(|launch| !launch.launchers.is_empty());
    if launched.all(|other| other.launchers == launch.launchers && other.target == launch.target) {
        launchers::shrink(launch, requests, &mut claims);
    }
    launchers::spread(launch, requests, &mut claims);
    launchers::doubts(launch, requests, &claims).offer_to(&mut claims);
    launchers::own_doubts(launch, requests).offer_to(&mut claims);
    complete::leave_open(&mut claims);
    complete::leave_compiled_open(&mut claims);
    if !training.readers.is_empty() {
        let lists: Vec<&'static List> = training
            .readers
            .iter()
            .flat_map(|reader| reader.options)
            .copied()
            .chain([&torchrun::LIST])
            .collect();
        let refuses_others = training.readers.iter().any(|reader| (reader.refuses_others)(launch));
        unread::leave_open(launch, &lists, refuses_others, &mut claims);
        let is_listed = |reader: &&Reader| reader.reads == Reads::Programs && !reader.options.is_empty();
        claims.understood.is_listed = training.readers.iter().any(is_listed);
    }
    if launch.reads_of_branches {
        claims.gap.get_or_insert(Gap::Branches);
    }
    stored::read(&mut claims);
    *trees = std::mem::take(&mut claims.trees);
    claims
}

/// One process with the layers of one model on all its devices computes one microbatch at a time. So it needs what a
/// pipeline needs that has one microbatch. Processes divide the devices of a container.
fn layers_over_devices(launch: &Launch, claims: &mut Claims) {
    let processes = launch.environment.get("NPROC_PER_NODE").map(|number| number.parse().ok());
    let processes = match (claims.processes_per_node, processes) {
        (Some(processes), _) => Some(processes),
        (None, Some(processes)) => processes,
        (None, None) => launch.launchers.is_empty().then_some(1),
    };
    let visible = launch.environment.get("CUDA_VISIBLE_DEVICES");
    let visible = visible.map_or(u64::MAX, |devices| devices.split(',').count() as u64);
    let devices = launch.accelerators.min(visible);
    let each = processes.filter(|processes| *processes > 0).map_or(1, |processes| devices / processes);
    if let Some(source) = claims.layers_over_devices.take().filter(|_| each > 1) {
        claims.assume(field::parallelism::PIPELINE, each, source.clone());
        claims.accumulation = Some((1, source));
    }
}

/// Why a training in a branch is not judged for certain.
pub(crate) const WHICH_BRANCH: &str = "which of several branches is taken is not known";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::command;
    use crate::job::Cause;
    use crate::kinds::PodGroup;
    use crate::surroundings::Surroundings;

    const LARGE: &str = "torchrun run_clm.py --do_train --model_name_or_path meta-llama/Llama-3.1-70B";
    const SMALL: &str = "torchrun run_clm.py --do_train --model_name_or_path gpt2";

    /// The trainings of a script. For each: whether a branch may start it, and whether the other branches are judged as
    /// well.
    fn branches(script: &str) -> Vec<(bool, bool)> {
        let template = json!({"spec": {"containers": [{"command": ["bash", "-c", script]}]}});
        let groups = [PodGroup { role: "", template: &template, path: String::new(), replicas: Some(1) }];
        let launches = command::launches(&groups, None, &[], &Surroundings::default(), "").launches;
        trainings(&launches).0.iter().map(|training| (training.perhaps, training.alternative)).collect()
    }

    /// The model of a script's training, and why the training is not covered.
    fn of_script(script: &str) -> (String, Option<Cause>) {
        let template = json!({"spec": {"containers": [{"command": ["bash", "-c", script]}]}});
        let groups = [PodGroup { role: "", template: &template, path: String::new(), replicas: Some(1) }];
        let launches = command::launches(&groups, None, &[], &Surroundings::default(), "").launches;
        let (trainings, _) = trainings(&launches);
        let claims = read(trainings.first().unwrap(), &launches, &[], &mut Trees::default());
        let name = claims.get(field::model::NAME).unwrap_or_default();
        (name, claims.beyond)
    }

    #[test]
    fn of_branches_that_differ_none_is_taken_for_the_one() {
        for script in [
            format!("if [ -f /data/x ]; then {LARGE}; else {SMALL}; fi"),
            format!("case $SIZE in large) {LARGE};; *) {SMALL};; esac"),
            format!("[ -f /data/x ] && {LARGE}; [ -f /data/x ] || {SMALL}"),
        ] {
            assert_eq!(branches(&script), [(true, true), (true, true)], "{script}");
        }
    }

    #[test]
    fn a_training_is_not_sure_where_another_branch_starts_something_else() {
        for (script, perhaps) in [
            (format!("if [ -f /data/x ]; then {LARGE}; fi"), false),
            (format!("if [ -f /data/x ]; then {LARGE}; else {LARGE}; fi"), false),
            (format!("if [ -f /data/x ]; then python convert.py; {LARGE}; fi"), false),
            (format!("if [ -f /data/x ]; then echo usage; exit 1; fi; {LARGE}"), false),
            (format!("if [ -f /data/x ]; then {LARGE}; else /opt/other.sh; fi"), true),
            (format!("case $A in a) {LARGE};; *) python -m serve;; esac"), true),
            (format!("if [ -f /data/x ]; then exec /opt/other.sh; fi; {LARGE}"), true),
            (format!("[ -f /data/x ] && exec torchrun own.py; {LARGE}"), true),
            (format!("[ -f /data/x ] || {LARGE}; [ -f /data/x ] && torchrun own.py"), true),
        ] {
            assert_eq!(branches(&script), [(perhaps, false)], "{script}");
        }
    }

    #[test]
    fn what_is_surely_started_is_read_before_what_a_branch_may_start() {
        for script in [
            format!("[ -f /data/x ] && {LARGE}; {SMALL}"),
            format!("if [ -n \"$DEBUG\" ]; then {LARGE}; fi\n{SMALL}"),
            format!("python convert.py --x 1; {SMALL}"),
            format!("{LARGE} --do_train --help; {SMALL}"),
            format!("if [ $RANK = 0 ]; then {SMALL}; else {SMALL}; fi"),
        ] {
            assert_eq!(of_script(&script), ("gpt2".to_owned(), None), "{script}");
        }
        assert_eq!(of_script("python convert.py; torchrun own.py").1, None);
        assert_eq!(of_script("python 09_train.py a.yaml; python 16_rag_eval.py --adapter x").1, None);
        assert!(of_script(&format!("if [ -f /data/x ]; then {LARGE}; fi")).0.contains("70B"));
    }
}
