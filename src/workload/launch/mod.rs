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

/// What the launches say: the first that any reader recognises, else the first that has a launcher, of which only the
/// launcher is believed.
pub(super) fn read(launches: &[Launch], requests: &[Request<'_>]) -> Said {
    let readers =
        |launch: &Launch| READERS.iter().filter(|reader| (reader.recognises)(launch)).collect::<Vec<_>>();
    let recognised =
        launches.iter().map(|launch| (launch, readers(launch))).find(|(_, readers)| !readers.is_empty());
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
    said
}
