//! Objects that are too large to read.

use serde_json::json;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::{Reason, Verdict};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

use super::judged;
use super::stated::{STATED, pytorchjob, template};

#[test]
fn an_object_of_thousands_of_groups_is_too_large_to_read() {
    let mut job = pytorchjob(STATED, 7);
    for number in 0..300 {
        job["spec"]["pytorchReplicaSpecs"][format!("Role{number}")] = json!({"template": template(8)});
    }
    let judgement = judged(&job);
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::TooLarge));
}

#[test]
fn an_object_beyond_the_work_limit_is_not_read() {
    let ask = Ask { max_bytes: 1000, ..Ask::default() };
    let mut object = pytorchjob(STATED, 7);
    object["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["args"] =
        json!(["x".repeat(1001)]);
    let judgement = judge(&object, &Surroundings::default(), &World::built_in(), &ask);
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::TooLarge));
    assert!(judgement.inputs.is_empty());
}
