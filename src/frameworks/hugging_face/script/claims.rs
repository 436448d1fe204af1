//! The claims that follow from what a program says and from the options of its launch.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::super::{
    FLAGS, TRAINER as TRAINER_DEFAULT, TRL, Whose, checkpointed_by_trl, file_of_options, objective, peft,
    sharding, training_arguments, training_loop,
};
use super::{Said, unknown};
use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::config::ReadFile;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::model_config;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings as Places};
use crate::frameworks::{own, unsloth};
use crate::job::{Framework, Loss, Method, OpenField, Precision, Recompute, Sharding, Source, field};

/// Dimensions that `from_pretrained` changes in a model's configuration.
const CHANGED: Table = &[&flag(&["num_hidden_layers"], field::model::LAYERS, Takes::Number)];
/// The setting under which the devices of the model's layers are kept.
const DEVICE_MAP: &str = "device_map";
/// The setting of the memory that each device may be filled with.
const MAX_MEMORY: &str = "max_memory";
/// The maps that put the layers of one model on all devices of a process.
const DIVIDING_MAPS: &[&str] = &["auto", "balanced", "balanced_low_0"];

/// Claims what the program says.
pub(in super::super) fn read(launch: &Launch, said: &Said, claims: &mut Claims) {
    claims.files.push(ReadFile::of(&said.settings));
    let places = places(launch, said, claims);
    let source = &said.settings.source;
    if said.is_unsloth {
        claims.file(field::FRAMEWORK, Framework::Unsloth, source, "from_pretrained");
        unsloth::beside_trainer(&places, claims);
    } else {
        claims.file(field::FRAMEWORK, Framework::HuggingFace, source, "Trainer");
    }
    settings::read(FLAGS, &places, claims);
    if let Some(config) = &said.model {
        model_config::of(config, claims);
    }
    training_arguments::lengths(&places, claims);
    settings::read(CHANGED, &places, claims);
    method(said, &places, claims);
    training_arguments::read(launch, &places, claims);
    if said.may_adapt {
        // A module of its own may turn checkpointing on.
        claims.open(field::RECOMPUTE, Recompute::Full);
    }
    placed(&places, source, claims);
    own_batch(launch, &places, claims);
    if said.pads {
        claims.assume(field::batch::PACKING, true, "every sample is padded to max_length");
    }
    if said.is_loop {
        of_a_loop(launch, said, &places, claims);
    } else {
        of_a_trainer(launch, said, &places, claims);
    }
    claims.beyond = claims.beyond.or(said.departs);
    if said.freezes {
        complete::leave_frozen_open(claims);
    }
}

/// The batch of a device, by an option of the program's own, or its default. The text may hide where it goes.
fn own_batch(launch: &Launch, places: &Places<'_>, claims: &mut Claims) {
    let options = Places::of(vec![Place::Options(&launch.arguments)]);
    let batch = options.get(own::OWN_BATCH).or_else(|| places.get(own::OWN_BATCH));
    let batch = batch.and_then(|setting| Some((setting.number()?, setting)));
    if let Some((samples, setting)) = batch.filter(|_| !claims.gives(field::batch::MICRO_BATCH_SIZE)) {
        setting.says(claims, field::batch::MICRO_BATCH_SIZE, samples);
    }
}

/// Where the layers of one model lie: on all devices of a process, on some of them, or on the host.
fn placed(places: &Places<'_>, source: &Source, claims: &mut Claims) {
    const HOSTS: [&str; 2] = ["cpu", "disk"];
    let map = places.get(&[DEVICE_MAP]);
    if map.as_ref().and_then(Setting::text).is_some_and(|map| DIVIDING_MAPS.contains(&map.as_str())) {
        claims.layers_over_devices = Some(source.key(DEVICE_MAP));
    }
    let places_of = |map: &Setting| match &map.value {
        Json::Object(map) => map.values().cloned().collect(),
        _ => Vec::new(),
    };
    let of_layers = map.as_ref().map(places_of).unwrap_or_default();
    let devices: BTreeSet<u64> = of_layers.iter().filter_map(Json::as_u64).collect();
    if devices.len() > 1 {
        claims.open(field::parallelism::PIPELINE, devices.len() as u64);
    }
    // Without the host among its keys, a limit of memory moves nothing there.
    let limits = places.get(&[MAX_MEMORY]).is_some_and(|limits| match &limits.value {
        Json::Object(limits) => limits.keys().any(|place| HOSTS.contains(&place.as_str())),
        _ => true,
    });
    let on_host = |place: &Json| place.as_str().is_some_and(|place| HOSTS.contains(&place));
    if limits || of_layers.iter().any(on_host) {
        claims.open(field::offload::PARAMETERS, true);
    }
}

/// Where the settings of a program are, the first place first.
fn places<'a>(launch: &'a Launch, said: &Said, claims: &mut Claims) -> Places<'a> {
    let file = &said.settings;
    let mut places = Places::default();
    if said.parses_options {
        places.add(Place::Options(&launch.arguments));
        // `TrlParser` and `HfArgumentParser` read a file of options, too.
        if let Some(options) = file_of_options(launch, &places, claims) {
            places.add(Place::File(options));
        }
        // What an option gives is read there.
        let given =
            file.tree.as_object().into_iter().flatten().filter(|(key, _)| places.has(&[key.as_str()]));
        file.asked.borrow_mut().extend(given.map(|(key, _)| key.clone()));
        places.add(Place::File(file.clone()));
        places.add(Place::File(said.declared.clone()));
    } else if said.names_its_model() {
        places.add(Place::File(file.clone()));
    } else {
        // What does not follow from the text may be an option, or an option's default.
        let (unknown, known) = said.settings_apart();
        places.add(Place::File(known));
        places.add(Place::Options(&launch.arguments));
        places.add(Place::File(said.declared.clone()));
        places.add(Place::File(unknown));
        // A default may be changed where this is not read.
        open_method(None, claims);
    }
    places
}

/// The method of the training: its adapters, and what may make others.
fn method(said: &Said, places: &Places<'_>, claims: &mut Claims) {
    // It makes adapters under a condition that is not known.
    if said.settings.tree.get("use_peft") == Some(&unknown()) {
        claims.assume(field::finetuning::METHOD, Method::LoRA, said.settings.source.key("LoraConfig"));
        open_method(Some(Method::Full), claims);
    }
    if peft::read(places, false, claims).is_none() {
        if said.may_adapt {
            claims.open(field::finetuning::METHOD, Method::QLoRA);
        } else if said.may_take_adapters {
            claims.assume(field::finetuning::METHOD, Method::Full, TRAINER_DEFAULT);
            open_method(None, claims);
        } else {
            claims.assume(field::finetuning::METHOD, Method::Full, TRAINER_DEFAULT);
        }
    }
}

/// The method may be adapters over few bits, and this at the heaviest.
fn open_method(heaviest: Option<Method>, claims: &mut Claims) {
    claims.open_field(OpenField {
        field: field::finetuning::METHOD.erased(),
        leanest: Some(json!(Method::QLoRA)),
        heaviest: heaviest.map(|method| json!(method)),
        although_given: true,
    });
}

/// What holds for a program with a loop of its own.
fn of_a_loop(launch: &Launch, said: &Said, places: &Places<'_>, claims: &mut Claims) {
    training_loop::sharding(launch, places, claims);
    training_arguments::precision(places, claims);
    claims.assume(field::RECOMPUTE, Recompute::None, "a loop without checkpointing");
    if let Some(objective) = said.objective {
        claims.file(field::OBJECTIVE, objective, &said.settings.source, "from_pretrained");
    }
}

/// What holds for a program with a trainer of Transformers or TRL.
fn of_a_trainer(launch: &Launch, said: &Said, places: &Places<'_>, claims: &mut Claims) {
    if said.by_ray && !claims.knows(field::parallelism::SHARDING) {
        claims.assume(field::parallelism::SHARDING, Sharding::None, "Ray's processes");
    }
    sharding(launch, places, Whose::Script, claims);
    precision(places, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, 8, TRAINER_DEFAULT);
    training_arguments::steps_at_once(places, claims);
    training_arguments::loaded_unasked(places, TRAINER_DEFAULT, claims);
    if said.is_trl {
        claims.assume(field::batch::SEQUENCE_LENGTH, 1024, TRL);
        checkpointed_by_trl(claims);
        // TRL 1.16 fuses the output layer and the loss.
        claims.open(field::LOSS, Loss::Fused);
    } else {
        claims.assume(field::RECOMPUTE, Recompute::None, TRAINER_DEFAULT);
    }
    if said.has_own_loss {
        // It may compute the loss in parts.
        claims.open(field::LOSS, Loss::Fused);
    }
    if let Some(objective) = said.objective {
        claims.file(field::OBJECTIVE, objective, &said.settings.source, "Trainer");
        objective::roles(objective, objective::TRL, places, claims);
    }
    claims.beyond = claims.beyond.or(said.other_trainer);
}

/// The format of the computation. Programs ask the device which of the two 16-bit formats it has.
fn precision(places: &Places<'_>, claims: &mut Claims) {
    let is_open = |name: &str| places.get(&[name]).is_some_and(|setting| setting.truth().is_none());
    match (is_open("bf16"), is_open("fp16")) {
        (true, true) => claims.assume(field::PRECISION, Precision::BF16, "either 16-bit format"),
        (true, false) | (false, true) => claims.unparsed(field::PRECISION),
        (false, false) => {}
    }
    training_arguments::precision(places, claims);
}
