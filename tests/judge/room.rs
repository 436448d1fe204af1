//! How far a job that fits can grow.

use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

use super::stated::{STATED, pytorchjob, with};

fn judged(annotations: &[(&str, &str)]) -> Judgement {
    let ask = Ask { room: true, ..Ask::default() };
    judge(&pytorchjob(annotations, 7), &Surroundings::default(), &World::built_in(), &ask)
}

#[test]
fn a_field_that_cannot_grow_is_left_out() {
    // The global batch has one sequence for each rank, and the model has no more positions.
    let judgement = judged(&with(STATED, ("max-positions", "4096")));
    assert_eq!((judgement.verdict, judgement.room.as_slice()), (Verdict::Fits, [].as_slice()));
}

#[test]
fn a_job_fits_with_its_room_and_not_with_twice_as_much() {
    let stated = with(&with(STATED, ("max-positions", "4096")), ("global-batch-size", "65536"));
    let judgement = judged(&stated);
    let [room] = judgement.room.as_slice() else { panic!("{:?}", judgement.room) };
    assert!(room.key == "micro-batch-size" && room.at_most > 1, "{room:?}");
    let at = |value: u64| judged(&with(&stated, ("micro-batch-size", &value.to_string())));
    let grown = at(room.at_most);
    assert_eq!(grown.verdict, Verdict::Fits);
    assert_eq!(grown.memory.map(|memory| memory.peak_bytes), Some(room.peak_bytes));
    assert_ne!(at(2 * room.at_most).verdict, Verdict::Fits);
}
