//! The contract of `judge`: the output for every input. One subject per file.

mod stated;

mod accelerators;
mod advice;
mod annotations;
mod anything;
mod bounds;
mod equal;
mod estimates;
mod figures;
mod gaps;
mod models;
mod pods;
mod privacy;
mod ranges;
mod room;
mod training;
mod trainings;
mod unread;

use serde_json::Value;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::Judgement;
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

fn judged_among(object: &Value, around: &Surroundings) -> Judgement {
    judge(object, around, &World::built_in(), &Ask::default())
}

fn judged(object: &Value) -> Judgement {
    judged_among(object, &Surroundings::default())
}

fn source<'a>(judgement: &'a Judgement, field: &str) -> Option<(&'a str, &'a str)> {
    let input = judgement.inputs.iter().find(|input| input.field.path() == field)?;
    Some((input.value.as_str(), input.source.as_str()))
}
