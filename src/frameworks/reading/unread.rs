//! Whether the words of a launch are understood: each is read, inert, or opens the fields that it may change.
//!
//! A word is an option, a key of a file, or a variable of the environment. A newer version, a fork or a custom script has
//! words that no list has. Most of them change no memory. Some do, and their names show it: `--sequence_parallel_size`,
//! `load_in_3bit`, `use_liger_v2`. [`options`] and [`subjects`] are the rules.
//!
//! Of the environment, only variables that a list has, and switches (`USE_…`), are words.
//!
//! An unknown word that is no option's value (`$EXTRA_ARGS`) may be options of any kind. A program of Transformers takes the
//! last of an option, so what stands before does not hold. Other readers ask [`Written`](super::complete::Written).

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::options::{Known, List};
use crate::frameworks::reading::subjects::{self, OptionValue, Subject};
use crate::job::{AnyField, Framework, OpenWord, Understood, field};
use crate::printable::printable;

/// The most words that are checked.
const MAX_WORDS: usize = 2_000;
/// The most open and the most unknown words that are named.
const MAX_NAMED: usize = 32;
/// The most unknown words whose nearest option is looked for.
const MAX_MISSPELT: usize = 4;
/// The longest name that is shown.
const LONGEST: usize = 64;

/// A word that no reader asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its value, if it is known.
    pub(crate) value: Option<&'a str>,
}

/// What a word may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Inert,
    /// The fields of these subjects.
    Opens(Vec<Subject>),
    /// Nothing that its name tells, but no list has it.
    Unknown,
}

/// The effect of a word that no reader asked for.
pub(crate) fn effect(word: &Word<'_>, lists: &[&'static List]) -> Effect {
    let known = lists.iter().find_map(|list| list.find(word.name));
    if let (Some(known), Some(value)) = (known, word.value)
        && known.is_default(value)
    {
        return Effect::Inert;
    }
    let subjects = match known.and_then(Known::correction) {
        Some(correction) => correction.opens.to_vec(),
        // The groups around a key of a list tell nothing more.
        None => subjects::subjects(known.map_or(word.name, |known| known.name)),
    };
    let changed = subjects::changed_by(word.name, &subjects, OptionValue::of(word.value));
    match known {
        None if subjects.is_empty() => Effect::Unknown,
        _ if changed.is_empty() => Effect::Inert,
        _ => Effect::Opens(changed),
    }
}

/// Launchers that know no framework. Their options start processes and change no training: mpirun's `--mca`.
const STARTERS: &[&str] = &["mpirun", "horovodrun", "srun"];

/// Opens the fields that unread words may change, and counts the words. `closed` tells that the program takes no other
/// options than those of the lists.
pub(crate) fn leave_open(launch: &Launch, lists: &[&'static List], closed: bool, claims: &mut Claims) {
    // What is not covered is not judged.
    if claims.beyond.is_some() {
        return;
    }
    let launchers = launch.launchers.iter().filter(|launcher| !STARTERS.contains(&launcher.name.as_str()));
    let arguments: Vec<_> =
        launchers.map(|launcher| &launcher.arguments).chain([&launch.arguments]).collect();
    let files = std::mem::take(&mut claims.files);
    let is_word = |name: &str| name.starts_with("USE_") || lists.iter().any(|list| list.find(name).is_some());
    let variables: Vec<_> = launch.environment.iter().filter(|(name, _)| is_word(name)).collect();
    let (all, unasked) = (
        arguments.iter().map(|arguments| arguments.options()).sum::<usize>()
            + files.iter().map(super::config::ReadFile::keys).sum::<usize>(),
        arguments
            .iter()
            .flat_map(|arguments| arguments.unasked())
            .chain(files.iter().flat_map(|file| file.unasked()))
            .map(|(name, value)| Word { name, value }),
    );
    let mut understood = Understood::default();
    let (mut misspelt, mut looked_for) = (Vec::new(), 0);
    let mut unread = 0;
    let of_environment = variables.into_iter().map(|(name, value)| Word { name, value });
    for word in unasked.inspect(|_| unread += 1).chain(of_environment).take(MAX_WORDS) {
        match effect(&word, lists) {
            Effect::Inert => understood.inert += 1,
            Effect::Unknown => {
                if closed && looked_for < MAX_MISSPELT {
                    looked_for += 1;
                    misspelt.extend(meant(word.name, lists));
                }
                name(&mut understood.unknown, word.name);
            }
            Effect::Opens(subjects) => {
                let negated = subjects::is_negated(word.name);
                for subject in &subjects {
                    subject.open(OptionValue::of(word.value), negated, claims);
                }
                let fields = subjects.iter().flat_map(|subject| subject.fields()).copied();
                let mut fields: Vec<_> = fields.filter(|field| claims.leaves_open(*field)).collect();
                fields.dedup();
                if fields.is_empty() {
                    understood.inert += 1;
                } else if understood.open.len() < MAX_NAMED {
                    understood.open.push(OpenWord { word: printable(word.name, LONGEST), fields });
                }
            }
        }
    }
    if let Some(word) = further_options(launch, lists, claims) {
        let fields = open_for_further_options(claims);
        understood.open.push(OpenWord { word: printable(word, LONGEST), fields });
    }
    understood.read = all.saturating_sub(unread);
    claims.files = files;
    claims.warnings.extend(misspelt);
    claims.understood = understood;
}

/// The unknown word that may be further options of a program of Transformers.
fn further_options<'l>(launch: &'l Launch, lists: &[&'static List], claims: &Claims) -> Option<&'l str> {
    let takes_the_last = matches!(
        claims.get(field::FRAMEWORK),
        None | Some(Framework::HuggingFace | Framework::Unsloth | Framework::DeepSpeed)
    );
    let words = launch.arguments.words();
    let is_switch = |option: &str| {
        let known = lists.iter().find_map(|list| list.find(option));
        known.is_some_and(|known| known.is_default("False") || known.is_default("True"))
    };
    let is_value = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).map_or("", |word| word.text.as_str());
        before.starts_with('-') && !before.contains('=') && !is_switch(before)
    };
    let may_be_options = |(at, word): &(usize, &crate::command::Word)| {
        !word.known && word.text.starts_with(['$', '`']) && !is_value(*at)
    };
    let word = words.iter().enumerate().find(may_be_options).filter(|_| takes_the_last)?.1;
    Some(word.text.as_str())
}

/// Opens what options decide, although it is given.
fn open_for_further_options(claims: &mut Claims) -> Vec<AnyField> {
    const SUBJECTS: &[Subject] = &[
        Subject::Quantization,
        Subject::Sharding,
        Subject::Offload,
        Subject::Recompute,
        Subject::Kernels,
        Subject::Length,
        Subject::MicroBatch,
    ];
    for subject in SUBJECTS {
        subject.open(OptionValue::Other, false, claims);
    }
    let fields = SUBJECTS.iter().flat_map(|subject| subject.fields()).copied();
    fields.filter(|field| claims.leaves_open(*field)).collect()
}

fn name(names: &mut Vec<String>, name: &str) {
    let shown = printable(name, LONGEST);
    if names.len() < MAX_NAMED && !names.contains(&shown) {
        names.push(shown);
    }
}

/// A warning about an option that is no option of the framework, but nearly.
fn meant(name: &str, lists: &[&'static List]) -> Option<String> {
    let (list, near) = lists.iter().find_map(|list| Some((list, list.nearest(name)?)))?;
    let (name, title) = (printable(name, 40), list.title());
    Some(printable(&format!("{name} is no option of {title}; did you mean {near}?"), 120))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frameworks::reading::options::{inert, opens};

    static LIST: List = List {
        text: "# Framework 1: written\nfused_optimizer_step\tbool\tTrue\nlora_x\tint\nmax_length\tint\t1024\nmoe_quantize\n",
        corrections: &[
            inert("lora_x", "a number of the adapter's scale"),
            opens("moe_quantize", &[Subject::Method], "experts alone"),
        ],
    };

    #[test]
    fn a_word_changes_what_its_list_or_its_words_say() {
        let effect = |name, value: &'static str| effect(&Word { name, value: Some(value) }, &[&LIST]);
        assert_eq!(effect("max_length", "4096"), Effect::Opens(vec![Subject::Length]));
        assert_eq!(effect("max-length", "1024"), Effect::Inert);
        assert_eq!(effect("lora_x", "4"), Effect::Inert);
        assert_eq!(effect("moe_quantize", "true"), Effect::Opens(vec![Subject::Method]));
        assert_eq!(effect("moe_quantize", "false"), Effect::Inert);
        assert_eq!(effect("lora_y", "4"), Effect::Opens(vec![Subject::Method]));
        assert_eq!(effect("color", "red"), Effect::Unknown);
    }

    #[test]
    fn an_unknown_word_that_is_no_value_may_be_any_further_options() {
        let open = |words: &str, framework: Framework| {
            let words: Vec<_> = words
                .split(' ')
                .map(|word| crate::command::Word { text: word.to_owned(), known: !word.starts_with('$') })
                .collect();
            let arguments = crate::command::Arguments::of(words);
            let launch = Launch { arguments, ..Launch::default() };
            let mut claims = Claims::default();
            claims.argument(field::FRAMEWORK, framework, "a");
            claims.argument(field::finetuning::METHOD, crate::job::Method::LoRA, "--use_peft");
            leave_open(&launch, &[&LIST], false, &mut claims);
            claims.leaves_open(field::finetuning::METHOD.erased())
        };
        assert!(open("--color red $MORE", Framework::HuggingFace));
        assert!(open("--fused_optimizer_step $MORE", Framework::HuggingFace));
        assert!(open("sft $MORE --color red", Framework::HuggingFace));
        assert!(!open("--color $COLOR", Framework::HuggingFace));
        assert!(!open("--color red --lora_x=$X", Framework::HuggingFace));
        assert!(!open("--color red $MORE", Framework::Megatron));
    }

    #[test]
    fn every_word_is_counted_once() {
        let launch = Launch::of_words(&[
            "python",
            "own.py",
            "--max_length",
            "2048",
            "--color",
            "red",
            "--lora_x=1",
            "--max_lenght",
            "1",
        ]);
        let mut claims = Claims::default();
        assert!(launch.arguments.has("color"));
        leave_open(&launch, &[&LIST], true, &mut claims);
        let understood = &claims.understood;
        assert_eq!((understood.read, understood.inert), (1, 1));
        assert_eq!(understood.open.iter().map(|open| open.word.as_str()).collect::<Vec<_>>(), ["max_length"]);
        assert_eq!(understood.unknown, ["max_lenght"]);
        assert_eq!(claims.warnings, ["max_lenght is no option of Framework 1; did you mean max_length?"]);
    }
}
