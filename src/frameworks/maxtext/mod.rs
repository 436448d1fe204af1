//! MaxText: `python -m MaxText.train MaxText/configs/base.yml model_name=llama2-7b per_device_batch_size=4 …`.
//!
//! **Recognised** by the module, or by the script `train.py` in a folder `MaxText`, with a `.yml` file among the arguments. Words
//! beat the file. `base.yml` is MaxText's own and has the defaults; any other file that is not known leaves them open.
//!
//! A batch is given per device: a replica of t·p·c devices computes t·p·c times as many sequences. Of the mesh's axes, `tensor`,
//! `pipeline`, `context` (once `sequence`) and `expert` are degrees, within a slice (`ici_`) times between slices (`dcn_`).
//!
//! Read from AI-Hypercomputer/maxtext's `MaxText/configs/base.yml` at 000e9355 and later.

pub(super) mod profile;

use crate::command::{Launch, Target};
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Text};
use crate::frameworks::reading::flags::{Flag, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Settings};

const SOURCE: &str = "MaxText base.yml";
const MODULES: &[&str] =
    &["MaxText.train", "maxtext.train", "maxtext.trainers.pre_train.train", "MaxText.sft_trainer"];

const TABLE: &[Flag] = &[
    flag(&["base_num_decoder_layers"], "model.layers", Number),
    flag(&["base_emb_dim"], "model.hiddenSize", Number),
    flag(&["base_num_query_heads"], "model.attentionHeads", Number),
    flag(&["base_num_kv_heads"], "model.keyValueHeads", Number),
    flag(&["base_mlp_dim"], "model.ffnHiddenSize", Number),
    flag(&["head_dim"], "model.headSize", Number),
    flag(&["vocab_size"], "model.vocabSize", Number),
    flag(&["max_target_length"], "batch.sequenceLength", Number),
    flag(&["steps"], "dataset.steps", Number),
    flag(&["dtype"], "precision", OneOf(&[("bfloat16", "BF16"), ("float16", "FP16"), ("float32", "FP32")])),
    flag(&["weight_dtype"], "parameterPrecision", OneOf(&[("bfloat16", "BF16"), ("float32", "FP32")])),
    flag(
        &["opt_type"],
        "optimizer",
        OneOf(&[("adamw", "AdamW"), ("adam_pax", "AdamW"), ("sgd", "SGD"), ("muon", "Muon")]),
    ),
    flag(
        &["attention"],
        "attention",
        OneOf(&[("flash", "Flash"), ("cudnn_flash_te", "Flash"), ("dot_product", "Unfused")]),
    ),
    flag(&["model_name"], "model.name", Text),
];

/// Defaults of the shape, where no model is named.
const SHAPE: &[(&str, &str)] = &[
    ("model.layers", "16"),
    ("model.hiddenSize", "2048"),
    ("model.attentionHeads", "16"),
    ("model.keyValueHeads", "16"),
    ("model.ffnHiddenSize", "7168"),
    ("model.vocabSize", "32000"),
];
const DEFAULTS: &[(&str, &str)] =
    &[("batch.sequenceLength", "2048"), ("precision", "BF16"), ("recompute", "Full"), ("optimizer", "AdamW")];

/// Axes of the mesh, and what they are called here.
const AXES: &[(&[&str], &str)] = &[
    (&["tensor", "tensor_transpose"], "parallelism.tensor"),
    (&["pipeline"], "parallelism.pipeline"),
    (&["context", "sequence"], "parallelism.context"),
    (&["expert"], "parallelism.expert"),
];

/// Whether it is MaxText's launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    match &launch.target {
        Target::Module(module) => MODULES.contains(&module.as_str()),
        Target::Script(path) => {
            path.to_lowercase().ends_with("maxtext/train.py")
                && config::positional(&launch.arguments).is_some()
        }
        Target::Program(_) | Target::Unknown => false,
    }
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    said.handed_on("framework", "MaxText", format!("{}: its command", said.place));
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let path = config::positional(&launch.arguments).unwrap_or_default();
    let own = path.ends_with("configs/base.yml") || path.ends_with("configs/base.yaml");
    let known = launch.files.meant(path).is_some();
    if known && let Some(file) = config::named(launch, path, "its argument", said) {
        settings.add(Place::File(file));
    }
    settings::read(TABLE, &settings, said);
    let complete = (own || known) && !Written::default().may_hold_more(&launch.arguments);
    let replica = mesh(&settings, complete, said);
    batch(&settings, replica, own && complete, said);
    remat(&settings, said);
    if settings.text(&["quantization"]).is_some_and(|format| format.contains("fp8")) {
        said.handed_on("precision", "FP8", format!("{}: quantization", said.place));
    }
    if complete {
        settings::assume(DEFAULTS, SOURCE, said);
        if settings.text(&["model_name"]).is_none_or(|name| name == "default") {
            settings::assume(SHAPE, SOURCE, said);
        }
    } else {
        said.may("recompute", "Full");
        said.may("offload.optimizer", true);
        for field in ["parallelism.tensor", "parallelism.context"] {
            said.may(field, 8);
        }
    }
    if settings.on(&["optimizer_memory_host_offload"]) == Some(true) {
        said.handed_on("offload.optimizer", true, format!("{}: optimizer_memory_host_offload", said.place));
    }
}

/// The degrees of the mesh; how many devices compute a replica, where all of them are known.
fn mesh(settings: &Settings<'_>, complete: bool, said: &mut Said) -> Option<u64> {
    let mut replica = Some(1_u64);
    for (axes, field) in AXES {
        let names: Vec<_> = axes
            .iter()
            .flat_map(|axis| ["ici", "dcn"].map(|network| format!("{network}_{axis}_parallelism")))
            .collect();
        let given: Vec<_> = names.iter().filter_map(|name| settings.get(&[name])).collect();
        // An axis of -1 takes what is left.
        let degree = given
            .iter()
            .try_fold(1_u64, |all, setting| all.checked_mul(setting.number().filter(|n| *n > 0)?));
        match (degree, given.first()) {
            (Some(degree), Some(setting)) => setting.says(said, field, degree),
            (Some(degree), None) if complete => said.assume(field, degree, SOURCE),
            (Some(_), None) => {}
            (None, _) => said.unread(field),
        }
        let sure = degree.filter(|_| complete || !given.is_empty());
        if *field != "parallelism.expert" {
            replica = replica.zip(sure).and_then(|(all, one)| all.checked_mul(one));
        }
    }
    replica
}

/// Sequences that a replica computes at once.
fn batch(settings: &Settings<'_>, replica: Option<u64>, own: bool, said: &mut Said) {
    const FIELD: &str = "batch.microBatchSize";
    let setting = settings.get(&["per_device_batch_size"]);
    let each = match &setting {
        Some(setting) => setting.text().and_then(|text| text.parse::<f64>().ok()),
        None => own.then_some(12.0),
    };
    let (Some(each), Some(replica)) = (each, replica) else { return };
    let sequences = each * replica as f64;
    // A share of a sequence cannot be said.
    if !(1.0..1e6).contains(&sequences) {
        return;
    }
    let sequences = sequences.round() as u64;
    match setting {
        Some(setting) => setting.says(said, FIELD, sequences),
        None => said.assume(FIELD, sequences, SOURCE),
    }
    let steps = settings.get(&["gradient_accumulation_steps"]).and_then(|setting| setting.number());
    said.accumulation =
        Some((steps.unwrap_or(1).max(1), format!("{}: per_device_batch_size", said.place).into()));
}

/// What the backward pass computes again.
fn remat(settings: &Settings<'_>, said: &mut Said) {
    let Some(setting) = settings.get(&["remat_policy"]) else { return };
    let Some(policy) = setting.text() else { return };
    match policy.as_str() {
        "full" => setting.says(said, "recompute", "Full"),
        "none" => setting.says(said, "recompute", "None"),
        _ => setting.says(said, "recompute", "Selective"),
    }
    if policy.contains("offload") {
        setting.says(said, "offload.activations", true);
    }
}

#[cfg(test)]
mod tests {
    use crate::frameworks::examples::all_told;

    #[test]
    fn words_beat_the_base() {
        insta::assert_snapshot!(all_told(&[
            "python3 -m MaxText.train MaxText/configs/base.yml model_name=llama2-70b per_device_batch_size=2 \
             max_target_length=4096 ici_tensor_parallelism=8 dcn_fsdp_parallelism=4 remat_policy=save_qkv_proj steps=30 \
             hardware=gpu attention=cudnn_flash_te quantization=fp8",
            "python3 MaxText/train.py /configs/mine.yml per_device_batch_size=0.5 ici_tensor_parallelism=-1",
            "python3 -m MaxText.train MaxText/configs/base.yml run_name=test steps=nan per_device_batch_size=1e300",
        ]));
    }
}
