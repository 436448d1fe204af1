//! What a Python program does that takes its training out of the estimate's reach, though its settings look usual.
//!
//! | sign in the text | cause |
//! | --- | --- |
//! | `parameter.register_post_accumulate_grad_hook(step)` | the optimizer steps during the backward pass |
//! | `from_pretrained(…, hidden_size=1024)`, `model.model.layers = …`, `config.num_hidden_layers = 4` | the model's dimensions change |
//! | `HqqConfig(nbits=2)`, `QuantoConfig(weights="int2")` | fewer than four bits a weight |
//! | `trainer.evaluate()` or `trainer.predict(…)`, and no `train()` | evaluation |
//!
//! A training like this may need far less memory than its settings say, so no figure is computed for it.
//!
//! A part of the model is frozen where `AdamW(model.lm_head.parameters())` has the parameters of a named part, and where
//! `parameter.requires_grad = …` or `freeze_layers(model)` says it. Then what is trained stays open.

use serde_json::Value as Json;

use super::training_loop;
use crate::job::Cause;
use crate::python::{Call, Program, Value};

/// Names that people give to a whole model, and attributes under which wrappers keep one.
const WHOLE: &[&str] =
    &["model", "module", "base_model", "_orig_mod", "net", "network", "policy", "llm", "student"];
/// Attributes that hold a model's dimensions or its layers.
const DIMENSIONS: &[&str] = &[
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "vocab_size",
    "layers",
    "n_layer",
    "n_embd",
    "n_head",
    "d_model",
];

/// Why the estimate does not cover the program.
pub(super) fn cause(program: &Program) -> Option<Cause> {
    let calls = || program.calls.iter().filter(|call| call.runs != Some(false));
    let named = |name: &str| calls().any(|call| call.name() == name);
    if named("register_post_accumulate_grad_hook") {
        Some(Cause::StepsInBackward)
    } else if calls().any(changes_dimensions) || DIMENSIONS.iter().any(|name| program.sets.contains(*name)) {
        Some(Cause::ChangedModel)
    } else if calls().any(|call| bits(call).is_some_and(|bits| bits < 4)) {
        Some(Cause::StoredQuantized)
    } else if (named("evaluate") || named("predict")) && !named("train") {
        Some(Cause::Evaluation)
    } else {
        None
    }
}

/// Whether a part of the model may be kept from being trained.
pub(super) fn freezes(program: &Program) -> bool {
    let mut calls = program.calls.iter().filter(|call| call.runs != Some(false));
    program.sets.contains("requires_grad")
        || calls.any(|call| says_frozen(call) || trains_a_part(call, program))
}

/// Whether a call says that parameters are frozen.
fn says_frozen(call: &Call) -> bool {
    call.name() == "requires_grad_" || call.name().starts_with("freeze")
}

/// Whether an optimizer gets the parameters of a part of the model, which the program names.
fn trains_a_part(call: &Call, program: &Program) -> bool {
    let parameters = call.named.get("params").or_else(|| call.positional.first());
    let Some(Value::Call(at)) = parameters.filter(|_| training_loop::optimizer(call).is_some()) else {
        return false;
    };
    let path = program.calls.get(*at).and_then(|call| call.function.strip_suffix(".parameters"));
    let part = path.and_then(|path| path.split_once('.')).and_then(|(_, part)| part.rsplit('.').next());
    part.is_some_and(|part| !WHOLE.contains(&part))
}

/// Whether a model is loaded with dimensions of the program's own. The number of layers alone is read.
fn changes_dimensions(call: &Call) -> bool {
    call.name() == "from_pretrained"
        && DIMENSIONS.iter().any(|name| {
            let is_read = *name == "num_hidden_layers"
                && matches!(call.named.get(*name), Some(Value::Plain(Json::Number(_))));
            call.named.contains_key(*name) && !is_read
        })
}

/// The bits a weight of a quantizing library's configuration, if they are literal.
fn bits(call: &Call) -> Option<u64> {
    let given = |name: &str| match call.named.get(name) {
        Some(Value::Plain(value)) => Some(value),
        _ => None,
    };
    match call.name() {
        "HqqConfig" | "GPTQConfig" | "BaseQuantizeConfig" => {
            given("nbits").or_else(|| given("bits")).and_then(Json::as_u64)
        }
        "QuantoConfig" => given("weights")?.as_str()?.strip_prefix("int")?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::{NothingGiven, read};

    #[test]
    fn a_program_that_departs_from_its_settings_has_a_cause() {
        for (text, expected) in [
            (
                "for p in model.parameters(): p.register_post_accumulate_grad_hook(step)",
                Some(Cause::StepsInBackward),
            ),
            ("m = AutoModelForCausalLM.from_pretrained('a', num_hidden_layers=4)", None),
            ("m = AutoModelForCausalLM.from_pretrained('a', num_hidden_layers=n)", Some(Cause::ChangedModel)),
            ("m = AutoModelForCausalLM.from_pretrained('a', hidden_size=64)", Some(Cause::ChangedModel)),
            ("m.model.layers = m.model.layers[:4]", Some(Cause::ChangedModel)),
            ("config.num_hidden_layers = 4", Some(Cause::ChangedModel)),
            ("c = AutoConfig.from_pretrained('gpt2', n_layer=2)", Some(Cause::ChangedModel)),
            ("q = HqqConfig(nbits=2, group_size=64)", Some(Cause::StoredQuantized)),
            ("q = HqqConfig(nbits=4)", None),
            ("q = QuantoConfig(weights='int2')", Some(Cause::StoredQuantized)),
            ("t = Trainer(model=m)\nt.evaluate()", Some(Cause::Evaluation)),
            ("t = Trainer(model=m)\nt.train()\nt.evaluate()", None),
        ] {
            let program = read(text, &NothingGiven, &mut 100_000).unwrap();
            assert_eq!(cause(&program), expected, "{text}");
        }
    }

    #[test]
    fn a_program_that_freezes_a_part_is_found() {
        for (text, expected) in [
            ("opt = torch.optim.AdamW(model.lm_head.parameters(), lr=1e-3)", true),
            ("opt = torch.optim.AdamW(params=model.visual.merger.parameters())", true),
            ("opt = torch.optim.AdamW(model.parameters())\nmodel.train()", false),
            ("opt = torch.optim.AdamW(self.model.parameters())", false),
            ("opt = torch.optim.AdamW(ddp.module.parameters())", false),
            ("opt = torch.optim.AdamW(parameter_groups)", false),
            ("for p in m.model.parameters(): p.requires_grad = False", true),
            ("freeze_layers(m)", true),
        ] {
            let program = read(text, &NothingGiven, &mut 100_000).unwrap();
            assert_eq!(freezes(&program), expected, "{text}");
        }
    }
}
