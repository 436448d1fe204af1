//! What a judgement takes, beside what no webhook gets around: deserializing the same document.
//!
//! `make bench` prints one over the other; `cargo bench --no-default-features --bench judge` how far the times spread.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read is none to time")]

mod documents;

use std::fmt;

use divan::Bencher;
use documents::{FITS, MEGATRON, REFUSED, SERVING, running, worst_script};
use serde_json::Value;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::policy::{Rules, World};
use weighbridge::surroundings::Surroundings;

/// What an apiserver sends, by what is in it.
struct Document {
    name: &'static str,
    /// What it is judged to be, so that nothing else is timed.
    verdict: Verdict,
    bytes: Vec<u8>,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn documents() -> [Document; 5] {
    let example = |text| serde_saphyr::from_str::<Value>(text).unwrap();
    [
        ("annotated-fits", Verdict::Fits, example(FITS)),
        ("annotated-refused", Verdict::OutOfMemory, example(REFUSED)),
        ("megatron-command", Verdict::Fits, running(MEGATRON)),
        ("not-training", Verdict::NotTraining, running(SERVING)),
        ("worst-script", Verdict::Unknown, running(&worst_script())),
    ]
    .map(|(name, verdict, object)| Document {
        name,
        verdict,
        bytes: serde_json::to_vec(&object).unwrap(),
    })
}

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
