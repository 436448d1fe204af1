//! The objects of a stream that differ in what decides. Equal ones share the judgement of the first, since a stream may hold
//! thousands of jobs that differ in their names alone.
//!
//! Equal means one [`JudgementKey`]: the surroundings, the policy and the question are the same for the whole stream. The
//! judgements that are kept are at most those of the entries: the last object that shares one takes it over.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Object;
use crate::judge::JudgementKey;

/// Objects, and which of them are equal.
pub(super) struct Distinct<'o> {
    /// The first of each set of equal objects, in the order of the stream.
    firsts: Vec<&'o Value>,
    /// Every object, with the number of its first among the firsts.
    all: Vec<(&'o Object, usize)>,
}

impl<'o> Distinct<'o> {
    pub(super) fn of(objects: Vec<&'o Object>) -> Self {
        let mut numbers = BTreeMap::new();
        let mut firsts = Vec::new();
        let number_of = |object: &'o Object| {
            let number = *numbers.entry(JudgementKey::of(&[], &object.value)).or_insert(firsts.len());
            if number == firsts.len() {
                firsts.push(&object.value);
            }
            (object, number)
        };
        let all = objects.into_iter().map(number_of).collect();
        Self { firsts, all }
    }

    /// The objects to judge.
    pub(super) fn firsts(&self) -> &[&'o Value] {
        &self.firsts
    }

    /// Every object in the order of the stream, with the answer of its first.
    pub(super) fn shared<T: Clone + Default>(
        self,
        mut answers: Vec<T>,
    ) -> impl Iterator<Item = (&'o Object, T)> {
        let mut left = vec![0_usize; answers.len()];
        for (_, number) in &self.all {
            if let Some(left) = left.get_mut(*number) {
                *left += 1;
            }
        }
        self.all.into_iter().filter_map(move |(object, number)| {
            let (left, answer) = (left.get_mut(number)?, answers.get_mut(number)?);
            *left -= 1;
            Some((object, if *left == 0 { std::mem::take(answer) } else { answer.clone() }))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, model: &str) -> Object {
        let annotations = json!({"weighbridge.dev/model": model});
        Object { value: json!({"metadata": {"name": name, "annotations": annotations}}), place: None }
    }

    #[test]
    fn equal_objects_have_one_answer_and_the_order_stays() {
        let objects = [("a", "x"), ("b", "y"), ("c", "x"), ("d", "x"), ("e", "y"), ("f", "z")];
        let objects = objects.map(|(name, model)| object(name, model));
        let distinct = Distinct::of(objects.iter().collect());
        let models = |value: &Value| value["metadata"]["annotations"].to_string();
        let answers: Vec<String> = distinct.firsts().iter().map(|first| models(first)).collect();
        assert_eq!(answers.len(), 3);
        let shared: Vec<_> = distinct.shared(answers).collect();
        assert_eq!(shared.len(), objects.len());
        for ((object, answer), asked) in shared.into_iter().zip(&objects) {
            assert_eq!(object.value, asked.value);
            assert_eq!(answer, models(&asked.value));
        }
    }
}
