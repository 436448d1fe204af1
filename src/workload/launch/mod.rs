//! What a launch says of the training job: one framework a file, each with its arguments, its environment, its
//! configuration files and its defaults, with the version that they were read from.
//!
//! [`READERS`] is the one list. Every reader that recognises a launch reads it, in this order: what starts programs
//! first (its configuration may hold for whatever it starts), then the program itself.

mod accelerate;
mod axolotl;
mod bionemo;
mod colossalai;
mod complete;
mod config;
mod deepspeed;
#[cfg(test)]
mod examples;
mod facts;
mod flags;
mod fsdp_scripts;
#[cfg(test)]
mod hostile;
mod kubeflow;
mod litgpt;
mod llama_cookbook;
mod llama_factory;
mod llm_foundry;
mod maxtext;
mod megatron_bridge;
mod megatron_core;
mod megatron_lm;
mod nanotron;
mod nemo;
mod neuronx;
mod openrlhf;
mod peft;
mod program;
mod said;
mod settings;
mod swift;
mod torchtitan;
mod torchtune;
mod trainer;
mod training_arguments;
mod uncovered;
mod variables;

pub(crate) use config::is_about_a_file;
pub(super) use program::{Program, bytes, program};
pub(crate) use said::{Offered, Said};

use super::accelerator::Request;
use super::command::Launch;

/// A framework whose launches are read.
pub(crate) struct Reader {
    /// Its name, for the documentation.
    pub(crate) name: &'static str,
    /// Whether it is this framework's launch.
    pub(crate) recognises: fn(&Launch) -> bool,
    /// What it says.
    pub(crate) read: fn(&Launch, &mut Said),
}

/// Every framework that is read.
pub(crate) static READERS: &[Reader] = &[
    Reader { name: "DeepSpeed", recognises: deepspeed::recognises, read: deepspeed::read },
    Reader { name: "accelerate", recognises: accelerate::recognises, read: accelerate::read },
    Reader { name: "FSDP scripts (AWS)", recognises: fsdp_scripts::recognises, read: fsdp_scripts::read },
    Reader { name: "llama-cookbook", recognises: llama_cookbook::recognises, read: llama_cookbook::read },
    Reader { name: "BioNeMo (ESM-2)", recognises: bionemo::recognises, read: bionemo::read },
    Reader { name: "ColossalAI", recognises: colossalai::recognises, read: colossalai::read },
    Reader { name: "llm-foundry", recognises: llm_foundry::recognises, read: llm_foundry::read },
    Reader { name: "MaxText", recognises: maxtext::recognises, read: maxtext::read },
    Reader { name: "Megatron-Bridge", recognises: megatron_bridge::recognises, read: megatron_bridge::read },
    Reader { name: "Megatron-LM", recognises: megatron_lm::recognises, read: megatron_lm::read },
    Reader { name: "nanotron", recognises: nanotron::recognises, read: nanotron::read },
    Reader { name: "NeMo", recognises: nemo::recognises, read: nemo::read },
    Reader { name: "torchtitan", recognises: torchtitan::recognises, read: torchtitan::read },
    Reader { name: "LLaMA-Factory", recognises: llama_factory::recognises, read: llama_factory::read },
    Reader { name: "axolotl", recognises: axolotl::recognises, read: axolotl::read },
    Reader { name: "torchtune", recognises: torchtune::recognises, read: torchtune::read },
    Reader { name: "ms-swift", recognises: swift::recognises, read: swift::read },
    Reader { name: "LitGPT", recognises: litgpt::recognises, read: litgpt::read },
    Reader { name: "OpenRLHF", recognises: openrlhf::recognises, read: openrlhf::read },
    Reader { name: "Kubeflow's trainer", recognises: kubeflow::recognises, read: kubeflow::read },
    Reader { name: "neuronx-distributed", recognises: neuronx::recognises, read: neuronx::read },
    Reader { name: "Hugging Face Trainer, TRL", recognises: trainer::recognises, read: trainer::read },
    Reader { name: "variables", recognises: variables::recognises, read: variables::read },
    Reader { name: "not covered", recognises: uncovered::recognises, read: uncovered::read },
];

/// The frameworks that are read, by name.
pub fn frameworks() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|reader| reader.name)
}

/// What the launches say: the first that any reader recognises (one that is surely started before one that a branch may
/// start; where branches differ and nothing else is recognised, the estimate covers none), else the first that has a launcher, of which only the
/// launcher is believed.
pub(super) fn read(launches: &[Launch], requests: &[Request<'_>]) -> Said {
    let readers =
        |launch: &Launch| READERS.iter().filter(|reader| (reader.recognises)(launch)).collect::<Vec<_>>();
    let mut recognised: Vec<_> = launches
        .iter()
        .map(|launch| (launch, readers(launch)))
        .filter(|(_, readers)| !readers.is_empty())
        .collect();
    // What trains comes before what prepares it, and what is surely started before what a branch may start.
    recognised.sort_by_key(|(launch, _)| (uncovered::trains_nothing(launch), launch.perhaps));
    // Of a program that nobody knows the launcher is believed, whatever is started beside it.
    let trains = |launch: &Launch| !launch.launchers.is_empty() && !uncovered::trains_nothing(launch);
    if launches.iter().any(trains) {
        recognised.retain(|(launch, _)| !uncovered::trains_nothing(launch));
    }
    let alternatives = recognised.first().is_some_and(|(first, _)| {
        let differs = |other: &Launch| other.target != first.target || other.arguments != first.arguments;
        first.perhaps && recognised.iter().any(|(other, _)| differs(other))
    });
    let recognised = (!recognised.is_empty()).then(|| recognised.swap_remove(0));
    let launched =
        || launches.iter().find(|launch| !launch.launchers.is_empty()).map(|launch| (launch, Vec::new()));
    let Some((launch, readers)) = recognised.or_else(launched) else { return Said::default() };
    let mut said = Said { place: launch.place.clone(), ..Said::default() };
    facts::read(launch, &mut said);
    for reader in readers {
        (reader.read)(launch, &mut said);
    }
    said.hybrid_on_a_node();
    let mut launched = launches.iter().filter(|launch| !launch.launchers.is_empty());
    if launched.all(|other| other.launchers == launch.launchers && other.target == launch.target) {
        facts::shrink(launch, requests, &mut said);
    }
    let doubts = facts::doubts(launch, requests, &said);
    said.warnings.extend(doubts);
    said.warnings.extend(facts::own_doubts(launch, requests));
    complete::leave_open(&mut said);
    if alternatives {
        said.beyond = said.beyond.or(Some("which of several branches is taken is not known"));
    }
    stored_quantized(&mut said);
    said
}

/// Endings and middles of names of models whose weights are stored in few bits, in lower case.
const QUANTIZED: &[&str] = &[
    "gptq", "awq", "gguf", "aqlm", "hqq", "4bit", "8bit", "int4", "int8", "w4a16", "w8a8", "-fp8", "nf4",
    "bnb",
];

/// Leaves alone weights that are stored in few bits, where nothing says that they are trained so.
fn stored_quantized(said: &mut Said) {
    let name = said.get("model.name").and_then(serde_json::Value::as_str).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let told = said.get("finetuning.method").is_some_and(|method| method == "QLoRA");
    if !told && QUANTIZED.iter().any(|part| name.contains(part)) {
        said.beyond = said.beyond.or(Some("its model's weights are stored in few bits"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::surroundings::ConfigMaps;
    use crate::workload::command;
    use crate::workload::kinds::PodGroup;

    const LARGE: &str = "torchrun run_clm.py --do_train --model_name_or_path meta-llama/Llama-3.1-70B";
    const SMALL: &str = "torchrun run_clm.py --do_train --model_name_or_path gpt2";

    /// The model that a script's training is read to have, and why it is not covered.
    fn of_script(script: &str) -> (String, Option<&'static str>) {
        let template = json!({"spec": {"containers": [{"command": ["bash", "-c", script]}]}});
        let groups = [PodGroup { role: "", template: &template, path: String::new(), replicas: Some(1) }];
        let said = read(&command::launches(&groups, None, &[], &ConfigMaps::default(), ""), &[]);
        let name = said.get("model.name").and_then(serde_json::Value::as_str).unwrap_or_default();
        (name.to_owned(), said.beyond)
    }

    #[test]
    fn of_branches_that_differ_none_is_taken_for_the_one() {
        for script in [
            format!("if [ -f /data/x ]; then {LARGE}; else {SMALL}; fi"),
            format!("case $SIZE in large) {LARGE};; *) {SMALL};; esac"),
            format!("[ -f /data/x ] && {LARGE}; [ -f /data/x ] || {SMALL}"),
        ] {
            assert_eq!(
                of_script(&script).1,
                Some("which of several branches is taken is not known"),
                "{script}"
            );
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
        assert!(of_script(&format!("if [ -f /data/x ]; then {LARGE}; fi")).0.contains("70B"));
    }

    #[test]
    fn weights_that_are_stored_in_few_bits_are_left_alone() {
        let of = |model: &str, more: &str| {
            of_script(&format!(
                "python sft.py --per_device_train_batch_size 1 --output_dir o --model_name_or_path {model} {more}"
            ))
        };
        assert!(of("unsloth/llama-3-70b-bnb-4bit", "--use_peft").1.is_some());
        assert!(of("TheBloke/Llama-2-70B-GPTQ", "--use_peft").1.is_some());
        assert_eq!(of("unsloth/llama-3-8b-bnb-4bit", "--use_peft --load_in_4bit").1, None);
        assert_eq!(of("meta-llama/Llama-2-70b-hf", "--use_peft").1, None);
    }

    #[test]
    fn optimizers_that_never_hold_all_gradients_are_left_alone() {
        for more in
            ["--optim galore_adamw_8bit_layerwise", "--optim lomo", "--use_badam true", "--use_apollo"]
        {
            assert!(of_script(&format!("{SMALL} {more}")).1.is_some(), "{more}");
        }
        for more in ["--optim adamw_torch", "--use_badam false"] {
            assert_eq!(of_script(&format!("{SMALL} {more}")).1, None, "{more}");
        }
    }
}
