//! The inputs that fuzzing found, and the targets' seeds, with the pinned compiler: `make fuzz` says how they are found.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use weighbridge::kinds::{KINDS, Kinds};

#[expect(unreachable_pub, reason = "a library of its own")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

pub(crate) use fuzz::sound;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn targets() -> Vec<fuzz::Target> {
    let mut targets = fuzz::CORE.to_vec();
    #[cfg(feature = "operator")]
    targets.extend(fuzz::EDGES);
    targets
}

/// The stack of a main thread, on which commands read their files. Without optimization a level of YAML takes 50 KiB.
const STACK: usize = 8 << 20;

/// Whether a target takes an input without a panic.
fn ends(run: fn(&[u8]), input: Vec<u8>) -> bool {
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(move || run(&input)).unwrap().join().is_ok()
}

#[test]
fn every_input_of_the_corpora_ends_within_its_laws() {
    for (name, run) in targets() {
        let inputs = fs::read_dir(folder().join("corpus").join(name)).unwrap();
        let mut paths: Vec<_> = inputs.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{name} has no corpus");
        for path in paths {
            let input = fs::read(&path).unwrap();
            assert!(ends(run, input), "{} is broken by {}", name, path.display());
        }
    }
}

/// How long inputs are changed at random, all targets together.
const SECONDS: u64 = 110;

/// The next number of a sequence without a pattern (xorshift).
fn random(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state % u64::try_from(below.max(1)).unwrap()).unwrap()
}

/// An input with a few changes: parts that are cut, repeated or taken from another input, and words of the corpus.
fn changed(corpus: &[Vec<u8>], words: &[Vec<u8>], state: &mut u64) -> Vec<u8> {
    let mut input = corpus[random(state, corpus.len())].clone();
    for _ in 0..=random(state, 5) {
        let start = random(state, input.len() + 1);
        let end = (start + random(state, 24)).min(input.len());
        let part = match random(state, 6) {
            0 => Vec::new(),
            1 => input[start..end].repeat(2 + random(state, 40)),
            2 => vec![u8::try_from(random(state, 256)).unwrap()],
            3 => {
                let other = &corpus[random(state, corpus.len())];
                let from = random(state, other.len() + 1);
                other[from..(from + random(state, 200)).min(other.len())].to_vec()
            }
            4 => b"18446744073709551615".to_vec(),
            _ => words[random(state, words.len())].clone(),
        };
        let end = if random(state, 2) == 0 { start } else { end };
        input.splice(start..end, part);
    }
    input
}

#[test]
#[ignore = "make fuzz-smoke: it takes two minutes"]
fn inputs_that_are_changed_at_random_end_within_their_laws() {
    let targets = targets();
    let share = Duration::from_secs(SECONDS) / u32::try_from(targets.len()).unwrap();
    // Every run has other inputs. The broken one is kept.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut state = u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap() | 1;
    for (name, run) in targets {
        let inputs = fs::read_dir(folder().join("corpus").join(name)).unwrap();
        let corpus: Vec<Vec<u8>> = inputs.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./".contains(byte);
        let split =
            |input: &Vec<u8>| input.split(|byte| !is_word(byte)).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let words: Vec<Vec<u8>> = corpus.iter().flat_map(split).collect();
        let (started, mut executions) = (Instant::now(), 0_u64);
        while started.elapsed() < share {
            let input = changed(&corpus, &words, &mut state);
            executions += 1;
            if !ends(run, input.clone()) {
                let kept = folder().join("artifacts").join(name);
                fs::create_dir_all(&kept).unwrap();
                let kept = kept.join(format!("smoke-{state:016x}"));
                fs::write(&kept, &input).unwrap();
                panic!("{name} is broken by {}", kept.display());
            }
        }
        println!("{name}: {executions} inputs in {:.0} s", started.elapsed().as_secs_f64());
    }
}

#[test]
fn every_target_is_a_program_of_the_fuzzing_crate() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let programs: Vec<_> =
        manifest.split("[[bin]]").skip(1).filter_map(|part| part.split('"').nth(1)).collect();
    let mut names: Vec<_> =
        fuzz::CORE.iter().map(|(name, _)| *name).chain(["policy", "review", "stream"]).collect();
    names.sort_unstable();
    assert_eq!(programs, names);
}

#[test]
fn an_object_of_every_kind_is_changed_by_fuzzing() {
    let all = Kinds::built_in();
    let objects: Vec<_> =
        fuzz::KINDS.iter().filter_map(|object| all.of(object)).map(|kind| kind.slug).collect();
    for kind in KINDS {
        assert!(objects.contains(&kind.slug), "fuzz/objects.yaml has no {}", kind.kind);
    }
}
