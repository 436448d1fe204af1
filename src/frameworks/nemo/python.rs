//! NeMo 2 recipes in Python: a program that takes a recipe of `nemo.collections.llm`, changes it, and runs it.
//!
//! | statement | settings |
//! | --- | --- |
//! | `llama31_70b.pretrain_recipe(num_nodes=2, …)`, `finetune_recipe(…)` | the model, and what the recipe decides |
//! | `set_primary_perf_configs(recipe, "pre_train", tp_size=4, …)` | every setting that it writes into the recipe |
//! | `recipe.trainer.strategy.context_parallel_size = 2` | the setting of this name |
//! | `recipe.peft = LoRA(dim=16)` | adapters |
//!
//! A later statement beats an earlier one, and words of the command (`trainer.max_steps=30`) beat all of them. A value that
//! does not follow from literals stays open.
//!
//! Read from NVIDIA/NeMo 2.5: `nemo/collections/llm/recipes`, and `set_primary_perf_configs` of
//! `scripts/performance/helpers.py`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::command::Launch;
use crate::frameworks::reading::config::Config;
use crate::python::{Call, Program, Value};

/// The package of the recipes.
const PACKAGE: &str = "nemo.collections.llm";
/// The functions that make a recipe, and whether it fine-tunes.
const RECIPES: &[(&str, bool)] = &[("pretrain_recipe", false), ("finetune_recipe", true)];
/// The arguments of recipes and of `set_primary_perf_configs`, with the settings that they become.
const ARGUMENTS: &[(&str, &str)] = &[
    ("num_nodes", "trainer.num_nodes"),
    ("num_gpus_per_node", "trainer.devices"),
    ("max_steps", "trainer.max_steps"),
    ("mbs", "data.micro_batch_size"),
    ("micro_batch_size", "data.micro_batch_size"),
    ("gbs", "data.global_batch_size"),
    ("global_batch_size", "data.global_batch_size"),
    ("seq_length", "data.seq_length"),
    ("tp_size", "trainer.strategy.tensor_model_parallel_size"),
    ("tensor_parallelism", "trainer.strategy.tensor_model_parallel_size"),
    ("pp_size", "trainer.strategy.pipeline_model_parallel_size"),
    ("pipeline_parallelism", "trainer.strategy.pipeline_model_parallel_size"),
    ("cp_size", "trainer.strategy.context_parallel_size"),
    ("context_parallelism", "trainer.strategy.context_parallel_size"),
    ("vp_size", "trainer.strategy.virtual_pipeline_model_parallel_size"),
    ("virtual_pipeline_parallelism", "trainer.strategy.virtual_pipeline_model_parallel_size"),
    ("ep_size", "trainer.strategy.expert_model_parallel_size"),
    ("expert_parallelism", "trainer.strategy.expert_model_parallel_size"),
    ("etp_size", "trainer.strategy.expert_tensor_parallel_size"),
    ("sequence_parallelism", "trainer.strategy.sequence_parallel"),
    ("recompute_modules", "model.config.recompute_modules"),
    ("activation_offload_layers", "model.config.cpu_offloading_num_layers"),
    ("peft_scheme", "peft.scheme"),
];

/// The groups of a recipe's settings.
const GROUPS: &[&str] = &["trainer.", "model.", "data.", "optim.", "peft."];

/// What a program says about its recipe.
pub(super) struct Said {
    /// The recipe's name: `llama31_70b`.
    pub(super) recipe: String,
    /// Whether it is a recipe for fine-tuning.
    pub(super) tunes: bool,
    /// The settings, by the names of NeMo's command line.
    pub(super) settings: Config,
}

/// The recipe that the program of a launch runs.
pub(super) fn of(launch: &Launch) -> Option<Said> {
    let script = launch.script.as_ref()?;
    let program = script.program.as_ref()?;
    let made = |call: &&Call| call.runs != Some(false);
    let (recipe, tunes) = program.calls.iter().filter(made).filter_map(recipe).next_back()?;
    let mut settings = Settings { program, keys: BTreeMap::new() };
    settings.read();
    let tree: Map<String, Json> = settings.keys.into_iter().collect();
    Some(Said { recipe, tunes, settings: Config::new(script.source.clone(), Json::Object(tree)) })
}

/// The name of a recipe, and whether it fine-tunes, if this call makes one.
fn recipe(call: &Call) -> Option<(String, bool)> {
    let (module, function) = call.function.rsplit_once('.')?;
    let (_, tunes) = RECIPES.iter().find(|(name, _)| *name == function)?;
    let name = module.strip_prefix(PACKAGE)?.rsplit('.').next()?;
    (!name.is_empty()).then(|| (name.to_owned(), *tunes))
}

/// The settings of a recipe, as the program writes them one after the other.
struct Settings<'p> {
    program: &'p Program,
    keys: BTreeMap<String, Json>,
}

impl Settings<'_> {
    fn read(&mut self) {
        let program = self.program;
        let mut assigned = program.assigned.iter().filter(|assigned| assigned.runs != Some(false)).peekable();
        for at in 0..=program.calls.len() {
            while let Some(assignment) = assigned.next_if(|assignment| assignment.after <= at) {
                let value =
                    if assignment.runs == Some(true) { assignment.value.clone() } else { Value::Unknown };
                // The first name is that of the recipe.
                if let Some((_, key)) = assignment.path.split_once('.') {
                    self.assign(key, &value);
                }
            }
            let Some(call) = program.calls.get(at).filter(|call| call.runs != Some(false)) else { continue };
            if recipe(call).is_some() {
                self.arguments(call);
            } else if call.name() == "set_primary_perf_configs" {
                self.performance(call);
            }
        }
    }

    /// Gives a setting. An earlier value does not count any more.
    fn put(&mut self, key: &str, value: &Value) {
        let value = match value {
            Value::Plain(value) => value.clone(),
            Value::Call(_) | Value::Unknown => json!([null]),
        };
        self.keys.insert(key.to_owned(), value);
    }

    fn assign(&mut self, key: &str, value: &Value) {
        let call = match value {
            Value::Call(at) => self.program.calls.get(*at),
            _ => None,
        };
        match (key, call) {
            ("peft", Some(adapters)) => {
                // `run.Config(LoRA, dim=16)` makes the same as `LoRA(dim=16)`.
                let scheme =
                    if adapters.name() == "LoRA" { Value::Plain("lora".into()) } else { Value::Unknown };
                self.put("peft.scheme", &scheme);
                if let Some(rank) = adapters.named.get("dim") {
                    self.put("peft.dim", rank);
                }
            }
            ("peft", None) => self.put("peft.scheme", value),
            _ if GROUPS.iter().any(|group| key.starts_with(group)) => self.put(key, value),
            _ => {}
        }
    }

    /// The arguments that become settings.
    fn arguments(&mut self, call: &Call) {
        for (name, key) in ARGUMENTS {
            if let Some(value) = call.named.get(*name) {
                self.put(key, value);
            }
        }
    }

    /// The settings that `set_primary_perf_configs` writes.
    fn performance(&mut self, call: &Call) {
        let given = |name: &str| call.named.get(name).cloned();
        let number = |name: &str| match given(name) {
            None | Some(Value::Plain(Json::Null)) => Some(0),
            Some(Value::Plain(value)) => value.as_u64(),
            Some(_) => None,
        };
        self.arguments(call);
        // It turns sequence parallelism on with tensor parallelism, and sums gradients in the format of the computation.
        let tensor = number("tp_size").map_or(Value::Unknown, |degree| Value::Plain((degree > 1).into()));
        self.put("trainer.strategy.sequence_parallel", &tensor);
        match given("compute_dtype") {
            None | Some(Value::Plain(Json::Null)) => {}
            Some(format) => {
                self.put("trainer.plugins.precision", &format);
                self.put("trainer.plugins.grad_reduce_in_fp32", &Value::Plain(false.into()));
            }
        }
        match given("use_mcore_fsdp") {
            Some(Value::Plain(Json::Bool(true))) => {
                self.put("trainer.strategy.fsdp", &Value::Plain("megatron".into()));
            }
            None | Some(Value::Plain(_)) => {}
            Some(_) => self.put("trainer.strategy.fsdp", &Value::Unknown),
        }
        match number("recompute_layers") {
            Some(0) => {}
            layers => {
                let layers = layers.map_or(Value::Unknown, |layers| Value::Plain(layers.into()));
                self.put("model.config.recompute_granularity", &Value::Plain("full".into()));
                self.put("model.config.recompute_method", &Value::Plain("block".into()));
                self.put("model.config.recompute_num_layers", &layers);
            }
        }
        if let Some(Value::Plain(Json::Array(_))) = given("recompute_modules") {
            self.put("model.config.recompute_granularity", &Value::Plain("selective".into()));
        }
        if call.may_have_more {
            for (_, key) in ARGUMENTS {
                if !self.keys.contains_key(*key) {
                    self.put(key, &Value::Unknown);
                }
            }
        }
    }
}
