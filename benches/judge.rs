//! What a judgement takes, beside what no webhook gets around: deserializing the same document.
//!
//! `make bench` prints one over the other; `cargo bench --no-default-features --bench judge` how far the times spread.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read is none to time")]

mod documents;

use divan::Bencher;
use documents::{Document, documents};
use serde_json::Value;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::Judgement;
use weighbridge::policy::{Rules, World};
use weighbridge::surroundings::Surroundings;

#[divan::bench(args = documents())]
fn deserialized(bencher: Bencher<'_, '_>, document: &Document) {
    bencher.bench(|| serde_json::from_slice::<Value>(&document.bytes));
}

#[divan::bench(args = documents())]
fn judged(bencher: Bencher<'_, '_>, document: &Document) {
    let object: Value = serde_json::from_slice(&document.bytes).unwrap();
    let (around, rules, ask) = (Surroundings::default(), Rules::default(), Ask::default());
    let judged = || -> Judgement { judge(&object, &around, &World::built_in().under(&rules), &ask) };
    assert_eq!(judged().verdict, document.verdict, "{document}");
    bencher.bench(judged);
}

fn main() {
    divan::main();
}
